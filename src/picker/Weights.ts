/**
 * What peers' own load reports make of their shares.
 *
 * A backend that reports how many queries it serves and how busy that makes it has said what it could serve: queries over
 * utilization. That is its weight. A new backend's first numbers are of a cold process, so for a while they do not count;
 * numbers that stop coming stop counting too. `ReportedLoad` hears reports, with each answer or out of band, and feeds them in
 * here; so may anybody else.
 *
 * @see https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md
 */
import { Duration } from "effect"

/**
 * What a backend says of itself: queries and errors per second, and how much of it that takes; 1 is all of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly queriesPerSecond: number
  readonly errorsPerSecond?: number | undefined
  readonly utilization: number
}

/**
 * The weights reports have come to. They are one memory for the pools that share it. `now` is in milliseconds of the
 * monotonic clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Weights {
  /** Takes a peer's report. One without queries or without load says nothing, and is ignored. */
  readonly report: (peer: string, report: Report, now: number) => void
  /** A peer's weight, in queries per second it could serve; `undefined` if nothing is known that counts. */
  readonly get: (peer: string, now: number) => number | undefined
  /** Whether a peer has no weight because its last report is too old, and not because its reports have just begun. */
  readonly isStale: (peer: string, now: number) => boolean
  /** A peer has a new connection: its reports begin again. */
  readonly restart: (peer: string) => void
}

interface Entry {
  weight: number
  /** When reports began without a gap. */
  since: number
  /** When the last one came. */
  updated: number
}

/**
 * The weight of a report: queries per second over utilization, where errors count as utilization too, times the penalty.
 * 0 if it says nothing.
 *
 * @example
 * import { Weights } from "trunkline/extend"
 *
 * Weights.weigh({ queriesPerSecond: 100, utilization: 0.5 }) // => 200
 * Weights.weigh({ queriesPerSecond: 100, errorsPerSecond: 50, utilization: 0.5 }) // => 100
 *
 * @category getters
 * @since 0.1.0
 */
export const weigh = (report: Report, errorPenalty = 1): number => {
  const { queriesPerSecond, utilization } = report
  if (!(queriesPerSecond > 0 && utilization > 0)) return 0
  const weight =
    queriesPerSecond / (utilization + (Math.max(0, report.errorsPerSecond ?? 0) / queriesPerSecond) * errorPenalty)
  return Number.isFinite(weight) ? weight : 0
}

/**
 * Makes an empty memory. `blackout` is how long a peer's reports must have come before they count (default 10 seconds),
 * `expiration` how long the last one does (default 3 minutes), `errorPenalty` how much errors count (default 1).
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: {
  readonly blackout?: Duration.Input | undefined
  readonly expiration?: Duration.Input | undefined
  readonly errorPenalty?: number | undefined
}): Weights => {
  const blackout = Duration.toMillis(options?.blackout ?? "10 seconds")
  const expiration = Duration.toMillis(options?.expiration ?? "3 minutes")
  const entries = new Map<string, Entry>()
  return {
    report(peer, report, now) {
      const weight = weigh(report, options?.errorPenalty)
      if (weight === 0) return
      const entry = entries.get(peer)
      if (entry === undefined) {
        entries.set(peer, { weight, since: now, updated: now })
        return
      }
      if (now - entry.updated >= expiration) entry.since = now
      entry.weight = weight
      entry.updated = now
    },
    get(peer, now) {
      const entry = entries.get(peer)
      if (entry === undefined || now - entry.updated >= expiration || now - entry.since < blackout) return undefined
      return entry.weight
    },
    isStale(peer, now) {
      const entry = entries.get(peer)
      return entry !== undefined && now - entry.updated >= expiration
    },
    restart: (peer) => void entries.delete(peer)
  }
}
