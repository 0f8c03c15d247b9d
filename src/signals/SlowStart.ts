/**
 * Gives a peer that is new, or back, its share of the calls little by little.
 *
 * A process that has just started has cold caches, empty pools and unwarmed code; a full share at once makes it slow, and
 * slow looks broken. So its weight grows over a window. It counts from when the peer may be sent calls, whoever kept them
 * away before, so a peer that failed and is let back comes back slowly too.
 *
 * All weights change at the same instants, some twenty per window, so that many new peers do not mean many new pickers.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/slow_start
 */
import { Duration, Effect } from "effect"
import type { Peer } from "../peer/Peer.ts"
import * as Signal from "./Signal.ts"
import * as HealthVerdict from "./HealthVerdict.ts"

const steps = 20

/** How long a peer has been taking calls. */
interface Start {
  readonly at: number
  step: number
  verdict: HealthVerdict.HealthVerdict
}

/**
 * Lowers the weight of a peer that has been ready for less than `window` (default 30 seconds): to
 * `(time / window) ^ (1 / aggression)`, and never below `least` (default 0.1). An aggression of 1, the default, is a
 * straight line; a higher one rises sooner.
 *
 * @category signals
 * @since 0.1.0
 */
export const make = (options?: {
  readonly window?: Duration.Input | undefined
  readonly least?: number | undefined
  readonly aggression?: number | undefined
}): Signal.Signal => {
  const window = Duration.toMillis(options?.window ?? "30 seconds")
  const least = options?.least ?? 0.1
  const exponent = 1 / (options?.aggression ?? 1)
  const width = window / steps

  const weightAt = (age: number): number => Math.max(least, Math.min(1, (age / window) ** exponent))
  // Of a peer that takes no calls yet, so that it is not at its full weight when it begins to.
  const cold = HealthVerdict.weighted(least, "new")

  return {
    name: "slow start",
    make: Effect.sync(() => {
      let starts = new Map<Peer, Start>()

      const grow = (start: Start, now: number): void => {
        const step = Math.floor(now / width)
        if (step === start.step) return
        start.step = step
        const weight = weightAt(step * width - start.at)
        start.verdict = weight === least ? cold : HealthVerdict.weighted(weight, "new", (step + 1) * width)
      }

      return {
        observe: undefined,
        verdicts: Signal.driven((peers, now, standing) => {
          const before = starts
          starts = new Map()
          const verdicts = new Map<Peer, HealthVerdict.HealthVerdict>()
          let growing = false
          for (const peer of peers) {
            const stands = standing(peer)
            // The one call of a peer on probation is to come soon.
            if (stands === "Probe") continue
            if (peer.status.state !== "Ready" || stands === "Ejected") {
              verdicts.set(peer, cold)
              continue
            }
            const start = before.get(peer) ?? { at: now, step: Math.floor(now / width), verdict: cold }
            starts.set(peer, start)
            grow(start, now)
            // A window of 0 has no steps.
            if (start.verdict.weight === 1 || !(width > 0)) continue
            growing = true
            verdicts.set(peer, start.verdict)
          }
          return { verdicts, next: growing ? (Math.floor(now / width) + 1) * width : Infinity }
        })
      }
    })
  }
}
