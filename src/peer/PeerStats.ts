/**
 * The numbers of one peer that change with every call.
 *
 * They are read by pickers when they pick and never travel through a Stream. The object has one shape for its whole
 * life, so reading it is a few machine instructions.
 */
import type { RpcError } from "../status/RpcError.ts"
import { ConnectionCounts } from "./ConnectionCounts.ts"
import type { Peer } from "./Peer.ts"

/** What numbers that may have a fraction are made with; see the constructor. */
const fraction = 0.5

/**
 * Who keeps peers in an order of their pending calls, and so must hear of each change.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingWatcher {
  readonly pendingChanged: (stats: PeerStats) => void
}

/**
 * Counts of calls, and the slots a load metric keeps its estimate in.
 *
 * @category models
 * @since 0.1.0
 */
export class PeerStats {
  /** Whose numbers they are. */
  readonly peer: Peer
  #pending = 0
  /** The load metric's estimate, in its own unit; 0 before the first observation. */
  cost = fraction
  /** When `cost` was last written, in milliseconds of the monotonic clock. */
  stamp = fraction
  /** Unary calls under way: an answer is due to each of them. One to a stream may come at any time, or never. */
  unanswered = 0
  /** When the first of them was sent that met no other, in the same milliseconds. */
  askedAt = fraction
  /** Nobody, mostly: that is quicker to see of no list than of an empty one. */
  #watchers: ReadonlyArray<PendingWatcher> | undefined = undefined
  /** Leases ever taken. */
  started = 0
  /** When a lease was last taken or ended, in milliseconds of the monotonic clock. */
  used = fraction
  /** Attempts that ended as the peer's success. */
  succeeded = 0
  /** Attempts that ended as the peer's failure or rejection. */
  failed = 0
  /** Attempts that were answered well, and how long that took in all, in milliseconds. */
  answered = 0
  answeredMillis = fraction
  /** The last error that counts as the peer's, and when, in milliseconds of the monotonic clock. */
  lastError: RpcError | undefined = undefined
  lastErrorAt = fraction
  readonly connections = new ConnectionCounts()

  constructor(peer: Peer) {
    this.peer = peer
    // Fields of fractions are made with one. The first fraction that comes later gives objects another shape, and code that
    // has met both is slower for good.
    this.used = this.answeredMillis = this.lastErrorAt = this.askedAt = 0
    this.forget()
  }

  /** Leases not yet finished. */
  get pending(): number {
    return this.#pending
  }

  set pending(calls: number) {
    this.#pending = calls
    if (this.#watchers !== undefined) this.#tell(this.#watchers)
  }

  /** A unary call is sent. */
  ask(now: number): void {
    if (this.unanswered++ === 0) this.askedAt = now
  }

  /** Tells a watcher of each change of `pending`, whichever pool's call it was, until it is unwatched. */
  watch(watcher: PendingWatcher): void {
    this.#watchers = [...(this.#watchers ?? []), watcher]
  }

  /** Tells a watcher no more. */
  unwatch(watcher: PendingWatcher): void {
    const others = this.#watchers?.filter((other) => other !== watcher)
    this.#watchers = others?.length === 0 ? undefined : others
  }

  #tell(watchers: ReadonlyArray<PendingWatcher>): void {
    for (let i = 0; i < watchers.length; i++) watchers[i]!.pendingChanged(this)
  }

  /** Forgets what was measured: the next connection may lead to another process. */
  forget(): void {
    this.cost = 0
    this.stamp = 0
  }
}
