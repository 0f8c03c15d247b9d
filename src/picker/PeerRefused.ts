/**
 * Why a call that asked for one peer, or one way of picking, does not get it.
 */
import { Data } from "effect"
import type { State } from "../peer/PeerStatus.ts"

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
