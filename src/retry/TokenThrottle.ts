/**
 * gRPC's own retry throttle: a bucket of tokens that failures empty and successes slowly fill.
 *
 * It is here for parity with service configs. Below half it allows nothing, and with the numbers of gRPC's example it gets
 * there at about one failure in ten calls; a ratio budget degrades more gently.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import { Effect } from "effect"
import type { Outcome } from "../status/Outcome.ts"
import type { RetryBudget, State } from "./Budget.ts"

/**
 * The numbers of a service config's `retryThrottling`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Tokens at the start and at most; up to 1000. A retry needs more than half of them. */
  readonly maxTokens: number
  /** Tokens a success adds; three decimals count. */
  readonly tokenRatio: number
}

/**
 * A token throttle, whose numbers may change while it is used.
 *
 * @category models
 * @since 0.1.0
 */
export interface TokenThrottle extends RetryBudget {
  /** New numbers: the bucket stays as full as it was, in proportion. */
  readonly reconfigure: (options: Options) => void
}

/** Tokens are kept in thousandths, as integers. */
const unit = 1000

class Bucket implements TokenThrottle {
  #max = 0
  #ratio = 0
  #tokens = 0
  #withdrawals = 0
  #exhaustions = 0

  constructor(options: Options) {
    this.reconfigure(options)
    this.#tokens = this.#max
  }

  reconfigure(options: Options): void {
    const full = this.#max === 0 ? 1 : this.#tokens / this.#max
    this.#max = Math.round(Math.min(1000, Math.max(0, options.maxTokens)) * unit)
    this.#ratio = Math.floor(Math.max(0, options.tokenRatio) * unit)
    this.#tokens = Math.round(this.#max * full)
  }

  observe(outcome: Outcome): void {
    if (outcome === "success") this.#tokens = Math.min(this.#max, this.#tokens + this.#ratio)
    else if (outcome !== "ignorable") this.#tokens = Math.max(0, this.#tokens - unit)
  }

  withdraw(): boolean {
    const allowed = this.#tokens > this.#max / 2
    if (allowed) this.#withdrawals++
    else this.#exhaustions++
    return allowed
  }

  state(): State {
    return { balance: this.#tokens / unit, withdrawals: this.#withdrawals, exhaustions: this.#exhaustions }
  }
}

/**
 * Makes a throttle as gRPC's service config describes it: it starts full, an error that the policy tries again costs one
 * token, a success adds `tokenRatio`, and a retry is allowed while more than half of `maxTokens` are left.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<TokenThrottle> => Effect.sync(() => new Bucket(options))
