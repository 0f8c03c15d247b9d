/**
 * What a retry budget is: the attempts that successes have earned, and who may spend them.
 */
import type { Outcome } from "../status/Outcome.ts"

/**
 * A budget's numbers.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  /**
   * What is left: retries of a ratio budget, tokens of a token throttle, the chance (0 to 1) of a retry under an adaptive
   * throttle.
   */
  readonly balance: number
  /** Retries and hedges allowed so far. */
  readonly withdrawals: number
  /** Retries and hedges refused so far. */
  readonly exhaustions: number
}

/**
 * Who pays for retries and hedges. It is told how attempts end and asked before each one that is not a first. Times are
 * milliseconds of the monotonic clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryBudget {
  /**
   * An attempt has ended: `success` with OK, `failure` or `rejected` with an error its policy tries again, `ignorable`
   * with any other answer, which is no reason to hold retries back.
   */
  readonly observe: (outcome: Outcome, now: number) => void
  /** Takes one more attempt, if there is one left. */
  readonly withdraw: (now: number) => boolean
  readonly state: (now: number) => State
}
