/**
 * Why a call found no peer.
 */
import { Data } from "effect"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import type { Peer } from "../peer/Peer.ts"
import type { State } from "../peer/PeerStatus.ts"
import type { HealthVerdict } from "../signals/HealthVerdict.ts"

/**
 * One peer of the report: its connectivity, or what keeps calls from it though it is connected.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnreadyPeer {
  readonly peer: string
  readonly state: State | "Probe" | "Ejected"
  readonly cause: string | undefined
}

/** How many peers the message names; `peers` has them all. */
const named = 8

/**
 * The local cause of a call that found no ready peer: how many peers there are, what is wrong with each, how long the
 * call waited (milliseconds), and what discovery last complained of.
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
    const peers = this.peers
      .slice(0, named)
      .map((peer) => `${peer.peer} ${peer.state}${peer.cause === undefined ? "" : ` (${peer.cause})`}`)
    if (length > named) peers.push(`and ${length - named} more`)
    const discovery = this.discovery === undefined ? [] : [this.discovery.message]
    return [`${this.target} has ${count}; ${waited}`, ...peers, ...discovery].join("; ")
  }
}

/**
 * The peers as they are now.
 *
 * @category constructors
 * @since 0.1.0
 */
export const report = (
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
