/**
 * One run of a policy that several calls share.
 *
 * A policy has no memory; a run of it has, and belongs to whoever started it. A call starts one of its own. Calls that
 * follow each other as the attempts of one undertaking, as those of a resumed stream do, must not: each would begin with
 * the first delay and the first attempt again. So they join one run, which goes on where the last of them left it.
 */
import { Cause, type Clock, Duration, Effect, Schedule } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { RetryPolicy } from "../retry/Retry.ts"
import * as RetryDecision from "./RetryDecision.ts"

export class PolicyRun {
  readonly policy: RetryPolicy
  readonly #clock: Clock.Clock
  /** When the undertaking began, which is what limits on its total time count from. */
  readonly #since: number
  #step: RetryDecision.Step | undefined

  constructor(policy: RetryPolicy, clock: Clock.Clock, since: number) {
    this.policy = policy
    this.#clock = clock
    this.#since = since
  }

  /** Delays and attempts start over with the next failure. */
  startOver(): void {
    this.#step = undefined
  }

  /** What the policy says of one more failure. */
  readonly step: RetryDecision.Step = (now, error) => {
    if (this.#step !== undefined) return this.#step(now, error)
    return Effect.flatMap(RetryDecision.start(this.policy, Deadline.nowUnsafe(this.#clock) - this.#since), (step) => {
      this.#step = step
      return step(now, error)
    })
  }

  /**
   * The policy for one call: the first to start it joins the run. Who starts it again asks what it says of a first failure,
   * to tell why it stopped (`RetryDecision.whyStopped`), and gets a run apart.
   */
  joined(): RetryPolicy {
    let taken = false
    return Schedule.fromStep(
      Effect.suspend(() => {
        if (taken) return Schedule.toStep(this.policy)
        taken = true
        return Effect.succeed((now: number, error: Parameters<RetryDecision.Step>[1]) =>
          Effect.flatMap(this.step(now, error), (delay) =>
            delay === undefined
              ? Cause.done<unknown>(undefined)
              : Effect.succeed<[unknown, Duration.Duration]>([undefined, Duration.millis(delay)])
          )
        )
      })
    )
  }
}
