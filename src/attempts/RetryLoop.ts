/**
 * What a call does after its first attempt has failed.
 *
 * Nothing of it exists before. Then attempts follow each other as the policy, the budget and the deadline allow, each on
 * another peer where there is one; the call ends with a success, or with the last real error and the story of every
 * attempt.
 */
import { Effect, Result } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Commitment } from "./Commitment.ts"
import { FreeTries } from "./TransparentRetry.ts"
import type { RetryPolicy } from "../retry/Retry.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"
import * as RetryDecision from "./RetryDecision.ts"

/** An attempt that never reached a peer because time ran out says less than the error before it. */
export const neverTried = (error: RpcError.RpcError): boolean =>
  error.code === "DEADLINE_EXCEEDED" && error.origin === "local" && error.peer === undefined

/** Adds a failed attempt to the call's story. */
export const note = (call: Call, error: RpcError.RpcError, now: number, delayMillis = 0): void => {
  const attempt = { peer: error.peer, code: error.code, elapsedMillis: now - call.attemptStart, delayMillis }
  call.failedAttempts = [...call.failedAttempts, attempt]
}

/** The last error of a call, with the story. */
export const told = (call: Call, error: RpcError.RpcError, stopped: RpcError.Stopped): RpcError.RpcError =>
  RpcError.annotate(error, { attempts: call.failedAttempts, stopped })

/**
 * Goes on after the first failure. `attempt` reads the call each time it is run.
 */
export const afterFailure = Effect.fnUntraced(function* <A, R>(
  attempt: Effect.Effect<A, RpcError.RpcError, R>,
  call: Call,
  policy: RetryPolicy,
  budget: RetryBudget,
  first: RpcError.RpcError,
  commitment: Commitment
): Effect.fn.Return<A, RpcError.RpcError, R> {
  const step = yield* RetryDecision.start(policy, Deadline.nowUnsafe(call.clock) - call.start)
  const free = new FreeTries()
  let error = first

  while (true) {
    const now = Deadline.nowUnsafe(call.clock)
    const committed = commitment(error)
    if (now < call.deadline && !committed && free.allows(error, call)) {
      // Whose connection was lost needs a turn to see it; a call that comes back in the same turn would meet it again.
      yield* Effect.yieldNow
      call.repeatAttempt(now)
    } else {
      const verdict = yield* RetryDecision.decide(error, call, now, policy, step, budget, committed)
      if (typeof verdict === "string") {
        note(call, error, now)
        return yield* told(call, error, verdict)
      }
      note(call, error, now, verdict)
      yield* Effect.sleep(verdict)
      const woken = Deadline.nowUnsafe(call.clock)
      // A sleep may end late; an attempt without time left would only add to what made it late.
      if (woken >= call.deadline) return yield* told(call, error, "deadline")
      call.nextAttempt(woken)
    }
    const result = yield* Effect.result(attempt)
    if (Result.isSuccess(result)) return result.success
    if (neverTried(result.failure)) return yield* told(call, error, "deadline")
    error = result.failure
  }
})
