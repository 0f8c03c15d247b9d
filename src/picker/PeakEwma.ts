/**
 * Load as expected latency: a moving average that jumps to peaks, times the calls under way.
 *
 * A slow answer is believed at once and forgiven slowly; a fast one lowers the estimate slowly. That makes a peer that
 * stalls expensive after its first slow call. Three rules keep the estimate honest:
 *
 * - What is forgotten turns into the mean of all peers, not into nothing. A client with little traffic meets a peer less
 *   often than it forgets, and would try a slow one again each time as if it were free.
 * - A failure counts as a long latency for that long, because otherwise a peer that fails fast looks like the best one; a
 *   server that says how long it wants to be left alone is believed. It is not averaged in, because then it would be
 *   remembered long after the peer is well, and it fades, so that not everybody comes back in the same moment.
 * - A peer of which nothing is known, a new one or one whose failure is that long ago, is asked by one call at a time,
 *   because otherwise it looks free and takes everything.
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

/** No server is left alone longer than this, whatever it asks for. Milliseconds. */
const longest = 300_000

/** How many answers make a mean. */
const enough = 64

const unknown = (stats: PeerStats): number => (stats.pending === 0 ? 0 : probing + stats.pending)

/**
 * Latency weighted toward peaks. `tau` is the time constant of forgetting (default 10 seconds); `penalty` the least
 * time a failure keeps other calls away (default 5 seconds). It remembers the mean of what it has seen, so make one for
 * each pool.
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

  /** The mean latency of all peers: of as many answers as there were, or so many, and forgotten at the same pace. */
  let mean = 0
  let meanAt = 0
  let answers = 0

  /** What is left after a time. A clock that stepped back must not make an estimate grow. */
  const left = (since: number, now: number): number => {
    const x = (now - since) / tau
    if (x <= 0) return 1
    // The series is exact to a millionth here, and a fraction of the price.
    return x < 0.05 ? 1 - x * (1 - x * (0.5 - x / 6)) : Math.exp(-x)
  }

  const projected = (stats: PeerStats, now: number): number => mean + (stats.cost - mean) * left(stats.stamp, now)

  const learn = (latency: number, now: number): void => {
    answers = Math.min(enough, answers + 1)
    mean += (latency - mean) * Math.max(1 - left(meanAt, now), 1 / answers)
    meanAt = now
  }

  return {
    cost(stats, now) {
      if (stats.cost === 0) return unknown(stats)
      if (stats.retryAt === 0) return projected(stats, now) * (stats.pending + 1)
      // A penalty is worth what is left of it, but never less than an answer.
      if (now < stats.retryAt) return Math.max(mean, stats.retryAt - now) * (stats.pending + 1)
      return unknown(stats)
    },
    observe(stats, outcome, elapsed, now, retryAfter = 0) {
      const latency = Math.max(least, elapsed)
      if (outcome === "failure" || outcome === "rejected") {
        stats.cost = Math.max(penalty, latency, Math.min(longest, retryAfter))
        stats.retryAt = now + stats.cost
      } else if (outcome === "ignorable") {
        // A call its caller gave up took at least this long; that it was short says nothing good of the peer.
        if (stats.retryAt !== 0 || latency <= stats.cost) return
        stats.cost = latency
      } else {
        learn(latency, now)
        if (stats.retryAt !== 0 || latency > stats.cost) {
          stats.cost = latency
          stats.retryAt = 0
        } else {
          const weight = left(stats.stamp, now)
          stats.cost = Math.max(least, stats.cost * weight + latency * (1 - weight))
        }
      }
      stats.stamp = now
    }
  }
}
