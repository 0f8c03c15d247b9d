/**
 * Retries in proportion to what the service accepts.
 *
 * While the service accepts at least one attempt in `multiplier`, every retry is allowed; below that a retry is refused with
 * a chance that grows with the share of attempts refused.
 *
 * @see https://sre.google/sre-book/handling-overload/
 */
import { Duration, Effect, Random } from "effect"
import type { Outcome } from "../status/Outcome.ts"
import type { RetryBudget, State } from "./Budget.ts"
import { SlidingSum } from "./SlidingSum.ts"

/**
 * How an adaptive throttle counts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Attempts made for each one accepted before retries are refused; at least 1. Default 2. */
  readonly multiplier?: number | undefined
  /** How far back it looks. Default 2 minutes. */
  readonly window?: Duration.Input | undefined
}

class Adaptive implements RetryBudget {
  readonly #multiplier: number
  readonly #requests: SlidingSum
  readonly #accepts: SlidingSum
  readonly #random: Random.Random
  #withdrawals = 0
  #exhaustions = 0

  constructor(random: Random.Random, options?: Options) {
    const window = Math.max(1000, Duration.toMillis(options?.window ?? "2 minutes"))
    this.#multiplier = Math.max(1, options?.multiplier ?? 2)
    this.#requests = new SlidingSum(window)
    this.#accepts = new SlidingSum(window)
    this.#random = random
  }

  observe(outcome: Outcome, now: number): void {
    this.#requests.add(1, now)
    if (outcome === "success" || outcome === "ignorable") this.#accepts.add(1, now)
  }

  #chance(now: number): number {
    const requests = this.#requests.total(now)
    const excess = requests - this.#multiplier * this.#accepts.total(now)
    return 1 - Math.max(0, excess / (requests + 1))
  }

  withdraw(now: number): boolean {
    const allowed = this.#random.nextDoubleUnsafe() < this.#chance(now)
    if (allowed) this.#withdrawals++
    else this.#exhaustions++
    return allowed
  }

  state(now: number): State {
    return { balance: this.#chance(now), withdrawals: this.#withdrawals, exhaustions: this.#exhaustions }
  }
}

/**
 * Makes an adaptive throttle, which takes its chance from the context. An error that the policy does not try again counts
 * as accepted: the service did its work.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Effect.Effect<RetryBudget> =>
  Effect.map(Random.Random, (random) => new Adaptive(random, options))
