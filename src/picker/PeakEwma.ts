/**
 * Load as expected latency: a moving average that jumps to peaks, times the calls under way.
 *
 * A slow answer is believed at once and forgiven slowly; a fast one lowers the estimate slowly. That makes a peer that
 * stalls expensive after its first slow call. Two rules keep the estimate honest: a failure counts as a long latency,
 * because otherwise a peer that fails fast looks like the best one; and a peer never measured gets one probe at a time,
 * because otherwise a new peer looks free and takes everything.
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
 * latency a failed attempt counts as (default 5 seconds).
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

  return {
    cost(stats, now) {
      if (stats.cost === 0) return stats.pending === 0 ? 0 : probing + stats.pending
      return stats.cost * decay(stats, now) * (stats.pending + 1)
    },
    observe(stats, outcome, elapsed, now) {
      const latency = Math.max(
        least,
        outcome === "failure" || outcome === "rejected" ? Math.max(penalty, elapsed) : elapsed
      )
      if (latency > stats.cost) {
        stats.cost = latency
      } else if (outcome === "ignorable") {
        // A call its caller gave up took at least this long; that it was short says nothing good of the peer.
        return
      } else {
        const weight = decay(stats, now)
        stats.cost = Math.max(least, stats.cost * weight + latency * (1 - weight))
      }
      stats.stamp = now
    }
  }
}
