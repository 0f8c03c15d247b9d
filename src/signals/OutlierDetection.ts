/**
 * Ejects peers that do badly in comparison with the others.
 *
 * A peer that fails a third of its calls opens no circuit breaker, but is an outlier if no other peer fails. All peers are
 * compared once in each interval. An outlier gets no calls for a while, longer each time. Only a share of the peers may be
 * ejected at once: if most of them fail, the cause is not in the peers.
 *
 * If many clients compared at the same instant, all of them would eject a peer together and take it back together. So each
 * client begins at a random instant.
 *
 * @see https://github.com/grpc/proposal/blob/master/A50-xds-outlier-detection.md
 */
import { Clock, Duration, Effect, Random } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Signal from "./Signal.ts"
import * as HealthVerdict from "./HealthVerdict.ts"
import * as MetricsRecorder from "./MetricsRecorder.ts"

/**
 * The calls of a peer that ended in the last interval.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallCounts {
  readonly succeeded: number
  readonly failed: number
}

/**
 * A comparison: given the counts of all peers, returns why a peer is an outlier, or `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Comparison {
  readonly method: MetricsRecorder.DetectionMethod
  /** The chance that an outlier is in fact ejected, from 0 to 1. */
  readonly enforcement: number
  readonly judge: (all: ReadonlyArray<CallCounts>) => (counts: CallCounts) => string | undefined
}

const volume = ({ failed, succeeded }: CallCounts): number => failed + succeeded
const percent = (share: number): string => `${Math.round(share * 100)} %`
const successRateOf = (counts: CallCounts): number => counts.succeeded / volume(counts)
const noOutlier = () => undefined

/**
 * A success rate below the mean of all by more than so many standard deviations (default 1.9). Looks only at peers with
 * at least `requestVolume` calls (default 100), and only if there are `minimumHosts` of them (default 5).
 *
 * @category comparisons
 * @since 0.1.0
 */
export const successRate = (options?: {
  readonly deviations?: number | undefined
  readonly enforcement?: number | undefined
  readonly minimumHosts?: number | undefined
  readonly requestVolume?: number | undefined
}): Comparison => ({
  method: "success_rate",
  enforcement: options?.enforcement ?? 1,
  judge(all) {
    const minVolume = options?.requestVolume ?? 100
    const rates = all.filter((counts) => volume(counts) >= minVolume).map((counts) => counts.succeeded / volume(counts))
    if (rates.length < (options?.minimumHosts ?? 5)) return noOutlier
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length
    const threshold = mean - (options?.deviations ?? 1.9) * Math.sqrt(variance)
    return (counts) => {
      const rate = counts.succeeded / volume(counts)
      return volume(counts) >= minVolume && rate < threshold
        ? `${percent(rate)} of calls succeeded, of all peers' ${percent(mean)}`
        : undefined
    }
  }
})

/**
 * A share of failures above a threshold (default 0.85). Looks only at peers with at least `requestVolume` calls (default
 * 50), and only if there are `minimumHosts` of them (default 5).
 *
 * @category comparisons
 * @since 0.1.0
 */
export const failurePercentage = (options?: {
  readonly threshold?: number | undefined
  readonly enforcement?: number | undefined
  readonly minimumHosts?: number | undefined
  readonly requestVolume?: number | undefined
}): Comparison => ({
  method: "failure_percentage",
  enforcement: options?.enforcement ?? 1,
  judge(all) {
    const minVolume = options?.requestVolume ?? 50
    const hosts = all.filter((counts) => volume(counts) >= minVolume).length
    if (hosts < (options?.minimumHosts ?? 5)) return noOutlier
    return (counts) => {
      const rate = counts.failed / volume(counts)
      return volume(counts) >= minVolume && rate > (options?.threshold ?? 0.85)
        ? `${percent(rate)} of calls failed`
        : undefined
    }
  }
})

/** What is kept of a peer from one comparison to the next. */
class PeerRecord {
  succeeded = 0
  failed = 0
  /** How often it was ejected, less the comparisons that have not ejected it since. */
  multiplier = 0
  verdict: HealthVerdict.HealthVerdict | undefined = undefined
}

/** The options of `make` with their defaults; times in milliseconds. */
interface Settings {
  readonly comparisons: ReadonlyArray<Comparison>
  readonly interval: number
  readonly baseEjectionTime: number
  readonly maxEjectionTime: number
  readonly maxEjectionShare: number
}

/** Outlier detection at work in one pool. */
class OutlierDetector {
  readonly #settings: Settings
  readonly #random: Random.Random
  readonly #recorder: MetricsRecorder.MetricsRecorder
  #records: ReadonlyMap<Peer, PeerRecord> = new Map()
  #nextComparison: number

  constructor(
    settings: Settings,
    { now, random, recorder }: { random: Random.Random; recorder: MetricsRecorder.MetricsRecorder; now: number }
  ) {
    this.#settings = settings
    this.#random = random
    this.#recorder = recorder
    this.#nextComparison = now + settings.interval * (1 - random.nextDoubleUnsafe())
  }

  /** Counts the end of an attempt. */
  readonly observe: Signal.Sink = (peer, outcome) => {
    const record = this.#records.get(peer)
    if (record === undefined) return
    if (outcome === "success") record.succeeded++
    else if (outcome !== "ignorable") record.failed++
  }

  /** Compares the peers if it is time to, and returns the verdicts. */
  readonly evaluate = (peers: ReadonlyArray<Peer>, now: number): Signal.View => {
    this.#records = new Map(peers.map((peer) => [peer, this.#records.get(peer) ?? new PeerRecord()]))
    if (now >= this.#nextComparison) {
      this.#endInterval(now)
      this.#nextComparison = now + this.#settings.interval
    }
    const verdicts = new Map<Peer, HealthVerdict.HealthVerdict>()
    for (const [peer, { verdict }] of this.#records) if (verdict !== undefined) verdicts.set(peer, verdict)
    return { verdicts, next: this.#nextComparison }
  }

  /** Compares the peers, begins to count anew, and takes back the peers whose ejection time is over. */
  #endInterval(now: number): void {
    const all = [...this.#records.values()]
    const ejectedBefore = new Set(all.filter(({ verdict }) => verdict !== undefined))
    this.#compare(all, now)
    for (const record of all) {
      record.succeeded = record.failed = 0
      if (record.verdict === undefined) record.multiplier = Math.max(0, record.multiplier - 1)
      else if (ejectedBefore.has(record) && now >= record.verdict.until) record.verdict = undefined
    }
  }

  #compare(all: ReadonlyArray<PeerRecord>, now: number): void {
    const maxEjected = this.#settings.maxEjectionShare * all.length
    let ejected = all.filter(({ verdict }) => verdict !== undefined).length
    // The worst come first, because not all of them may be ejected.
    const worstFirst = all.filter((record) => volume(record) > 0).sort((a, b) => successRateOf(a) - successRateOf(b))
    for (const { enforcement, judge, method } of this.#settings.comparisons) {
      const causeOf = judge(all)
      for (const record of worstFirst) {
        const cause = record.verdict === undefined ? causeOf(record) : undefined
        if (cause === undefined) continue
        if (ejected >= maxEjected) this.#recorder.unenforced(method, "max_ejection_overflow")
        else if (this.#random.nextDoubleUnsafe() >= enforcement) {
          this.#recorder.unenforced(method, "enforcement_percentage")
        } else {
          this.#eject(record, cause, now)
          ejected++
          this.#recorder.ejected(method)
        }
      }
    }
  }

  #eject(record: PeerRecord, cause: string, now: number): void {
    const { baseEjectionTime, maxEjectionTime } = this.#settings
    record.multiplier++
    const time = Math.min(baseEjectionTime * record.multiplier, maxEjectionTime)
    record.verdict = HealthVerdict.ejected(cause, now + time)
  }
}

/**
 * Compares the peers every `interval` (default 10 seconds), and ejects an outlier for `baseEjectionTime` (default
 * 30 seconds) times the number of times it was ejected, at most `maxEjectionTime` (default 5 minutes). No peer is ejected
 * while `maxEjectionShare` of them are (default 0.1). The first comparison after its time takes an ejected peer back.
 *
 * @category signals
 * @since 0.1.0
 */
export const make = (options?: {
  /** Default both, as they come. */
  readonly comparisons?: ReadonlyArray<Comparison> | undefined
  readonly interval?: Duration.Input | undefined
  readonly baseEjectionTime?: Duration.Input | undefined
  readonly maxEjectionTime?: Duration.Input | undefined
  readonly maxEjectionShare?: number | undefined
}): Signal.Signal => {
  const baseEjectionTime = Duration.toMillis(options?.baseEjectionTime ?? "30 seconds")
  const settings: Settings = {
    comparisons: options?.comparisons ?? [successRate(), failurePercentage()],
    interval: Duration.toMillis(options?.interval ?? "10 seconds"),
    baseEjectionTime,
    maxEjectionTime: Math.max(baseEjectionTime, Duration.toMillis(options?.maxEjectionTime ?? "5 minutes")),
    maxEjectionShare: options?.maxEjectionShare ?? 0.1
  }
  return {
    name: "outlier detection",
    make: Effect.gen(function* () {
      const random = yield* Random.Random
      const recorder = yield* MetricsRecorder.Current
      const { evaluate, observe } = new OutlierDetector(settings, {
        random,
        recorder,
        now: Deadline.nowUnsafe(yield* Clock.Clock)
      })
      return { observe, verdicts: Signal.driven(evaluate) }
    })
  }
}
