/**
 * Whether and when to try again.
 *
 * A retry policy is a plain `Schedule` over `RpcError`: it continues with a delay, or it stops. Everything that composes
 * schedules composes policies, and `Effect.retry(effect, policy)` works on any effect that fails with an `RpcError`. A
 * client given a policy applies it to each call, within the call's deadline and on another peer where there is one.
 */
import { Context, Effect, Layer, Schedule } from "effect"
import type { Code } from "../status/Code.ts"
import type { RpcError } from "../status/RpcError.ts"

/**
 * Continues with a delay or stops, for each error.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryPolicy = Schedule.Schedule<unknown, RpcError>

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
 * Tries again after an error that passes the predicate.
 *
 * @category policies
 * @since 0.1.0
 */
export const onError = <A>(
  predicate: (error: RpcError) => boolean,
  backoff: Schedule.Schedule<A>
): Schedule.Schedule<A, RpcError> =>
  backoff.pipe(
    Schedule.setInputType<RpcError>(),
    Schedule.while(({ input }) => predicate(input))
  )

/**
 * Tries again after an error with one of these codes. An empty list never tries again.
 *
 * @example
 * import { Backoff, Retry } from "trunkline"
 *
 * const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "5 seconds" }))
 *
 * @category policies
 * @since 0.1.0
 */
export const onCodes = <A>(
  codes: ReadonlyArray<Code>,
  backoff: Schedule.Schedule<A>
): Schedule.Schedule<A, RpcError> => {
  const retryable = new Set(codes)
  return onError((error) => retryable.has(error.code), backoff)
}

/**
 * Never tries again.
 *
 * @category policies
 * @since 0.1.0
 */
export const none: RetryPolicy = Schedule.recurs(0)

/**
 * Stops a policy after this many attempts, the first included. Attempts, never "retries": 1 means no second try.
 *
 * @category combinators
 * @since 0.1.0
 */
export const maxAttempts =
  (attempts: number) =>
  <A, E>(policy: Schedule.Schedule<A, E>): Schedule.Schedule<A, E> =>
    Schedule.upTo(policy, { times: Math.max(0, Math.floor(attempts) - 1) })

/**
 * Gives the calls of an effect a policy of their own, instead of their client's.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPolicy =
  (policy: RetryPolicy) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Current, policy)

/**
 * The policy of the clients above this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policy: RetryPolicy): Layer.Layer<never> => Layer.succeed(Current, policy)
