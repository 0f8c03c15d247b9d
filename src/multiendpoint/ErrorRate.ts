/**
 * When to leave an endpoint that is connected and fails its calls, and when to return to it.
 *
 * A backend can accept connections and fail every call. Counting failures finds it, but once its calls go to another
 * endpoint there is nothing left to count. So probes decide when it may be used again: after a minimum number of successes in
 * a row, over a minimum time. Both are needed: a fast prober reaches a count at once, and a single probe spans any time.
 */

/**
 * When to leave an endpoint, and when to use it again. Times are milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorRate {
  /** Calls are counted for so long, then judged. */
  readonly periodMillis: number
  /** Failures of a period below which nothing is said. */
  readonly minFailures: number
  /** The share of failures at which an endpoint is left, above 0 to 1. */
  readonly rate: number
  /** From the end of a probe to the next. */
  readonly probeIntervalMillis: number
  /** Good probes in a row before the endpoint is used again. */
  readonly minProbes: number
  /** How long they must have been good. */
  readonly minHealthyMillis: number
}

/**
 * The calls of an endpoint, ever.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallCount {
  readonly calls: number
  readonly failures: number
}

/**
 * An endpoint that was left: when it is probed next (never while a probe is under way), and how long it has been well.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failing {
  readonly probeAt: number
  readonly good: number
  readonly since: number
}

/**
 * Whether the calls of a period say that the endpoint is to be left.
 *
 * @category transitions
 * @since 0.1.0
 */
export const exceeds = (self: ErrorRate, before: CallCount, after: CallCount): boolean => {
  const calls = after.calls - before.calls
  const failures = after.failures - before.failures
  return calls > 0 && failures >= self.minFailures && failures >= self.rate * calls
}

/**
 * An endpoint that has just been left.
 *
 * @category transitions
 * @since 0.1.0
 */
export const start = (self: ErrorRate, now: number): Failing => ({
  probeAt: now + self.probeIntervalMillis,
  good: 0,
  since: now
})

/**
 * After a probe has ended; `undefined` once the endpoint may be used again.
 *
 * @category transitions
 * @since 0.1.0
 */
export const probed = (
  self: ErrorRate,
  failing: Failing,
  { good, now }: { readonly good: boolean; readonly now: number }
): Failing | undefined => {
  if (!good) return start(self, now)
  const since = failing.good === 0 ? now : failing.since
  return failing.good + 1 >= self.minProbes && now - since >= self.minHealthyMillis
    ? undefined
    : { probeAt: now + self.probeIntervalMillis, good: failing.good + 1, since }
}
