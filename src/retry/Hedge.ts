/**
 * Sending the same call again before the first copy has failed.
 *
 * One slow peer among many dominates the tail of the latency. A hedged call sends a copy to another peer when the first copy
 * takes too long, or at once when it fails with a non-fatal error. It takes the first answer and cancels the other copies.
 * Hedging costs extra load, which the client's retry budget bounds.
 *
 * A hedged call is not also retried: its copies are its attempts.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import { Config, Context, Duration, Effect, Layer } from "effect"
import * as Ambient from "../call/Ambient.ts"
import type { Combinator } from "../call/Ambient.ts"
import * as CallOptions from "../call/CallOptions.ts"
import type { Code } from "../status/Code.ts"

/**
 * A delay that follows the latency of the method: the percentile of the answers of the last full period.
 *
 * @category models
 * @since 0.1.0
 */
export interface Percentile {
  /** Between 0 and 100, such as 95: then about one call in twenty is sent twice. */
  readonly percentile: number
  /** Answers a period must have for its percentile to mean something. Default 20; with fewer, no copy is sent for slowness. */
  readonly minSamples?: number | undefined
}

/**
 * How to hedge.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How long to wait for an answer before the next copy is sent. */
  readonly after: Duration.Input | Percentile
  /** Copies in all, the first included. Default 2. */
  readonly maxAttempts?: number | undefined
  /** Codes after which the other copies go on and the next is sent at once. Default none: every error is final. */
  readonly nonFatalCodes?: ReadonlyArray<Code> | undefined
}

/**
 * How a call is hedged. A value: what is known of latencies belongs to the client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Hedge {
  /** Milliseconds, or the percentile of latency that gives them. */
  readonly after: number | { readonly percentile: number; readonly minSamples: number }
  readonly maxAttempts: number
  readonly nonFatalCodes: ReadonlySet<Code>
}

const isPercentile = (after: Options["after"]): after is Percentile =>
  typeof after === "object" && after !== null && "percentile" in after

/**
 * Makes a hedging policy.
 *
 * @example
 * import { Hedge } from "trunkline"
 *
 * const reads = Hedge.make({ after: { percentile: 95 }, nonFatalCodes: ["UNAVAILABLE"] })
 * reads.maxAttempts // => 2
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Hedge => ({
  after: isPercentile(options.after)
    ? { percentile: options.after.percentile, minSamples: Math.max(1, options.after.minSamples ?? 20) }
    : Duration.toMillis(options.after),
  maxAttempts: Math.max(1, Math.floor(options.maxAttempts ?? 2)),
  nonFatalCodes: new Set(options.nonFatalCodes)
})

/**
 * One copy, and a call that is not hedged: its retry policy holds.
 *
 * @category constants
 * @since 0.1.0
 */
export const none: Hedge = make({ after: 0, maxAttempts: 1 })

/**
 * How calls in this context are hedged; `undefined` leaves it to the client.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<Hedge | undefined>("trunkline/retry/Hedge", {
  defaultValue: () => undefined
})

/**
 * Hedges the calls of an effect or a stream, instead of what their client says.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withHedge =
  (hedge: Hedge): Combinator =>
  (self) =>
    marked(Ambient.provide(Current, hedge)(self))

/** Lets a call see without a look at its context that it need not look there. */
const marked = CallOptions.update((options) => ({ ...options, hedged: true }))

/**
 * Hedges the calls of the clients above this layer. Meant for calls that may run twice: a call declared
 * `CallOptions.nonIdempotent` is not hedged.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (hedge: Hedge): Layer.Layer<never> => Layer.succeed(Current, hedge)

/**
 * `layer` with a policy whose options are read from configuration.
 *
 * @example
 * import { Config } from "effect"
 * import { Hedge } from "trunkline"
 *
 * const Hedged = Hedge.layerConfig({ after: Config.Duration("HEDGE_AFTER"), maxAttempts: Config.Int("HEDGE_ATTEMPTS") })
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(make(options))))
