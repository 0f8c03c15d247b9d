/**
 * Calls of one session over one connection.
 *
 * Some servers keep what a session needs with the connection it was made on, or answer it faster there. A key names the
 * session: a field of its messages, as the rules of the methods say, or what the caller says with
 * `CallOptions.withAffinityKey`. A key nobody unbinds would be kept for ever, so one is held as a lease whose scope unbinds
 * it, or forgotten when it has not been used for a while.
 *
 * This is the memory that the pools of a program share: rules, and which keys are held. Where a key is bound is known by
 * each for itself: a balancer knows the key's peer, a channel pool its connection.
 */
import { Clock, Config, Context, Duration, Effect, Layer, Result, type Scope } from "effect"
import * as Deadline from "../call/Deadline.ts"
import {
  InvalidAffinity,
  make as makeRules,
  type MethodAffinity,
  type Rule,
  type ServiceDescriptor
} from "./AffinityRule.ts"

/**
 * The rule of a method and its command, and the parts of descriptors that rules are resolved with.
 *
 * @category models
 * @since 0.1.0
 */
export type {
  Command,
  FieldDescriptor,
  MessageDescriptor,
  MethodAffinity,
  Rule,
  ServiceDescriptor
} from "./AffinityRule.ts"

/**
 * A rule that fits no method or no field.
 *
 * @category errors
 * @since 0.1.0
 */
export { InvalidAffinity } from "./AffinityRule.ts"

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
  /**
   * Where in a channel pool calls that bind go: to the less busy of two channels, or to one after the other. Default
   * `least_busy`. Among the peers of a balancer its picker says.
   */
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
  /** The next call of a key binds it to another place, if there is one. */
  readonly move: (key: string) => void
  /** Forgets keys not used since an instant, in milliseconds of the monotonic clock, except those that are held. */
  readonly forget: (before: number, isHeld: (key: string) => boolean) => void
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
    /** Has the next call of a key go elsewhere, and those after it too: it is bound to another place, if there is one. */
    readonly move: (key: string) => Effect.Effect<void>
    /** How many keys are held. */
    readonly held: Effect.Effect<number>
    /** @internal */
    readonly isHeld: (key: string) => boolean
    /** @internal */
    readonly ruleOf: (path: string) => Rule | undefined
    /** @internal Tells a binder what becomes of keys until the scope closes. */
    readonly join: (binder: Binder) => Effect.Effect<void, never, Scope.Scope>
    /** @internal */
    readonly inTurn: boolean
  }
>()("trunkline/affinity/Affinity") {}

/** How long keys are kept, and how often they are looked through, in milliseconds; `Infinity` for always and never. */
interface Times {
  readonly lifetimeMillis: number
  readonly cleanUpMillis: number
}

const hour: Times = { lifetimeMillis: 3_600_000, cleanUpMillis: 360_000 }

/** Has a binder forget keys, for as long as the scope is open. */
const clean = (
  binder: Binder,
  { cleanUpMillis, lifetimeMillis }: Times,
  isHeld: (key: string) => boolean
): Effect.Effect<void, never, Scope.Scope> =>
  lifetimeMillis === Infinity
    ? Effect.void
    : Effect.flatMap(Clock.Clock, (clock) => {
        const forget = Effect.sync(() => binder.forget(Deadline.nowUnsafe(clock) - lifetimeMillis, isHeld))
        return Effect.sleep(cleanUpMillis).pipe(
          Effect.andThen(forget),
          Effect.forever,
          Effect.forkScoped,
          Effect.asVoid
        )
      })

const notHeld = (): boolean => false

/**
 * The affinity of a pool that was given none: keys that callers name, each for an hour after its last use.
 *
 * @category constants
 * @since 0.1.0
 */
export const none: Affinity["Service"] = Affinity.of({
  bind: () => Effect.void,
  unbind: () => Effect.void,
  move: () => Effect.void,
  held: Effect.succeed(0),
  isHeld: notHeld,
  ruleOf: () => undefined,
  join: (binder) => clean(binder, hour, notHeld),
  inTurn: false
})

const readTimes = (options: Options | undefined): Result.Result<Times, InvalidAffinity> => {
  const lifetimeMillis = Duration.toMillis(options?.keyLifetime ?? hour.lifetimeMillis)
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
  const times = yield* Effect.fromResult(readTimes(options))
  const held = new Map<string, number>()
  const binders = new Set<Binder>()
  const isHeld = (key: string): boolean => held.has(key)
  const unbind = (key: string): void => {
    for (const binder of binders) binder.unbind(key)
  }
  return Affinity.of({
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
    move: (key) =>
      Effect.sync(() => {
        for (const binder of binders) binder.move(key)
      }),
    held: Effect.sync(() => held.size),
    isHeld,
    ruleOf: (path) => rules.get(path),
    join: (binder) =>
      Effect.andThen(
        Effect.acquireRelease(
          Effect.sync(() => binders.add(binder)),
          () => Effect.sync(() => binders.delete(binder))
        ),
        clean(binder, times, isHeld)
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
 * Has the next call with a key go elsewhere: it is bound to another connection and another peer, if there are some. For a
 * session that goes badly where it is, or that is still on a connection about to be closed.
 *
 * @category combinators
 * @since 0.1.0
 */
export const move = (key: string): Effect.Effect<void, never, Affinity> =>
  Effect.flatMap(Affinity, (affinity) => affinity.move(key))

/**
 * An affinity for the balancers and channel pools above this layer.
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
