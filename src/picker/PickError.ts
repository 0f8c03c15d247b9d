/**
 * Why a call gets no peer. Each of these is the local cause of an `UNAVAILABLE` or `DEADLINE_EXCEEDED` error.
 *
 * `NoPeerReady`: the pool has no peer that takes calls. `UnknownPeer`, `PeerNotReady` and `UnknownPicker`: the call asked for
 * one peer, or for a picker by its name, and that one cannot serve it. `PoolClosed`: the pool serves no more calls.
 */
import { Data } from "effect"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import type { Peer } from "../peer/Peer.ts"
import type { State } from "../peer/PeerStatus.ts"
import type { HealthVerdict } from "../signals/HealthVerdict.ts"

/**
 * One peer that took no call: its state, or the verdict that keeps calls from it while it is connected.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnreadyPeer {
  readonly peer: string
  readonly state: State | "Probe" | "Ejected"
  readonly cause: string | undefined
}

/** What is said of a peer that is asked for the first time and has not answered. */
const noAnswer = "no answer yet: is this the server's port, and was there time enough?"

/** How many peers the message names. `peers` has all of them. */
const maxNamedPeers = 8

/**
 * The local cause of a call that found no ready peer: how many peers there are, the state of each, how long the
 * call waited (milliseconds), and the last error of discovery.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoPeerReady extends Data.TaggedError("NoPeerReady")<{
  readonly target: string
  readonly peers: ReadonlyArray<UnreadyPeer>
  readonly waitedMillis: number
  readonly discovery: DiscoveryError | undefined
}> {
  override get message(): string {
    const { length } = this.peers
    const count = length === 0 ? "no peers" : length === 1 ? "1 peer, not ready" : `${length} peers, none ready`
    const waited = this.waitedMillis === 0 ? "did not wait" : `waited ${Math.round(this.waitedMillis)} ms`
    const peers = this.peers.slice(0, maxNamedPeers).map(({ cause, peer, state }) => {
      const why = cause ?? (state === "Connecting" ? noAnswer : undefined)
      return `${peer} ${state}${why === undefined ? "" : ` (${why})`}`
    })
    if (length > maxNamedPeers) peers.push(`and ${length - maxNamedPeers} more`)
    const discovery = this.discovery === undefined ? [] : [this.discovery.message]
    return [`${this.target} has ${count}; ${waited}`, ...peers, ...discovery].join("; ")
  }
}

/**
 * What the errors report of some peers, as these are now.
 *
 * @category constructors
 * @since 0.1.0
 */
export const unreadyPeers = (
  peers: ReadonlyArray<Peer>,
  verdictOf: (peer: Peer) => HealthVerdict
): ReadonlyArray<UnreadyPeer> =>
  peers.map((peer) => {
    const { cause, state } = peer.status
    const verdict = verdictOf(peer)
    return state === "Ready" && verdict.status !== "Ready"
      ? { peer: peer.id, state: verdict.status, cause: verdict.cause }
      : { peer: peer.id, state, cause }
  })

/**
 * No peer has the address the call asked for. Names those there are.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPeer extends Data.TaggedError("UnknownPeer")<{
  readonly peer: string
  readonly peers: ReadonlyArray<string>
}> {
  override get message(): string {
    return `no peer ${JSON.stringify(this.peer)} among ${this.peers.length === 0 ? "none" : this.peers.join(", ")}`
  }
}

/**
 * The peer the call asked for cannot take it now.
 *
 * @category errors
 * @since 0.1.0
 */
export class PeerNotReady extends Data.TaggedError("PeerNotReady")<{
  readonly peer: string
  readonly state: State
  readonly cause: string | undefined
}> {
  override get message(): string {
    return `peer ${JSON.stringify(this.peer)} is not ready: ${this.state}${this.cause === undefined ? "" : ` (${this.cause})`}`
  }
}

/**
 * The pool has no picker of the name the call asked for. Names those it has.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPicker extends Data.TaggedError("UnknownPicker")<{
  readonly picker: string
  readonly pickers: ReadonlyArray<string>
}> {
  override get message(): string {
    return `no picker ${JSON.stringify(this.picker)} among ${this.pickers.length === 0 ? "none" : this.pickers.join(", ")}`
  }
}

/**
 * Every peer of the pool gave up connecting, so the pool shut down.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionsExhausted extends Data.TaggedError("ConnectionsExhausted")<{
  readonly target: string
  readonly peers: ReadonlyArray<UnreadyPeer>
}> {
  override get message(): string {
    const peers = this.peers.map(({ cause, peer }) => `${peer} (${cause ?? "no reason"})`)
    return `no connection to ${this.target}: gave up on ${peers.join(", ")}`
  }
}

/**
 * The local cause of a call made to a pool that is closed.
 *
 * @category errors
 * @since 0.1.0
 */
export class PoolClosed extends Data.TaggedError("PoolClosed")<{
  readonly target: string
  /** Why it shut down by itself; `undefined` if its scope closed. */
  readonly exhausted: ConnectionsExhausted | undefined
}> {
  override get message(): string {
    const why = this.exhausted === undefined ? "" : `; ${this.exhausted.message}`
    return `the pool of ${this.target} is closed${why}`
  }
}
