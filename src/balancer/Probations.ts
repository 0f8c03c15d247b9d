/**
 * The peers of a pool that are on probation, and the one call that each of them is sent.
 *
 * The call is allowed where it chooses its peer: a picker that is rebuilt afterwards would let the next call through too. If
 * the call shows nothing about the peer, because it was not sent, its caller left it, or it does not end, another call is
 * allowed.
 */
import { Effect } from "effect"
import type { Peer } from "../peer/Peer.ts"
import type * as HealthVerdict from "../signals/HealthVerdict.ts"

/**
 * The one call of a peer on probation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Probe {
  /** The call was not sent, or its caller left it: another call is allowed, unless the signals have a new verdict. */
  readonly release: () => void
  /** The signals know how the call went. The next verdict is theirs, however long that takes. */
  readonly complete: () => void
}

/** The verdicts that allow one call, and that call once it has come. */
interface Probation {
  readonly verdicts: ReadonlyArray<HealthVerdict.HealthVerdict>
  probe: Probe | undefined
}

/** What probations need of their pool. */
export interface Options {
  /** How long the one call of a peer keeps others from it, in milliseconds. */
  readonly probeTimeout: number
  /** Another call is allowed. */
  readonly released: () => void
  /** Runs a timer until the pool closes. */
  readonly fork: (effect: Effect.Effect<void>) => void
}

const sameElements = <A>(a: ReadonlyArray<A>, b: ReadonlyArray<A>): boolean =>
  a.length === b.length && a.every((element, i) => element === b[i])

export class Probations {
  readonly #options: Options
  #byPeer: ReadonlyMap<Peer, Probation> = new Map()

  constructor(options: Options) {
    this.#options = options
  }

  /** Takes the `Probe` verdicts of each peer. A peer with the same verdicts as before is not allowed another call. */
  update(verdictsByPeer: ReadonlyMap<Peer, ReadonlyArray<HealthVerdict.HealthVerdict>>): void {
    const before = this.#byPeer
    const next = new Map<Peer, Probation>()
    for (const [peer, verdicts] of verdictsByPeer) {
      const known = before.get(peer)
      const kept = known !== undefined && sameElements(known.verdicts, verdicts)
      next.set(peer, kept ? known : { verdicts, probe: undefined })
    }
    this.#byPeer = next
  }

  /** Whether a peer on probation may be sent its call. */
  allows(peer: Peer): boolean {
    const probation = this.#byPeer.get(peer)
    return probation !== undefined && probation.probe === undefined
  }

  /** Makes the call that is sent to a peer its probe, if the peer is on probation and has none. */
  take(peer: Peer): Probe | undefined {
    if (this.#byPeer.size === 0) return undefined
    const probation = this.#byPeer.get(peer)
    return probation === undefined || probation.probe !== undefined ? undefined : this.#begin(peer, probation)
  }

  #begin(peer: Peer, probation: Probation): Probe {
    const { fork, probeTimeout, released } = this.#options
    let completed = false
    const probe: Probe = {
      complete: () => {
        completed = true
      },
      release: () => {
        if (probation.probe !== probe) return
        probation.probe = undefined
        if (this.#byPeer.get(peer) === probation) released()
      }
    }
    probation.probe = probe
    // A call that never ends, or a stream that stays quiet, must not keep a healthy peer out.
    if (probeTimeout < Infinity) {
      const expire = Effect.sync(() => (completed ? undefined : probe.release()))
      fork(Effect.andThen(Effect.sleep(probeTimeout), expire))
    }
    return probe
  }
}
