/**
 * Whether a failed attempt is followed by another.
 *
 * The policy decides first. What it allows may still be unsafe to repeat, too late for the deadline, or beyond the budget.
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

/** A run of a policy: from an error to the delay in milliseconds, or `undefined` when the policy stops. */
export type Step = (now: number, error: RpcError) => Effect.Effect<number | undefined>

/** Starts a run of a policy, for a call that has been running for `elapsedMillis`. */
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

/** The outcome that the budget observes for an error that is retried. */
export const outcomeOf = (error: RpcError): Outcome.Outcome =>
  Outcome.of(error) === "rejected" ? "rejected" : "failure"

/**
 * Why a policy stopped: the server asked for no more attempts, the policy does not retry the error, or the policy has
 * reached a limit. It has reached a limit if a new run of it would retry the error.
 */
export const whyStopped = (policy: Retry.RetryPolicy, error: RpcError, now: number): Effect.Effect<Stopped> =>
  Pushback.of(error)._tag === "Stop"
    ? Effect.succeed("pushback")
    : start(policy, 0).pipe(
        Effect.flatMap((step) => step(now, error)),
        Effect.map((delay) => (delay === undefined ? "not_retryable" : "attempts"))
      )

/** Whether a handler may have seen the attempt that ended with this error. */
export const mayHaveRun = (error: RpcError): boolean => error.progress !== "not_started" && error.progress !== "refused"

/** An attempt that has failed, and what decides whether its call makes another. */
export interface FailedAttempt {
  readonly call: Call
  /** When it ended, in milliseconds of the monotonic clock. */
  readonly now: number
  readonly policy: Retry.RetryPolicy
  /** The policy's run for this call. */
  readonly step: Step
  readonly budget: RetryBudget
  /** Whether the call is committed to this attempt. */
  readonly committed: boolean
}

/** Why a call makes no attempt that would begin at `start`, though its policy allows one. */
const objection = (error: RpcError, { call, committed }: FailedAttempt, start: number): Stopped | undefined =>
  committed
    ? "committed"
    : call.options.idempotent === false && mayHaveRun(error)
      ? "not_idempotent"
      : start < call.deadline
        ? undefined
        : "deadline"

/** Decides what follows a failed attempt. */
export const decide = Effect.fnUntraced(function* (
  error: RpcError,
  attempt: FailedAttempt
): Effect.fn.Return<RetryDecision> {
  const { budget, call, now, policy, step } = attempt
  if (error.progress === "dropped" || Outcome.isOfTheCall(error)) return "not_retryable"
  const wall = call.clock.currentTimeMillisUnsafe()
  const delay = yield* step(wall, error)
  if (delay === undefined) {
    const stopped = yield* whyStopped(policy, error, wall)
    budget.observe(stopped === "not_retryable" ? "ignorable" : outcomeOf(error), now)
    return stopped
  }
  budget.observe(outcomeOf(error), now)
  return objection(error, attempt, now + delay) ?? (budget.withdraw(now) ? delay : "budget")
})
