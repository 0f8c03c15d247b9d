/**
 * Sends the calls of one session to one peer and one connection.
 *
 * Some servers keep the state of a session with its connection, or respond faster there. A key identifies the session: a
 * message field named by the rule of a method, or the caller's `CallOptions.withAffinityKey`. A key that is never unbound
 * would be kept for ever, so keys are either held by a scope, which unbinds them, or removed when they have been idle.
 *
 * The pools of a program share an affinity: its rules, and the keys that are held. Each pool has its own bindings: a balancer
 * binds keys to peers, a channel pool to connections.
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
 * A rule that names no method, or no string field.
 *
 * @category errors
 * @since 0.1.0
 */
export { InvalidAffinity } from "./AffinityRule.ts"

/**
 * The rules that find keys, and the lifetime of idle keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The descriptors of the services in the rules, as protoc-gen-es generates them. */
  readonly services?: ReadonlyArray<ServiceDescriptor> | undefined
  /** One rule per method; the last of several applies. Default none: only callers name keys. */
  readonly methods?: ReadonlyArray<MethodAffinity> | undefined
  /** A key that is not held is removed after so long without a call; never if infinite. Default 1 hour. */
  readonly keyLifetime?: Duration.Input | undefined
  /** How often idle keys are removed. Default a tenth of the lifetime. */
  readonly cleanUpInterval?: Duration.Input | undefined
  /**
   * The channel of a call that binds: the less loaded of two, or each channel of the pool in turn. Default `least_busy`. The
   * peer of such a call is its balancer's pick.
   */
  readonly onBind?: "least_busy" | "round_robin" | undefined
}

/**
 * A pool's bindings of keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface Binder {
  readonly unbind: (key: string) => void
  /** Lets the next call of a key bind it to another target, if there is one. */
  readonly move: (key: string) => void
  /** Unbinds keys last used before an instant, in milliseconds of the monotonic clock, except keys that are held. */
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
    /** Holds a key until the scope closes, which unbinds it. Of several scopes the last one unbinds it. */
    readonly bind: (key: string) => Effect.Effect<void, never, Scope.Scope>
    /** Unbinds a key in all pools, held or not. Its next call binds it again. */
    readonly unbind: (key: string) => Effect.Effect<void>
    /** Lets the next call of a key bind it to another target, if there is one. */
    readonly move: (key: string) => Effect.Effect<void>
    /** The number of keys that are held. */
    readonly held: Effect.Effect<number>
    /** @internal */
    readonly isHeld: (key: string) => boolean
    /** @internal */
    readonly ruleOf: (path: string) => Rule | undefined
    /** @internal Passes unbinds, moves and idle times to a binder until the scope closes. */
    readonly join: (binder: Binder) => Effect.Effect<void, never, Scope.Scope>
    /** @internal Whether calls that bind go to the channels of a pool in turn. */
    readonly bindsRoundRobin: boolean
  }
>()("trunkline/affinity/Affinity") {}

/** The lifetime of idle keys and the interval of their removal, in milliseconds; `Infinity` for never. */
interface Times {
  readonly lifetimeMillis: number
  readonly cleanUpMillis: number
}

const defaultTimes: Times = { lifetimeMillis: 3_600_000, cleanUpMillis: 360_000 }

/** Removes idle keys periodically until the scope closes. */
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
 * The default affinity: keys that callers name, each until it has been idle for an hour.
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
  join: (binder) => clean(binder, defaultTimes, notHeld),
  bindsRoundRobin: false
})

const readTimes = (options: Options | undefined): Result.Result<Times, InvalidAffinity> => {
  const lifetimeMillis = Duration.toMillis(options?.keyLifetime ?? defaultTimes.lifetimeMillis)
  const cleanUpMillis = Duration.toMillis(options?.cleanUpInterval ?? lifetimeMillis / 10)
  return lifetimeMillis > 0 && cleanUpMillis > 0
    ? Result.succeed({ cleanUpMillis, lifetimeMillis })
    : Result.fail(
        new InvalidAffinity({
          method: "every method",
          key: "",
          problem: "the lifetime of keys and the interval of their clean-up must be longer than 0"
        })
      )
}

/**
 * Makes an affinity. Fails if a rule names no method of the services, or its path names no string field of the message.
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
    bindsRoundRobin: options?.onBind === "round_robin"
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
 * Lets the next call of a key bind it to another peer and another connection, if there are any. Use it for a session that
 * fails on its connection, or whose connection is about to close.
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
