/**
 * Whether a failed attempt is followed by another.
 *
 * The policy is asked first; what it allows may still be too dangerous, too late or too much.
 */
import { Duration, Effect, Pull, Schedule } from "effect"
import type { Call } from "../call/Call.ts"
import * as Outcome from "../status/Outcome.ts"
import type { RpcError, Stopped } from "../status/RpcError.ts"
import * as Pushback from "../retry/Pushback.ts"
import * as Retry from "../retry/Retry.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"

/** Milliseconds until the next attempt, or why there is none. */
export type RetryDecision = number | Stopped

/** A policy under way: the milliseconds it says, or `undefined` when it stops. */
export type Step = (now: number, error: RpcError) => Effect.Effect<number | undefined>

/** Starts a policy, for a call that has been running for so many milliseconds. */
export const start = (policy: Retry.RetryPolicy, elapsedMillis: number): Effect.Effect<Step> =>
  Effect.map(
    Effect.provideService(Schedule.toStep(policy), Retry.Elapsed, elapsedMillis),
    (step): Step =>
      (now, error) =>
        step(now, error).pipe(
          Effect.map(([, delay]) => Duration.toMillis(delay)),
          Pull.catchDone(() => Effect.succeed(undefined))
        )
  )

/** What an error that its policy tries again says to the budget. */
export const outcomeOf = (error: RpcError): Outcome.Outcome =>
  Outcome.of(error) === "rejected" ? "rejected" : "failure"

/**
 * Why a policy stopped: the server wished it, or the policy has come to a limit, which is so if it would try this error
 * again had it just begun.
 */
export const whyStopped = (policy: Retry.RetryPolicy, error: RpcError, now: number): Effect.Effect<Stopped> =>
  Pushback.of(error)._tag === "Stop"
    ? Effect.succeed("pushback")
    : start(policy, 0).pipe(
        Effect.flatMap((step) => step(now, error)),
        Effect.map((delay) => (delay === undefined ? "not_retryable" : "attempts"))
      )

/** Whether an attempt that ended so may have been seen by a handler. */
export const mayHaveRun = (error: RpcError): boolean => error.progress !== "not_started" && error.progress !== "refused"

/** What stands against another attempt that the policy wants after `delay`. */
const objection = (error: RpcError, call: Call, delay: number, now: number, committed: boolean): Stopped | undefined =>
  committed
    ? "committed"
    : call.options.idempotent === false && mayHaveRun(error)
      ? "not_idempotent"
      : now + delay < call.deadline
        ? undefined
        : "deadline"

/** Decides what follows an attempt of this call. `committed` says that it is too late for another. */
export const decide = Effect.fnUntraced(function* (
  error: RpcError,
  call: Call,
  now: number,
  policy: Retry.RetryPolicy,
  step: Step,
  budget: RetryBudget,
  committed: boolean
): Effect.fn.Return<RetryDecision> {
  if (error.progress === "dropped" || Outcome.isOfTheCall(error)) return "not_retryable"
  const wall = call.clock.currentTimeMillisUnsafe()
  const delay = yield* step(wall, error)
  if (delay === undefined) {
    const stopped = yield* whyStopped(policy, error, wall)
    budget.observe(stopped === "not_retryable" ? "ignorable" : outcomeOf(error), now)
    return stopped
  }
  budget.observe(outcomeOf(error), now)
  return objection(error, call, delay, now, committed) ?? (budget.withdraw(now) ? delay : "budget")
})
