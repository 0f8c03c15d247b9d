/**
 * One run of a retry policy that several calls share.
 *
 * A policy has no state; a run of it has. Usually each call starts its own run. The calls of a resumed stream must not: each
 * would begin again with the first delay and the first attempt. So they share one run, which each of them continues.
 */
import { Cause, type Clock, Duration, Effect, Schedule } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { RetryPolicy } from "../retry/Retry.ts"
import * as RetryDecision from "./RetryDecision.ts"

export class PolicyRun {
  readonly policy: RetryPolicy
  readonly #clock: Clock.Clock
  /** When the first call began. Total timeouts count from here. */
  readonly #since: number
  #step: RetryDecision.Step | undefined

  constructor(policy: RetryPolicy, clock: Clock.Clock, since: number) {
    this.policy = policy
    this.#clock = clock
    this.#since = since
  }

  /** Restarts delays and attempts with the next failure. */
  restart(): void {
    this.#step = undefined
  }

  /** The next step of the run. */
  readonly step: RetryDecision.Step = (now, error) => {
    if (this.#step !== undefined) return this.#step(now, error)
    return Effect.flatMap(RetryDecision.start(this.policy, Deadline.nowUnsafe(this.#clock) - this.#since), (step) => {
      this.#step = step
      return step(now, error)
    })
  }

  /**
   * The policy for one call, which continues this run the first time it is started. Started again, it is a new run:
   * `RetryDecision.whyStopped` starts it to learn what the policy does about a first failure.
   */
  continued(): RetryPolicy {
    let started = false
    return Schedule.fromStep(
      Effect.suspend(() => {
        if (started) return Schedule.toStep(this.policy)
        started = true
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
