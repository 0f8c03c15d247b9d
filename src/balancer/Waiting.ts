/**
 * What becomes of a call that finds no peer ready.
 *
 * It waits while that may help: somebody is idle or connecting, or discovery has not answered yet. When every peer has
 * failed to connect, or there is none, waiting would only hide the reason, so the call fails at once and says it. A peer
 * that failed counts as failed until it is ready, however often it tries again between. A call may ask for more patience
 * (`waitForReady`) or less (`failFast`).
 *
 * Signals count like connections: a peer that is ejected has failed, as gRPC's outlier detection reports it, and one whose
 * probe is under way may soon be ready.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/wait-for-ready.md
 */
import { Effect, Option, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import type { Peer } from "../peer/Peer.ts"
import * as PeerStatus from "../peer/PeerStatus.ts"
import type { HealthVerdict } from "../signals/HealthVerdict.ts"
import * as PickError from "../picker/PickError.ts"
import * as Picker from "../picker/Picker.ts"
import * as RpcError from "../status/RpcError.ts"
import * as StateRef from "../transport/StateRef.ts"

/** The pool as a call that waits sees it: all of it as it is now. */
export interface Pool {
  readonly target: string
  readonly closed: () => PickError.PoolClosed | undefined
  readonly peers: () => ReadonlyArray<Peer>
  readonly verdictOf: (peer: Peer) => HealthVerdict
  /** How many peers discovery has listed; `undefined` before it has said anything. */
  readonly listed: () => number | undefined
  readonly discoveryError: () => DiscoveryError | undefined
  /** Whether the picker knows of everything that has happened. */
  readonly settled: () => boolean
  /** The most milliseconds a call waits that does not wait for ready. */
  readonly chooseTimeout: number
}

/** The next picker is some turns of the scheduler away, unless its policy keeps it back: the most milliseconds for it. */
const pickerDelay = 500

/** The calls of a pool that wait for a peer. */
export class Waiting {
  /** Set whenever something has happened that may end a wait. */
  readonly news: StateRef.Writable<void> = StateRef.make<void>(undefined)
  /** Calls that wait now. */
  count = 0
  readonly #pool: Pool

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /** Why a call is not to wait on, after so many milliseconds, if there is a reason. `down` is the picker's word for it. */
  refusal(call: Call, down: boolean, waited: number): RpcError.RpcError | undefined {
    const { closed, discoveryError, listed, peers, settled, verdictOf } = this.#pool
    const error = () => this.#error("UNAVAILABLE", waited)
    if (closed() !== undefined) return error()
    const { whenNotReady } = call.options
    if (whenNotReady === "wait") return undefined
    const count = listed()
    if (count === undefined) return discoveryError() === undefined ? undefined : error()
    if (count === 0) return error()
    const all = peers()
    // Those that are listed and not there yet come in this turn. What signals say counts when the picker has seen it: it may
    // decide not to believe them.
    const known = settled()
    const hopeful = (peer: Peer) => (known ? Picker.mayBecomeReady(peer, verdictOf) : !isFailed(peer))
    if (all.length > 0 && !all.some(hopeful)) return error()
    if (!known) return undefined
    if (down) return error()
    if (whenNotReady === undefined || all.some(isUntried)) return undefined
    return error()
  }

  /** Asks `take` now and whenever something has happened, until it returns something or the call's patience ends. */
  until<A>(call: Call, take: (now: number, since: number) => A | undefined): Effect.Effect<A, RpcError.RpcError> {
    return Effect.suspend(() => {
      const since = Deadline.nowUnsafe(call.clock)
      const left = Math.max(0, call.deadline - since)
      const patience = this.#patience(call)
      this.count++
      return StateRef.oncePerTick(this.news).pipe(
        Stream.map(() => take(Deadline.nowUnsafe(call.clock), since)),
        Stream.filter((taken) => taken !== undefined),
        Stream.runHead,
        Effect.timeoutOption(Math.min(left, patience)),
        Effect.flatMap((taken) =>
          Option.match(Option.flatten(taken), {
            onNone: () => {
              const code = left <= patience ? "DEADLINE_EXCEEDED" : "UNAVAILABLE"
              return Effect.fail(this.#error(code, Deadline.nowUnsafe(call.clock) - since))
            },
            onSome: Effect.succeed
          })
        ),
        Effect.ensuring(Effect.sync(() => this.count--))
      )
    })
  }

  #patience({ options: { whenNotReady } }: Call): number {
    if (whenNotReady === "wait") return Infinity
    const { chooseTimeout, peers } = this.#pool
    const soon = whenNotReady === "fail" && !peers().some(isUntried) && this.#pool.listed() !== undefined
    return soon ? Math.min(pickerDelay, chooseTimeout) : chooseTimeout
  }

  #error(code: "UNAVAILABLE" | "DEADLINE_EXCEEDED", waitedMillis: number): RpcError.RpcError {
    const { closed, discoveryError, peers, target, verdictOf } = this.#pool
    const unready = () =>
      new PickError.NoPeerReady({
        target,
        peers: PickError.unreadyPeers(peers(), verdictOf),
        waitedMillis,
        discovery: discoveryError()
      })
    const cause = closed() ?? unready()
    return RpcError.make(code, cause.message, { cause, progress: "not_started" })
  }
}

/** Whether nothing is known of a peer, because nobody has asked it to connect or it has not answered yet. */
const isUntried = ({ status }: Peer): boolean =>
  status.state !== "Ready" && status.state !== "Gone" && status.lastConnect === undefined

/** Whether a peer cannot be reached, as far as is known. */
const isFailed = ({ status }: Peer): boolean => status.state !== "Ready" && !PeerStatus.mayBecomeReady(status)
