/**
 * Load as the number of calls under way.
 *
 * Latency is in it: a slow peer keeps its calls longer. Exact, without memory, and blind to a peer that fails fast.
 *
 * A stream that stays open, such as a watch, is no work as long as nothing is said on it, and a peer with many of them need
 * not be busy. So streams count as calls under way only until their first message, or until they have been quiet for a
 * second. Where streams are the work, `withStreams` counts them as long as they are open.
 */
import type { Load, LoadPolicy } from "./Picker.ts"

/**
 * The calls under way that an answer is due to, and the one to come. The peer counts them itself, so nothing is remembered
 * here.
 *
 * @category constants
 * @since 0.1.0
 */
export const pending: Load = {
  cost: (stats, now) => stats.underWay(now) + 1,
  costByWeight: (stats, now, weight) => stats.underWay(now) / weight + 1,
  observe: () => {}
}

const everything: Load = {
  cost: (stats) => stats.pending + 1,
  costByWeight: (stats, _now, weight) => stats.pending / weight + 1,
  observe: () => {}
}

const policy: LoadPolicy = { make: () => pending }

/**
 * Counts unary calls under way, and streams until their first message, or until they have been quiet for a second.
 *
 * @category loads
 * @since 0.1.0
 */
export const make = (): LoadPolicy => policy

/**
 * Counts every call under way, also streams for as long as they are open.
 *
 * @example
 * import { PendingLoad, PowerOfTwo } from "trunkline"
 *
 * const byOpenStreams = PowerOfTwo.make({ load: PendingLoad.withStreams })
 *
 * @category loads
 * @since 0.1.0
 */
export const withStreams: LoadPolicy = { make: () => everything }
