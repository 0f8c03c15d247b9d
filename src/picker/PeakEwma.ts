/**
 * Load as expected latency: a moving average that jumps to peaks, times the calls under way.
 *
 * A slow answer is believed at once and forgiven slowly; a fast one lowers the estimate slowly. That makes a peer that
 * stalls expensive after its first slow call. Two rules keep the estimate honest. A failure counts as a long latency for
 * that long, because otherwise a peer that fails fast looks like the best one; it is not averaged in, because then it
 * would be remembered long after the peer is well. And a peer of which nothing is known, a new one or one whose failure is
 * that long ago, is asked by one call at a time, because otherwise it looks free and takes everything.
 *
 * @see https://github.com/twitter/finagle/blob/develop/finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/PeakEwma.scala
 * @see https://linkerd.io/2-edge/tasks/rate-limit-aware-load-balancing/
 */
import { Duration } from "effect"
import type { PeerStats } from "../peer/PeerStats.ts"
import type { Load } from "./Picker.ts"

/** Above any latency: the cost of a peer whose first answer is still to come. */
const probing = 2 ** 47

/** Keeps a measured peer distinguishable from an unmeasured one, whose cost is 0. Milliseconds. */
const least = 1e-3

/**
 * Latency weighted toward peaks. `tau` is the time constant of forgetting (default 10 seconds); `penalty` the least
 * time a failure keeps other calls away (default 5 seconds).
 *
 * @category loads
 * @since 0.1.0
 */
export const make = (options?: {
  readonly tau?: Duration.Input | undefined
  readonly penalty?: Duration.Input | undefined
}): Load => {
  const tau = Duration.toMillis(options?.tau ?? "10 seconds")
  const penalty = Duration.toMillis(options?.penalty ?? "5 seconds")

  // A clock that stepped back must not make an estimate grow.
  const decay = (stats: PeerStats, now: number): number => Math.exp(-Math.max(0, now - stats.stamp) / tau)

  const unknown = (stats: PeerStats): number => (stats.pending === 0 ? 0 : probing + stats.pending)

  return {
    cost(stats, now) {
      if (stats.retryAt !== 0) return now < stats.retryAt ? stats.cost * (stats.pending + 1) : unknown(stats)
      if (stats.cost === 0) return unknown(stats)
      return stats.cost * decay(stats, now) * (stats.pending + 1)
    },
    observe(stats, outcome, elapsed, now) {
      const latency = Math.max(least, elapsed)
      if (outcome === "failure" || outcome === "rejected") {
        stats.cost = Math.max(penalty, latency)
        stats.retryAt = now + stats.cost
      } else if (outcome === "ignorable") {
        // A call its caller gave up took at least this long; that it was short says nothing good of the peer.
        if (stats.retryAt !== 0 || latency <= stats.cost) return
        stats.cost = latency
      } else if (stats.retryAt !== 0 || latency > stats.cost) {
        stats.cost = latency
        stats.retryAt = 0
      } else {
        const weight = decay(stats, now)
        stats.cost = Math.max(least, stats.cost * weight + latency * (1 - weight))
      }
      stats.stamp = now
    }
  }
}
