/**
 * Why a pool serves no more calls.
 */
import { Data } from "effect"
import type { UnreadyPeer } from "./NoPeerReady.ts"

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
