/**
 * The attempts of a call after its first one has failed.
 *
 * Nothing here is allocated before the first failure. Attempts follow each other as the policy, the budget and the deadline
 * allow, each on another peer where there is one. The call ends with a success, or with the last error that was not a mere
 * lack of time, and the history of every attempt.
 */
import { Effect, Result } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Commitment } from "./Commitment.ts"
import { TransparentRetries } from "./TransparentRetry.ts"
import type { RetryPolicy } from "../retry/Retry.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"
import * as RetryDecision from "./RetryDecision.ts"

/** Whether an attempt ran out of time before it had a peer. The error of the attempt before it says more. */
export const timedOutUnsent = (error: RpcError.RpcError): boolean =>
  error.code === "DEADLINE_EXCEEDED" && error.origin === "local" && error.peer === undefined

/** Adds the attempt that failed at `now` to the call's history. `delayMillis` is the delay before the next one. */
export const recordFailure = (
  call: Call,
  error: RpcError.RpcError,
  { delayMillis = 0, now }: { readonly now: number; readonly delayMillis?: number | undefined }
): void => {
  const attempt = { peer: error.peer, code: error.code, elapsedMillis: now - call.attemptStart, delayMillis }
  call.failedAttempts = [...call.failedAttempts, attempt]
}

/** The last error of a call, with the history of its attempts. */
export const withHistory = (call: Call, error: RpcError.RpcError, stopped: RpcError.Stopped): RpcError.RpcError =>
  RpcError.annotate(error, { attempts: call.failedAttempts, stopped })

/** How a call is retried. */
export interface Options {
  readonly policy: RetryPolicy
  readonly budget: RetryBudget
  readonly commitment: Commitment
  /** The error of the first attempt. */
  readonly firstError: RpcError.RpcError
}

/** Goes on after the first failure. `attempt` reads the call each time it is run. */
export const afterFailure = Effect.fnUntraced(function* <A, R>(
  attempt: Effect.Effect<A, RpcError.RpcError, R>,
  call: Call,
  { budget, commitment, firstError, policy }: Options
): Effect.fn.Return<A, RpcError.RpcError, R> {
  const step = yield* RetryDecision.start(policy, Deadline.nowUnsafe(call.clock) - call.start)
  const transparent = new TransparentRetries()
  let error = firstError

  while (true) {
    const now = Deadline.nowUnsafe(call.clock)
    const committed = commitment(error)
    if (now < call.deadline && !committed && transparent.allows(error, call)) {
      // The owner of the lost connection needs a turn to see that; an attempt in the same turn would meet it again.
      yield* Effect.yieldNow
      call.repeatAttempt(now)
    } else {
      const decision = yield* RetryDecision.decide(error, { call, now, policy, step, budget, committed })
      if (typeof decision === "string") {
        recordFailure(call, error, { now })
        return yield* withHistory(call, error, decision)
      }
      recordFailure(call, error, { now, delayMillis: decision })
      yield* Effect.sleep(decision)
      const woken = Deadline.nowUnsafe(call.clock)
      // A sleep may end late; an attempt without time left would only add load.
      if (woken >= call.deadline) return yield* withHistory(call, error, "deadline")
      call.nextAttempt(woken)
    }
    const result = yield* Effect.result(attempt)
    if (Result.isSuccess(result)) return result.success
    if (timedOutUnsent(result.failure)) return yield* withHistory(call, error, "deadline")
    error = result.failure
  }
})
