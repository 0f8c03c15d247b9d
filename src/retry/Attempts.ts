/**
 * The loop around one call's attempts.
 *
 * Nothing of it exists until an attempt has failed. Then the policy is asked for a delay; the call stops when the policy
 * does, or when the delay could not end inside the deadline, and fails with the last real error and the story of every
 * attempt.
 */
import { Duration, Effect, Pull, Result, Schedule } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import type { RetryPolicy } from "./Retry.ts"

/** An attempt that never reached a peer because time ran out says less than the error before it. */
const neverTried = (error: RpcError.RpcError): boolean =>
  error.code === "DEADLINE_EXCEEDED" && error.origin === "local" && error.peer === undefined

const afterFailure = Effect.fnUntraced(function* <A, R>(
  attempt: Effect.Effect<A, RpcError.RpcError, R>,
  call: Call,
  policy: RetryPolicy | undefined,
  first: RpcError.RpcError
): Effect.fn.Return<A, RpcError.RpcError, R> {
  const attempts: Array<RpcError.Attempt> = []
  let error = first
  let started = call.start
  const step = policy === undefined ? undefined : yield* Schedule.toStep(policy)

  while (true) {
    const now = Deadline.nowUnsafe(call.clock)
    const delay =
      step === undefined
        ? undefined
        : yield* step(call.clock.currentTimeMillisUnsafe(), error).pipe(
            Effect.map(([, delay]) => Duration.toMillis(delay)),
            Pull.catchDone(() => Effect.succeed(undefined))
          )
    const fits = delay !== undefined && now + delay < call.deadline
    attempts.push({
      peer: error.peer,
      code: error.code,
      elapsedMillis: now - started,
      delayMillis: fits ? delay : 0
    })
    if (!fits) {
      return yield* RpcError.annotate(error, { attempts, stopped: delay === undefined ? "policy" : "deadline" })
    }
    yield* Effect.sleep(delay)
    started = Deadline.nowUnsafe(call.clock)
    call.nextAttempt(started)
    const result = yield* Effect.result(attempt)
    if (Result.isSuccess(result)) return result.success
    if (neverTried(result.failure)) {
      return yield* RpcError.annotate(error, { attempts, stopped: "deadline" })
    }
    error = result.failure
  }
})

/**
 * Runs an attempt, and again as the policy says. `attempt` reads the call each time it is run.
 *
 * @category execution
 * @since 0.1.0
 */
export const run = <A, R>(
  attempt: Effect.Effect<A, RpcError.RpcError, R>,
  call: Call,
  policy: RetryPolicy | undefined
): Effect.Effect<A, RpcError.RpcError, R> =>
  Effect.catch(attempt, (error) => afterFailure(attempt, call, policy, error))
