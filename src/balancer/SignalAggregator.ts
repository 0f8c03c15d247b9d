/**
 * Merges the verdicts of a pool's signals.
 *
 * Each set of verdicts replaces the earlier set of the same signal. Together they give one verdict for each peer that a
 * signal has one for.
 */
import { Clock, Effect, FiberSet, type Scope, Stream } from "effect"
import type { Peer } from "../peer/Peer.ts"
import * as HealthVerdict from "../signals/HealthVerdict.ts"
import * as Signal from "../signals/Signal.ts"
import { type Probe, Probations } from "./Probations.ts"
import type { Problems } from "./Problems.ts"

/** What the aggregator needs of its pool. */
export interface Pool {
  readonly problems: Problems
  /** How long the one call of a peer on probation keeps others from it, in milliseconds. */
  readonly probeTimeout: number
  readonly peers: Stream.Stream<ReadonlyArray<Peer>>
  /** A verdict has changed. `statusChanged` says whether a verdict's status did, and not only its weight or cause. */
  readonly changed: (statusChanged: boolean) => void
}

const equal = (a: Signal.Verdicts, b: Signal.Verdicts): boolean => {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [peer, verdict] of a) if (b.get(peer) !== verdict) return false
  return true
}

const sameStatuses = (a: Signal.Verdicts, b: Signal.Verdicts): boolean => {
  for (const [peer, { status }] of a) if ((b.get(peer) ?? HealthVerdict.healthy).status !== status) return false
  for (const [peer, { status }] of b) if (!a.has(peer) && status !== "Ready") return false
  return true
}

/**
 * The verdicts of all signals of a pool.
 *
 * @category models
 * @since 0.1.0
 */
export class SignalAggregator {
  /** Called for each attempt that ends. */
  readonly sinks: ReadonlyArray<Signal.Sink>
  readonly #clock: Clock.Clock
  readonly #probations: Probations
  readonly #changed: Pool["changed"]
  /** The last verdicts of each signal. */
  readonly #latest: Array<Signal.Verdicts>
  #merged: Signal.Verdicts = new Map()
  #since = new Map<Peer, number>()

  constructor(
    detectors: ReadonlyArray<Signal.Detector>,
    options: { readonly changed: Pool["changed"]; readonly probations: Probations; readonly clock: Clock.Clock }
  ) {
    this.sinks = detectors.flatMap(({ observe }) => observe ?? [])
    this.#latest = detectors.map(() => Signal.noVerdicts)
    this.#changed = options.changed
    this.#probations = options.probations
    this.#clock = options.clock
  }

  /** The merged verdict on a peer. */
  readonly verdictOf = (peer: Peer): HealthVerdict.HealthVerdict => this.#merged.get(peer) ?? HealthVerdict.healthy

  /** Since when a peer's verdict has its status, in milliseconds of the wall clock; `undefined` if it has no verdict. */
  readonly sinceOf = (peer: Peer): number | undefined => this.#since.get(peer)

  /** Whether a peer may be sent a call now. */
  readonly allows = (peer: Peer): boolean => {
    if (this.#merged.size === 0) return true
    const verdict = this.#merged.get(peer)
    if (verdict === undefined || verdict.status === "Ready") return true
    return verdict.status === "Probe" && this.#probations.allows(peer)
  }

  /** A peer is sent a call. If it is on probation and has no probe, this call is its probe. */
  readonly takeProbe = (peer: Peer): Probe | undefined => this.#probations.take(peer)

  /** A signal has a new set of verdicts. */
  replace(index: number, verdicts: Signal.Verdicts): void {
    if (equal(this.#latest[index]!, verdicts)) return
    this.#latest[index] = verdicts
    const before = this.#merged
    const merged = new Map<Peer, HealthVerdict.HealthVerdict>()
    const probes = new Map<Peer, Array<HealthVerdict.HealthVerdict>>()
    for (const latest of this.#latest) {
      for (const [peer, verdict] of latest) {
        merged.set(peer, HealthVerdict.merge(merged.get(peer) ?? HealthVerdict.healthy, verdict))
        if (verdict.status === "Probe") probes.set(peer, [...(probes.get(peer) ?? []), verdict])
      }
    }
    const now = this.#clock.currentTimeMillisUnsafe()
    this.#since = new Map(
      [...merged].map(([peer, { status }]) => [
        peer,
        before.get(peer)?.status === status ? this.#since.get(peer)! : now
      ])
    )
    this.#merged = merged
    this.#probations.update(probes)
    this.#changed(!sameStatuses(before, merged))
  }
}

/**
 * Runs signals on the peers of a pool until the scope closes. A signal that ends has no verdicts. One that dies of a defect
 * has none until it runs again.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  signals: ReadonlyArray<Signal.Signal>,
  pool: Pool
): Effect.fn.Return<SignalAggregator, never, Scope.Scope> {
  const detectors = yield* Effect.forEach(signals, (signal) => signal.make)
  const fork = yield* FiberSet.makeRuntime<never, void>()
  const { probeTimeout } = pool
  const probations = new Probations({ probeTimeout, fork, released: () => pool.changed(false) })
  const aggregator = new SignalAggregator(detectors, { changed: pool.changed, probations, clock: yield* Clock.Clock })
  const statusOf = (peer: Peer): HealthVerdict.Status => aggregator.verdictOf(peer).status

  for (const [index, detector] of detectors.entries()) {
    const clear = Effect.sync(() => aggregator.replace(index, Signal.noVerdicts))
    const run = (works: () => void) =>
      Stream.runForEach(detector.verdicts(pool.peers, statusOf), (verdicts) =>
        Effect.sync(() => {
          works()
          aggregator.replace(index, verdicts)
        })
      ).pipe(Effect.andThen(clear), Effect.andThen(Effect.never))
    yield* Effect.forkScoped(pool.problems.supervise(`signal ${signals[index]!.name}`, run, clear))
  }
  return aggregator
})
