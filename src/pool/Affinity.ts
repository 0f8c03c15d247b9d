/**
 * Calls of one session over one connection.
 *
 * Some servers keep what a session needs with the connection it was made on, or answer it faster there. A key names the
 * session: a field of its messages, as the rules of the methods say, or what the caller says with
 * `CallOptions.withAffinityKey`. A key nobody unbinds would be kept for ever, so one is held as a lease whose scope unbinds
 * it, or forgotten when it has not been used for a while.
 *
 * This is the memory that the channel pools of a program share: rules, and which keys are held. Where a key is bound is
 * known by each pool for itself.
 */
import { Config, Context, Duration, Effect, Layer, Result, type Scope } from "effect"
import {
  InvalidAffinity,
  make as makeRules,
  type MethodAffinity,
  type Rule,
  type ServiceDescriptor
} from "./AffinityRule.ts"

/**
 * How keys are found, and how long they are kept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** What the rules are about: services that protoc-gen-es generated. */
  readonly services?: ReadonlyArray<ServiceDescriptor> | undefined
  /** At most one rule for a method; of two the last holds. Default none: only keys that callers name. */
  readonly methods?: ReadonlyArray<MethodAffinity> | undefined
  /** A key that is not held is forgotten when it was not used for so long; `Duration.infinity` for never. Default 1 hour. */
  readonly keyLifetime?: Duration.Input | undefined
  /** How often forgotten keys are looked for. Default a tenth of the lifetime. */
  readonly cleanUpInterval?: Duration.Input | undefined
  /** Where calls that bind go: to the less busy of two channels, or to one after the other. Default `least_busy`. */
  readonly onBind?: "least_busy" | "round_robin" | undefined
}

/**
 * Whoever knows where keys are bound.
 *
 * @category models
 * @since 0.1.0
 */
export interface Binder {
  readonly unbind: (key: string) => void
}

/**
 * Keys and the rules that find them.
 *
 * @category services
 * @since 0.1.0
 */
export class Affinity extends Context.Service<
  Affinity,
  {
    /** Holds a key until the scope closes, which unbinds it. A key that is held several times is unbound by the last. */
    readonly bind: (key: string) => Effect.Effect<void, never, Scope.Scope>
    /** Unbinds a key everywhere, held or not; its next call binds it anew. */
    readonly unbind: (key: string) => Effect.Effect<void>
    /** How many keys are held. */
    readonly held: Effect.Effect<number>
    /** @internal */
    readonly isHeld: (key: string) => boolean
    /** @internal */
    readonly ruleOf: (path: string) => Rule | undefined
    /** @internal */
    readonly join: (binder: Binder) => Effect.Effect<void, never, Scope.Scope>
    /** @internal Milliseconds; `Infinity` for never. */
    readonly lifetimeMillis: number
    /** @internal */
    readonly cleanUpMillis: number
    /** @internal */
    readonly inTurn: boolean
  }
>()("trunkline/pool/Affinity") {}

const lifetime: Duration.Input = "1 hour"

/**
 * The affinity of a pool that was given none: keys that callers name, each for an hour after its last use.
 *
 * @category constants
 * @since 0.1.0
 */
export const none: Affinity["Service"] = Affinity.of({
  bind: () => Effect.void,
  unbind: () => Effect.void,
  held: Effect.succeed(0),
  isHeld: () => false,
  ruleOf: () => undefined,
  join: () => Effect.void,
  lifetimeMillis: Duration.toMillis(lifetime),
  cleanUpMillis: Duration.toMillis(lifetime) / 10,
  inTurn: false
})

const readLifetime = (options: Options | undefined) => {
  const lifetimeMillis = Duration.toMillis(options?.keyLifetime ?? lifetime)
  const cleanUpMillis = Duration.toMillis(options?.cleanUpInterval ?? lifetimeMillis / 10)
  return lifetimeMillis > 0 && cleanUpMillis > 0
    ? Result.succeed({ cleanUpMillis, lifetimeMillis })
    : Result.fail(
        new InvalidAffinity({
          method: "every method",
          key: "",
          problem: "the lifetime of keys and the interval of their clean-up are longer than 0"
        })
      )
}

/**
 * Makes an affinity. Fails if a rule fits no method of the services, or its path no field of the message.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options?: Options
): Effect.fn.Return<Affinity["Service"], InvalidAffinity> {
  const rules = yield* Effect.fromResult(makeRules(options?.methods ?? [], options?.services ?? []))
  const times = yield* Effect.fromResult(readLifetime(options))
  const held = new Map<string, number>()
  const binders = new Set<Binder>()
  const unbind = (key: string): void => {
    for (const binder of binders) binder.unbind(key)
  }
  return Affinity.of({
    ...times,
    bind: (key) =>
      Effect.acquireRelease(
        Effect.sync(() => void held.set(key, (held.get(key) ?? 0) + 1)),
        () =>
          Effect.sync(() => {
            const others = held.get(key)! - 1
            if (others > 0) return void held.set(key, others)
            held.delete(key)
            unbind(key)
          })
      ),
    unbind: (key) => Effect.sync(() => unbind(key)),
    held: Effect.sync(() => held.size),
    isHeld: (key) => held.has(key),
    ruleOf: (path) => rules.get(path),
    join: (binder) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => binders.add(binder)),
          () => Effect.sync(() => binders.delete(binder))
        )
      ),
    inTurn: options?.onBind === "round_robin"
  })
})

/**
 * Holds a key until the scope closes, which unbinds it.
 *
 * @example
 * import { Effect } from "effect"
 * import { Affinity, CallOptions } from "trunkline"
 *
 * const session = <A, E, R>(key: string, calls: Effect.Effect<A, E, R>) =>
 *   Effect.scoped(Effect.andThen(Affinity.bind(key), CallOptions.withAffinityKey(key)(calls)))
 *
 * @category combinators
 * @since 0.1.0
 */
export const bind = (key: string): Effect.Effect<void, never, Affinity | Scope.Scope> =>
  Effect.flatMap(Affinity, (affinity) => affinity.bind(key))

/**
 * An affinity for the channel pools above this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Affinity, InvalidAffinity> =>
  Layer.effect(Affinity, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Affinity, InvalidAffinity | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
