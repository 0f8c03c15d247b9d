/**
 * How much may be tried again in all.
 *
 * A policy looks at one call. When everything fails, every call looks worth another try, and the tries are what keeps a
 * struggling service down. A budget looks at all calls of a client: what goes well earns tries, each retry or hedge takes
 * one, and with nothing left a call fails with the error it has. It never delays a call and never holds back a first
 * attempt.
 *
 * Every client has a budget of its own unless the context gives one to share.
 */
import { Config, Context, Duration, Effect, Layer } from "effect"
import type { Outcome } from "../status/Outcome.ts"
import type { RetryBudget, State } from "./Budget.ts"
import { SlidingSum } from "./SlidingSum.ts"

export { make as adaptive } from "./AdaptiveThrottle.ts"
export type { RetryBudget, State } from "./Budget.ts"
export { make as tokenThrottle, type Options as TokenThrottleOptions } from "./TokenThrottle.ts"

/**
 * How a budget grows.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Retries earned by a success. Default 0.2. */
  readonly ratio?: number | undefined
  /** Retries per second that need not be earned, so that a client with few calls can retry. Default 10. */
  readonly minPerSecond?: number | undefined
  /** How long a success counts, and a retry is remembered: 1 to 60 seconds. Default 10 seconds. */
  readonly ttl?: Duration.Input | undefined
}

/** Sums are kept in thousandths, as integers. */
const unit = 1000

class RatioBudget implements RetryBudget {
  readonly #earned: number
  readonly #floor: number
  readonly #sum: SlidingSum
  #withdrawals = 0
  #exhaustions = 0

  constructor(options?: Options) {
    const ttl = Math.min(60_000, Math.max(1000, Duration.toMillis(options?.ttl ?? "10 seconds")))
    this.#earned = Math.round(Math.max(0, options?.ratio ?? 0.2) * unit)
    this.#floor = Math.round((Math.max(0, options?.minPerSecond ?? 10) * ttl * unit) / 1000)
    this.#sum = new SlidingSum(ttl)
  }

  observe(outcome: Outcome, now: number): void {
    if (outcome === "success") this.#sum.add(this.#earned, now)
  }

  withdraw(now: number): boolean {
    const allowed = this.#sum.total(now) + this.#floor >= unit
    if (allowed) {
      this.#sum.add(-unit, now)
      this.#withdrawals++
    } else {
      this.#exhaustions++
    }
    return allowed
  }

  state(now: number): State {
    return {
      balance: (this.#sum.total(now) + this.#floor) / unit,
      withdrawals: this.#withdrawals,
      exhaustions: this.#exhaustions
    }
  }
}

/**
 * Makes a budget that earns a share of each success: over any `ttl` there are at most `ratio` retries per success, and
 * `minPerSecond`. Failures earn nothing, so that a client whose every call fails makes next to no retries.
 *
 * @example
 * import { Effect } from "effect"
 * import { RetryBudget } from "trunkline"
 *
 * const budget = Effect.runSync(RetryBudget.make({ ratio: 0.5, minPerSecond: 0 }))
 * budget.withdraw(0) // => false
 * budget.observe("success", 0)
 * budget.observe("success", 0)
 * budget.withdraw(0) // => true
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Effect.Effect<RetryBudget> => Effect.sync(() => new RatioBudget(options))

const constant = (balance: number): RetryBudget => ({
  observe: () => undefined,
  withdraw: () => balance > 0,
  state: () => ({ balance, withdrawals: 0, exhaustions: 0 })
})

/**
 * The budget that allows nothing.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: RetryBudget = constant(0)

/**
 * The budget that allows everything. It leaves the policy alone between an outage and a storm.
 *
 * @category constants
 * @since 0.1.0
 */
export const infinite: RetryBudget = constant(Infinity)

/**
 * The budget of clients made in this context; with `undefined` each makes its own.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<RetryBudget | undefined>("trunkline/retry/RetryBudget", {
  defaultValue: () => undefined
})

/**
 * One budget for all the clients above this layer.
 *
 * @example
 * import { RetryBudget } from "trunkline"
 *
 * const Shared = RetryBudget.layer(RetryBudget.make({ ratio: 0.1 }))
 * const AsInGrpc = RetryBudget.layer(RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio: 0.1 }))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (budget: Effect.Effect<RetryBudget>): Layer.Layer<never> => Layer.effect(Current, budget)

/**
 * A ratio budget for all the clients above, with its options read from configuration.
 *
 * @example
 * import { Config } from "effect"
 * import { RetryBudget } from "trunkline"
 *
 * const Shared = RetryBudget.layerConfig({ ratio: Config.Number("RETRY_RATIO") })
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(make(options))))
