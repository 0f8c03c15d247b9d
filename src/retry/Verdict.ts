/**
 * Whether a failed attempt is followed by another.
 *
 * The policy is asked first; what it allows may still be too dangerous, too late or too much.
 */
import { Duration, Effect, Pull, Schedule } from "effect"
import type { Call } from "../call/Call.ts"
import * as Outcome from "../status/Outcome.ts"
import type { RpcError, Stopped } from "../status/RpcError.ts"
import type { RetryPolicy } from "./Retry.ts"
import type { RetryBudget } from "./RetryBudget.ts"

/** Milliseconds until the next attempt, or why there is none. */
export type Verdict = number | Stopped

/** A policy under way: the milliseconds it says, or `undefined` when it stops. */
export type Step = (now: number, error: RpcError) => Effect.Effect<number | undefined>

/** Starts a policy. */
export const start = (policy: RetryPolicy): Effect.Effect<Step> =>
  Effect.map(
    Schedule.toStep(policy),
    (step): Step =>
      (now, error) =>
        step(now, error).pipe(
          Effect.map(([, delay]) => Duration.toMillis(delay)),
          Pull.catchDone(() => Effect.succeed(undefined))
        )
  )

/**
 * What a server asked for with `grpc-retry-pushback-ms`: a delay in milliseconds, or with anything else to stop.
 */
export const pushback = (error: RpcError): number | "stop" | undefined => {
  const values = error.trailers.get("grpc-retry-pushback-ms")
  if (values === undefined) return undefined
  const [value] = values
  return values.length === 1 && typeof value === "string" && /^\d{1,10}$/.test(value) ? Number(value) : "stop"
}

/** What an error that its policy tries again says to the budget. */
export const outcomeOf = (error: RpcError): Outcome.Outcome =>
  Outcome.fromCode(error.code) === "rejected" ? "rejected" : "failure"

/** Why a policy stopped: only one that would try this error again, had it just begun, has come to its limit. */
export const whyStopped = (policy: RetryPolicy, error: RpcError, now: number): Effect.Effect<Stopped> =>
  start(policy).pipe(
    Effect.flatMap((step) => step(now, error)),
    Effect.map((delay) => (delay === undefined ? "not_retryable" : "attempts"))
  )

/** Whether an attempt that ended so may have been seen by a handler. */
const mayHaveRun = (error: RpcError): boolean => error.progress !== "not_started" && error.progress !== "refused"

/** What stands against another attempt that the policy wants after `delay`. */
const objection = (error: RpcError, call: Call, delay: number, now: number, sealed: boolean): Stopped | undefined =>
  error.answered || sealed
    ? "committed"
    : call.options.idempotent === false && mayHaveRun(error)
      ? "not_idempotent"
      : now + delay < call.deadline
        ? undefined
        : "deadline"

/**
 * Decides what follows an attempt of this call. `sealed` says that its requests cannot be sent again; `fresh` that the
 * policy has just begun.
 */
export const decide = Effect.fnUntraced(function* (
  error: RpcError,
  call: Call,
  now: number,
  policy: RetryPolicy,
  step: Step,
  budget: RetryBudget,
  state: { readonly sealed: boolean; readonly fresh: boolean }
): Effect.fn.Return<Verdict> {
  if (error.progress === "dropped") return "not_retryable"
  const delay = yield* step(call.clock.currentTimeMillisUnsafe(), error)
  const stopped =
    pushback(error) === "stop"
      ? "pushback"
      : delay !== undefined
        ? objection(error, call, delay, now, state.sealed)
        : state.fresh
          ? "not_retryable"
          : yield* whyStopped(policy, error, call.clock.currentTimeMillisUnsafe())
  budget.observe(stopped === "not_retryable" ? "ignorable" : outcomeOf(error), now)
  return stopped ?? (budget.withdraw(now) ? delay! : "budget")
})
