/**
 * Ejects peers that do badly in comparison with the others.
 *
 * One peer that fails a third of its calls trips no breaker, and yet is plainly ill when nobody else fails. From time to
 * time all peers are compared; who stands out gets no calls for a while, longer each time. Only so many may be out at
 * once: if most of them fail it is not they who are ill.
 *
 * The comparisons of many clients must not fall on one instant, or all of them eject a peer together and take it back
 * together; so each client begins at an instant of its own.
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
 * What a peer did in the interval that has ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tally {
  readonly succeeded: number
  readonly failed: number
}

/**
 * A comparison: given the tallies of all peers, says why one is an outlier, or `undefined`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Comparison {
  readonly method: MetricsRecorder.DetectionMethod
  /** The chance that an outlier is in fact ejected, from 0 to 1. */
  readonly enforcement: number
  readonly judge: (all: ReadonlyArray<Tally>) => (tally: Tally) => string | undefined
}

const volume = ({ failed, succeeded }: Tally): number => failed + succeeded
const percent = (share: number): string => `${Math.round(share * 100)} %`
const nobody = () => undefined

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
    const least = options?.requestVolume ?? 100
    const rates = all.filter((tally) => volume(tally) >= least).map((tally) => tally.succeeded / volume(tally))
    if (rates.length < (options?.minimumHosts ?? 5)) return nobody
    const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length
    const variance = rates.reduce((sum, rate) => sum + (rate - mean) ** 2, 0) / rates.length
    const threshold = mean - (options?.deviations ?? 1.9) * Math.sqrt(variance)
    return (tally) => {
      const rate = tally.succeeded / volume(tally)
      return volume(tally) >= least && rate < threshold
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
    const least = options?.requestVolume ?? 50
    const hosts = all.filter((tally) => volume(tally) >= least).length
    if (hosts < (options?.minimumHosts ?? 5)) return nobody
    return (tally) => {
      const rate = tally.failed / volume(tally)
      return volume(tally) >= least && rate > (options?.threshold ?? 0.85)
        ? `${percent(rate)} of calls failed`
        : undefined
    }
  }
})

/** What is kept of a peer from one comparison to the next. */
class Ledger {
  succeeded = 0
  failed = 0
  /** How often it was ejected, less the comparisons it came through since. */
  multiplier = 0
  verdict: HealthVerdict.HealthVerdict | undefined = undefined
}

/**
 * Compares the peers every `interval` (default 10 seconds), and ejects an outlier for `baseEjectionTime` (default
 * 30 seconds) times the number of times it was ejected, at most `maxEjectionTime` (default 5 minutes). No peer is ejected
 * while `maxEjectionShare` of them are (default 0.1). An ejected peer is let back by the first comparison after its time.
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
  const comparisons = options?.comparisons ?? [successRate(), failurePercentage()]
  const interval = Duration.toMillis(options?.interval ?? "10 seconds")
  const base = Duration.toMillis(options?.baseEjectionTime ?? "30 seconds")
  const longest = Math.max(base, Duration.toMillis(options?.maxEjectionTime ?? "5 minutes"))
  const share = options?.maxEjectionShare ?? 0.1

  return {
    name: "outlier detection",
    make: Effect.gen(function* () {
      const random = yield* Random.Random
      const recorder = yield* MetricsRecorder.Current
      const started = Deadline.nowUnsafe(yield* Clock.Clock)
      let sweepAt = started + interval * (1 - random.nextDoubleUnsafe())
      let ledgers = new Map<Peer, Ledger>()

      const eject = (ledger: Ledger, cause: string, now: number): void => {
        ledger.multiplier++
        ledger.verdict = HealthVerdict.ejected(cause, now + Math.min(base * ledger.multiplier, longest))
      }

      const compare = (all: ReadonlyArray<Ledger>, now: number): void => {
        let ejected = all.filter(({ verdict }) => verdict !== undefined).length
        // The worst first, as not all of them may be ejected.
        const worst = all.filter((ledger) => volume(ledger) > 0).sort((a, b) => successOf(a) - successOf(b))
        for (const { enforcement, judge, method } of comparisons) {
          const judged = judge(all)
          for (const ledger of worst) {
            const cause = ledger.verdict === undefined ? judged(ledger) : undefined
            if (cause === undefined) continue
            if (ejected >= share * all.length) recorder.unenforced(method, "max_ejection_overflow")
            else if (random.nextDoubleUnsafe() >= enforcement) recorder.unenforced(method, "enforcement_percentage")
            else {
              eject(ledger, cause, now)
              ejected++
              recorder.ejected(method)
            }
          }
        }
      }

      const sweep = (now: number): void => {
        const all = [...ledgers.values()]
        const before = new Set(all.filter(({ verdict }) => verdict !== undefined))
        compare(all, now)
        for (const ledger of all) {
          ledger.succeeded = ledger.failed = 0
          if (ledger.verdict === undefined) ledger.multiplier = Math.max(0, ledger.multiplier - 1)
          else if (before.has(ledger) && now >= ledger.verdict.until) ledger.verdict = undefined
        }
      }

      return {
        observe(peer, outcome) {
          const ledger = ledgers.get(peer)
          if (ledger === undefined) return
          if (outcome === "success") ledger.succeeded++
          else if (outcome !== "ignorable") ledger.failed++
        },
        verdicts: Signal.driven((peers, now) => {
          ledgers = new Map(peers.map((peer) => [peer, ledgers.get(peer) ?? new Ledger()]))
          if (now >= sweepAt) {
            sweep(now)
            sweepAt = now + interval
          }
          const verdicts = new Map<Peer, HealthVerdict.HealthVerdict>()
          for (const [peer, { verdict }] of ledgers) if (verdict !== undefined) verdicts.set(peer, verdict)
          return { verdicts, next: sweepAt }
        })
      }
    })
  }
}

const successOf = (tally: Tally): number => tally.succeeded / volume(tally)
