/**
 * Load as expected latency: a moving average that jumps to peaks, times the calls under way. Streams that are open are not
 * among these, once they have said something or have been quiet for a second.
 *
 * A slow answer is believed at once and forgiven slowly; a fast one lowers the estimate slowly. That makes a peer that
 * stalls expensive after its first slow call. Four rules keep the estimate honest:
 *
 * - Who owes an answer is as slow as the silence is long. A peer that hangs ends no call, so all that it has answered speaks
 *   for it, and it would be sent calls until the first of them is given up.
 * - What is forgotten turns into the mean of all peers, not into nothing. A client with little traffic meets a peer less
 *   often than it forgets, and would try a slow one again each time as if it were free.
 * - A failure counts as a long latency for that long, because otherwise a peer that fails fast looks like the best one; a
 *   server that says how long it wants to be left alone is believed. It is not averaged in, because then it would be
 *   remembered long after the peer is well, and it fades, so that not everybody comes back in the same moment.
 * - A peer of which nothing is known, a new one or one whose failure is that long ago, is asked by one call at a time,
 *   because otherwise it looks free and takes everything. Streams that are being opened there make it as slow as the mean:
 *   one that stays quiet must not keep all calls away.
 *
 * @see https://github.com/twitter/finagle/blob/develop/finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/PeakEwma.scala
 * @see https://linkerd.io/2-edge/tasks/rate-limit-aware-load-balancing/
 */
import { Duration } from "effect"
import type { Load, LoadPolicy } from "./Picker.ts"

/** Above any latency: the cost of a peer whose first answer is still to come. */
const probing = 2 ** 47

/** Keeps a measured peer distinguishable from an unmeasured one, whose cost is 0. Milliseconds. */
const least = 1e-3

/** No server is left alone longer than this, whatever it asks for. Milliseconds. */
const longest = 300_000

/** How many answers make a mean. */
const enough = 64

/**
 * Of an estimate this old or younger, in time constants, two terms of a series say how much is forgotten: right to 5 digits,
 * at a quarter of the cost, and in a pool with traffic nothing is older. It is written out in each place, because a fraction
 * that goes to a function and back is an object each time the compiler does not dissolve the call; one such call on a path
 * that is never taken makes objects of the fractions on the others.
 */
const young = 1 / 16

/**
 * What one pool has seen. The cost in a peer's stats is its latency, 0 before the first, or below 0 the penalty for its last
 * failure, which counts from the stamp. `pace` is time constants to the millisecond; a penalty is in milliseconds.
 */
const memory = (pace: number, penalty: number): Load => {
  // In an array, because a fraction that is kept in a variable is an allocation each time.
  const running = new Float64Array(3)
  /** The mean latency of all peers: of as many answers as there were, or so many, and forgotten at about the same pace. */
  const mean = 0
  const meanAt = 1
  /** What part of that mean one answer is. */
  const share = 2
  let answers = 0

  const load: Load = {
    cost(stats, now) {
      const { cost, stamp, unanswered } = stats
      // Written out as well: it is `stats.underWay(now)`.
      const calls = now < stats.quietAt ? unanswered + stats.opening : unanswered
      if (cost <= 0) {
        const left = stamp - cost - now
        // A penalty is worth what is left of it, but never less than an answer.
        if (left > 0) return Math.max(running[mean]!, left) * (calls + 1)
        if (unanswered > 0) return probing + calls
        // A stream is no probe, because it may never say anything.
        return calls === 0 ? 0 : Math.max(running[mean]!, least) * (calls + 1)
      }
      const age = (now - stamp) * pace
      const forgotten = age > young ? 1 - Math.exp(-age) : age < 0 ? 0 : age * (1 - age / 2)
      const expected = cost + (running[mean]! - cost) * forgotten
      // A call that has waited longer than that need not end to say so.
      const silent = unanswered === 0 ? 0 : now - Math.max(stamp, stats.askedAt)
      return (silent > expected ? silent : expected) * (calls + 1)
    },
    costByWeight(stats, now, weight) {
      const calls = stats.underWay(now)
      return (load.cost(stats, now) / (calls + 1)) * (calls / weight + 1)
    },
    observe(stats, outcome, elapsed, now, retryAfter = 0) {
      const latency = Math.max(least, elapsed)
      if (outcome === "failure" || outcome === "rejected") {
        stats.cost = -Math.max(penalty, latency, Math.min(longest, retryAfter))
      } else if (outcome === "ignorable") {
        // A call its caller gave up took at least this long; that it was short says nothing good of the peer.
        if (stats.cost < 0 || latency <= stats.cost) return
        stats.cost = latency
      } else {
        if (answers < enough) running[share] = 1 / ++answers
        const since = (now - running[meanAt]!) * pace
        // An answer that comes so soon after the last that age adds nothing needs no division.
        const part = since * enough > 1 ? Math.max(running[share]!, since / (1 + since)) : running[share]!
        running[mean]! += (latency - running[mean]!) * part
        running[meanAt] = now
        if (latency > stats.cost) stats.cost = latency
        else {
          const age = (now - stats.stamp) * pace
          const forgotten = age > young ? 1 - Math.exp(-age) : age < 0 ? 0 : age * (1 - age / 2)
          stats.cost += (latency - stats.cost) * forgotten
        }
      }
      stats.stamp = now
    }
  }
  return load
}

/**
 * Latency weighted toward peaks. `tau` is the time constant of forgetting (default 10 seconds); `penalty` the least
 * time a failure keeps other calls away (default 5 seconds). Each pool remembers the mean of what it has seen itself.
 *
 * @category loads
 * @since 0.1.0
 */
export const make = (options?: {
  readonly tau?: Duration.Input | undefined
  readonly penalty?: Duration.Input | undefined
}): LoadPolicy => {
  const pace = 1 / Duration.toMillis(options?.tau ?? "10 seconds")
  const penalty = Duration.toMillis(options?.penalty ?? "5 seconds")
  return { make: () => memory(pace, penalty) }
}
