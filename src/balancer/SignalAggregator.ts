/**
 * What a pool's signals come to.
 *
 * Each signal's verdicts replace its own earlier ones; together they make one verdict for each peer that somebody has
 * something to say of. A peer on probation is let one call, and that is decided here, when the call chooses: a rebuilt
 * picker would come too late for the call beside it. If that call says nothing of the peer, because it was never sent, its
 * caller left, or it just goes on, another one is let through.
 */
import { Clock, Effect, FiberSet, type Scope, Stream } from "effect"
import type { Peer } from "../peer/Peer.ts"
import * as Signal from "../signals/Signal.ts"
import * as HealthVerdict from "../signals/HealthVerdict.ts"
import type { Problems } from "./Problems.ts"

/**
 * The verdicts of all signals of a pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface Judgement {
  /** Those who are told of every attempt. */
  readonly sinks: ReadonlyArray<Signal.Sink>
  readonly verdictOf: (peer: Peer) => HealthVerdict.HealthVerdict
  /** Since when a peer's verdict has its status, in milliseconds of the wall clock; `undefined` if nobody says a thing. */
  readonly sinceOf: (peer: Peer) => number | undefined
  /** Whether a peer may be sent a call now. */
  readonly allows: (peer: Peer) => boolean
  /** A peer is sent a call: if it is on probation, that is the one. Its end is to be told unless it tells of the peer. */
  readonly spend: (peer: Peer) => Probe | undefined
}

/**
 * The one call of a peer on probation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Probe {
  /** It was never sent, or its caller left: another call is let through, unless the signals have spoken since. */
  readonly giveBack: () => void
  /** It has told the signals how the peer is: it is their turn, however long that takes. */
  readonly tell: () => void
}

/** The pool, as its signals know it. */
export interface Pool {
  readonly problems: Problems
  /** How long the one call of a peer on probation keeps others from it, in milliseconds. */
  readonly probeTimeout: number
  readonly peers: Stream.Stream<ReadonlyArray<Peer>>
  /** A verdict has changed; if `standing`, so did who may be sent calls. */
  readonly changed: (standing: boolean) => void
}

/** The verdicts that let one call through, and that call if it has come. */
interface Probation {
  readonly verdicts: ReadonlyArray<HealthVerdict.HealthVerdict>
  spent: Probe | undefined
}

const equal = (a: Signal.Verdicts, b: Signal.Verdicts): boolean => {
  if (a === b) return true
  if (a.size !== b.size) return false
  for (const [peer, verdict] of a) if (b.get(peer) !== verdict) return false
  return true
}

const sameStanding = (a: Signal.Verdicts, b: Signal.Verdicts): boolean => {
  for (const [peer, { status }] of a) if ((b.get(peer) ?? HealthVerdict.healthy).status !== status) return false
  for (const [peer, { status }] of b) if (!a.has(peer) && status !== "Ready") return false
  return true
}

const isOpen = (probation: Probation | undefined): boolean => probation !== undefined && probation.spent === undefined

const sameElements = <A>(a: ReadonlyArray<A>, b: ReadonlyArray<A>): boolean =>
  a.length === b.length && a.every((element, i) => element === b[i])

/**
 * Puts signals to work on the peers of a pool until the scope closes. A signal that ends has nothing more to say of anybody;
 * one that breaks has nothing to say until it is at work again.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  signals: ReadonlyArray<Signal.Signal>,
  pool: Pool
): Effect.fn.Return<Judgement, never, Scope.Scope> {
  const detectors = yield* Effect.forEach(signals, (signal) => signal.make)
  const latest: Array<Signal.Verdicts> = signals.map(() => Signal.noVerdicts)
  let merged = new Map<Peer, HealthVerdict.HealthVerdict>()
  let probations = new Map<Peer, Probation>()
  let since = new Map<Peer, number>()
  const clock = yield* Clock.Clock

  const replace = (index: number, verdicts: Signal.Verdicts) =>
    Effect.sync(() => {
      if (equal(latest[index]!, verdicts)) return
      latest[index] = verdicts
      const next = new Map<Peer, HealthVerdict.HealthVerdict>()
      const probes = new Map<Peer, Array<HealthVerdict.HealthVerdict>>()
      for (const said of latest) {
        for (const [peer, verdict] of said) {
          next.set(peer, HealthVerdict.merge(next.get(peer) ?? HealthVerdict.healthy, verdict))
          if (verdict.status === "Probe") probes.set(peer, [...(probes.get(peer) ?? []), verdict])
        }
      }
      const stands = sameStanding(merged, next)
      const now = clock.currentTimeMillisUnsafe()
      since = new Map(
        [...next].map(([peer, { status }]) => [peer, merged.get(peer)?.status === status ? since.get(peer)! : now])
      )
      merged = next
      const before = probations
      probations = new Map()
      for (const [peer, verdicts] of probes) {
        const known = before.get(peer)
        const kept = known !== undefined && sameElements(known.verdicts, verdicts)
        probations.set(peer, kept ? known : { verdicts, spent: undefined })
      }
      pool.changed(!stands)
    })

  const verdictOf = (peer: Peer): HealthVerdict.HealthVerdict => merged.get(peer) ?? HealthVerdict.healthy
  const standing = (peer: Peer): HealthVerdict.Status => verdictOf(peer).status

  for (const [index, detector] of detectors.entries()) {
    const silent = replace(index, Signal.noVerdicts)
    yield* pool.problems
      .supervise(
        `signal ${signals[index]!.name}`,
        (works) =>
          Stream.runForEach(detector.verdicts(pool.peers, standing), (verdicts) => {
            works()
            return replace(index, verdicts)
          }).pipe(Effect.andThen(silent), Effect.andThen(Effect.never)),
        silent
      )
      .pipe(Effect.forkScoped)
  }

  // A call that never ends, or a stream that stays quiet, must not keep a peer out that is well.
  const run = yield* FiberSet.makeRuntime<never, void>()
  const begin = (peer: Peer, probation: Probation): Probe => {
    let told = false
    const probe: Probe = {
      tell: () => {
        told = true
      },
      giveBack: () => {
        if (probation.spent !== probe) return
        probation.spent = undefined
        if (probations.get(peer) === probation) pool.changed(false)
      }
    }
    probation.spent = probe
    if (pool.probeTimeout < Infinity) {
      run(
        Effect.andThen(
          Effect.sleep(pool.probeTimeout),
          Effect.sync(() => (told ? undefined : probe.giveBack()))
        )
      )
    }
    return probe
  }

  return {
    sinks: detectors.flatMap(({ observe }) => observe ?? []),
    verdictOf,
    sinceOf: (peer) => since.get(peer),
    allows: (peer) => {
      if (merged.size === 0) return true
      const verdict = merged.get(peer)
      if (verdict === undefined || verdict.status === "Ready") return true
      return verdict.status === "Probe" && isOpen(probations.get(peer))
    },
    spend: (peer) => {
      if (probations.size === 0) return undefined
      const probation = probations.get(peer)
      return probation === undefined || probation.spent !== undefined ? undefined : begin(peer, probation)
    }
  }
})
