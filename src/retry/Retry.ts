/**
 * Whether and when to try again.
 *
 * A retry policy is a plain `Schedule` over `RpcError`: it continues with a delay, or it stops. Everything that composes
 * schedules composes policies, and `Effect.retry(effect, policy)` works on any effect that fails with an `RpcError`. A
 * client given a policy applies it to each call, within the call's deadline and on another peer where there is one.
 *
 * A policy is a value without memory: what a run has come to is made when the run starts, so one policy serves any number
 * of calls and no call's wishes reach another.
 */
import { Cause, Clock, Config, Context, Duration, Effect, Layer, Pull, Schedule } from "effect"
import { dual } from "effect/Function"
import * as Ambient from "../call/Ambient.ts"
import type { Combinator } from "../call/Ambient.ts"
import type { Code } from "../status/Code.ts"
import type { RpcError } from "../status/RpcError.ts"
import * as Backoff from "./Backoff.ts"
import { isPermanent, isTransientInternal } from "./Classifier.ts"
import * as HttpStatus from "./HttpStatus.ts"
import * as Pushback from "./Pushback.ts"
import * as Retriable from "./Retriable.ts"
import type { RetryPolicy } from "./RetryPolicy.ts"

/**
 * Which errors are worth another try whatever their code says, and which are not.
 *
 * @category predicates
 * @since 0.1.0
 */
export { isFinal, isPermanent, isTransientInternal } from "./Classifier.ts"

/**
 * Continues with a delay or stops, for each error.
 *
 * @category models
 * @since 0.1.0
 */
export type { RetryPolicy } from "./RetryPolicy.ts"

/**
 * What a policy does, as data and as text.
 *
 * @category explaining
 * @since 0.1.0
 */
export { type Delay, describe, type Description, type Rule } from "./RetryText.ts"
export { explain } from "./Explain.ts"

/**
 * An error that says how it wants to be retried.
 *
 * @category constructors
 * @since 0.1.0
 */
export { retriable, type Tuning } from "./Retriable.ts"

/**
 * The policy of calls in this context; `undefined` leaves it to the client.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<RetryPolicy | undefined>("trunkline/retry/Retry", {
  defaultValue: () => undefined
})

/**
 * How long the call had been running when its policy was started, in milliseconds. `Effect.retry` starts it with the
 * first attempt; whoever starts it later says so here, for `totalTimeout`.
 *
 * @category references
 * @since 0.1.0
 */
export const Elapsed = Context.Reference<number>("trunkline/retry/Elapsed", { defaultValue: () => 0 })

type Step = Pull.Pull<[Duration.Duration, Duration.Duration], never, Duration.Duration>

const stop: Step = Cause.done(Duration.zero)
const asStep = (delay: Duration.Duration): [Duration.Duration, Duration.Duration] => [delay, delay]

const never: Schedule.Schedule<Duration.Duration> = Schedule.fromStep(Effect.succeed(() => stop))

/**
 * What a rule does besides choosing errors.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Which errors it never retries, chosen or not. Default `isPermanent`. */
  readonly permanent?: ((error: RpcError) => boolean) | undefined
  /** What the server's wish does. Default `Pushback.capped`. */
  readonly pushback?: Pushback.Reader | undefined
  /** What an error that `retriable` did not mark changes in the rest of the run. Default nothing. */
  readonly tune?: ((error: RpcError) => Retriable.Tuning | undefined) | undefined
}

/**
 * Tries again after an error that passes the predicate, or that `retriable` marked, with the delays of the backoff. A
 * delay the server asks for is slept in place of the backoff's, which then starts anew; where the backoff ends, so does
 * the rule.
 *
 * @category policies
 * @since 0.1.0
 */
export const onError = (
  predicate: (error: RpcError) => boolean,
  backoff: Schedule.Schedule<unknown, RpcError>,
  options?: Options
): Schedule.Schedule<Duration.Duration, RpcError> => {
  const permanent = options?.permanent ?? isPermanent
  const readPushback = options?.pushback ?? Pushback.capped
  const [longest, tunes] = Backoff.isBackoff(backoff) ? [backoff.max, true] : [Duration.infinity, false]
  const start = Schedule.toStep(backoff)

  return Schedule.fromStep(
    Effect.map(start, (first) => {
      // The backoff since the last pushback; none right after one.
      let current: typeof first | undefined = first
      let failures = 0
      let tuning: Retriable.Tuning | undefined

      const next = (now: number, error: RpcError): Step => {
        failures++
        const marked = Retriable.tuningOf(error)
        if (permanent(error) || (marked === undefined && !predicate(error))) return stop
        tuning = Retriable.combine(tuning, marked ?? options?.tune?.(error))
        if (!Retriable.allows(tuning, failures)) return stop
        const pushback = readPushback(error, longest)
        if (pushback._tag === "Stop") return stop

        const input = tuning === undefined ? error : Retriable.retriable(error, tuning)
        const least = tunes ? Duration.zero : Duration.fromInputUnsafe(tuning?.delay ?? 0)
        const delayOf = (step: typeof first): Step =>
          Pull.catchDone(step(now, input), () => stop).pipe(
            Effect.map(([, delay]) => asStep(Duration.max(delay, least)))
          )
        // The first run goes on beside a later one, so that a backoff that ends does end.
        if (pushback._tag === "Delay") {
          current = undefined
          return Effect.as(delayOf(first), asStep(pushback.delay))
        }
        if (current === first) return delayOf(first)
        const anew = current === undefined ? start : Effect.succeed(current)
        return Effect.andThen(
          delayOf(first),
          Effect.flatMap(anew, (step) => delayOf((current = step)))
        )
      }
      return (now: number, error: RpcError) => Effect.suspend(() => next(now, error))
    })
  )
}

/**
 * Tries again after an error with one of these codes. An empty list never tries again, marked errors included.
 *
 * @example
 * import { Backoff, Retry } from "trunkline"
 *
 * const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "5 seconds" }))
 *
 * @category policies
 * @since 0.1.0
 */
export const onCodes = (
  codes: ReadonlyArray<Code>,
  backoff: Schedule.Schedule<unknown, RpcError>,
  options?: Options
): Schedule.Schedule<Duration.Duration, RpcError> => {
  const retryable = new Set(codes)
  return retryable.size === 0 ? never : onError((error) => retryable.has(error.code), backoff, options)
}

/**
 * Tries again after an error that came from one of these HTTP statuses, as `HttpStatus.of` knows it: the answer of a
 * gateway or of a proxy on the way. An error that gRPC itself reported has none. An empty list never tries again.
 *
 * @example
 * import { Backoff, Retry } from "trunkline"
 *
 * const policy = Retry.onHttpCodes([429, 502, 503], Backoff.exponential())
 *
 * @category policies
 * @since 0.1.0
 */
export const onHttpCodes = (
  statuses: ReadonlyArray<number>,
  backoff: Schedule.Schedule<unknown, RpcError>,
  options?: Options
): Schedule.Schedule<Duration.Duration, RpcError> => {
  const retryable = new Set(statuses)
  if (retryable.size === 0) return never
  return onError(
    (error) => {
      const status = HttpStatus.of(error)
      return status !== undefined && retryable.has(status)
    },
    backoff,
    options
  )
}

/**
 * Never tries again.
 *
 * @category policies
 * @since 0.1.0
 */
export const none: RetryPolicy = never

/**
 * Stops a policy after this many attempts, the first included. Attempts, never "retries": 1 means no second try.
 *
 * @category combinators
 * @since 0.1.0
 */
export const maxAttempts: {
  (attempts: number): <A, E>(self: Schedule.Schedule<A, E>) => Schedule.Schedule<A, E>
  <A, E>(self: Schedule.Schedule<A, E>, attempts: number): Schedule.Schedule<A, E>
} = dual(2, <A, E>(self: Schedule.Schedule<A, E>, attempts: number): Schedule.Schedule<A, E> =>
  Schedule.upTo(self, { times: Math.max(0, Math.floor(attempts) - 1) })
)

/**
 * Stops a policy before a sleep that would end later than this after the start, attempts and sleeps counted together. It
 * ends no attempt that is under way; `CallOptions.withDeadline` does.
 *
 * @example
 * import { Backoff, Retry } from "trunkline"
 *
 * const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential()).pipe(
 *   Retry.maxAttempts(5),
 *   Retry.totalTimeout("1 minute")
 * )
 *
 * @category combinators
 * @since 0.1.0
 */
export const totalTimeout: {
  (total: Duration.Input): <A, E>(self: Schedule.Schedule<A, E>) => Schedule.Schedule<A, E>
  <A, E>(self: Schedule.Schedule<A, E>, total: Duration.Input): Schedule.Schedule<A, E>
} = dual(2, <A, E>(self: Schedule.Schedule<A, E>, total: Duration.Input): Schedule.Schedule<A, E> => {
  const totalMillis = Duration.toMillis(total)
  return Schedule.fromStep(
    Effect.gen(function* () {
      const step = yield* Schedule.toStep(self)
      const elapsed = yield* Elapsed
      let start = yield* Clock.currentTimeMillis
      return (now: number, input: E) => {
        // A wall clock may step back.
        start = Math.min(start, now)
        return Effect.flatMap(step(now, input), (result) =>
          elapsed + (now - start) + Duration.toMillis(result[1]) <= totalMillis
            ? Effect.succeed(result)
            : Cause.done(result[0])
        )
      }
    })
  )
})

/**
 * What generated gax clients do for idempotent methods: `UNAVAILABLE` and `DEADLINE_EXCEEDED`, gax's default backoff
 * (1 second, x2, 30 seconds, full jitter), ten minutes in all.
 *
 * @category presets
 * @since 0.1.0
 */
export const gax: RetryPolicy = onCodes(["UNAVAILABLE", "DEADLINE_EXCEEDED"], Backoff.exponential()).pipe(
  totalTimeout("10 minutes")
)

const gomaCodes: ReadonlySet<Code> = new Set(["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"])

/**
 * What goma's `Retry` does: `UNAVAILABLE`, `DEADLINE_EXCEEDED`, the `INTERNAL` errors that pass, and `RESOURCE_EXHAUSTED`,
 * which holds the whole run to five attempts from 1 second on, x2. Otherwise 10 ms, x1.6, 120 seconds, ±20 %, and no end:
 * give the call a deadline.
 *
 * @category presets
 * @since 0.1.0
 */
export const goma: RetryPolicy = onError(
  (error) => gomaCodes.has(error.code) || isTransientInternal(error),
  Backoff.goma(),
  {
    tune: (error) => (error.code === "RESOURCE_EXHAUSTED" ? { max: 5, delay: "1 second", factor: 2 } : undefined)
  }
)

/**
 * What Google's API guidelines recommend for every API: `UNAVAILABLE` and nothing else, 1 second, x2, 60 seconds, full
 * jitter, at most ten attempts and one minute.
 *
 * @see https://google.aip.dev/194
 * @category presets
 * @since 0.1.0
 */
export const aip194: RetryPolicy = onCodes(["UNAVAILABLE"], Backoff.exponential({ max: "1 minute" })).pipe(
  maxAttempts(10),
  totalTimeout("1 minute")
)

/**
 * A policy in plain data.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings extends Backoff.Exponential {
  /** The codes to retry; none is no retries. */
  readonly codes: ReadonlyArray<Code>
  /** The first included. Default no limit. */
  readonly maxAttempts?: number | undefined
  /** Attempts and sleeps together. Default no limit. */
  readonly totalTimeout?: Duration.Input | undefined
}

/**
 * The policy that settings describe: `onCodes` with an exponential backoff and its limits.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (settings: Settings): RetryPolicy =>
  onCodes(settings.codes, Backoff.exponential(settings)).pipe(
    maxAttempts(settings.maxAttempts ?? Infinity),
    totalTimeout(settings.totalTimeout ?? Duration.infinity)
  )

/**
 * Gives the calls of an effect or a stream a policy of their own, instead of their client's.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPolicy = (policy: RetryPolicy): Combinator => Ambient.provide(Current, policy)

/**
 * The policy of the clients above this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: RetryPolicy): Layer.Layer<never> => Layer.succeed(Current, policy)

/**
 * `layer` with a policy whose settings are read from configuration.
 *
 * @example
 * import { Config, Schema } from "effect"
 * import { Code, Retry } from "trunkline"
 *
 * const Policy = Retry.layerConfig({
 *   codes: Config.Array(Schema.Literals(Code.all), "RETRY_CODES"),
 *   maxAttempts: Config.Int("RETRY_ATTEMPTS").pipe(Config.withDefault(5)),
 *   initial: Config.Duration("RETRY_DELAY")
 * })
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (settings: Config.Wrap<Settings>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(settings), (settings) => layer(make(settings))))
