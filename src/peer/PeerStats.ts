/**
 * The numbers of one peer that change with every call.
 *
 * They are read by pickers when they pick and never travel through a Stream. The object has one shape for its whole
 * life, so reading it is a few machine instructions.
 */
import type { RpcError } from "../status/RpcError.ts"
import type { DisconnectError } from "../transport/Loss.ts"

/**
 * Who keeps peers in an order of their pending calls, and so must hear of each change.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingWatcher {
  readonly pendingChanged: (stats: PeerStats) => void
}

const never: ReadonlyMap<DisconnectError, number> = new Map()

/**
 * Counts of calls, and the slots a load metric keeps its estimate in.
 *
 * @category models
 * @since 0.1.0
 */
export class PeerStats {
  #pending = 0
  /** The load metric's estimate, in its own unit; 0 before the first observation. */
  cost = 0
  /** When `cost` was last written, in milliseconds of the monotonic clock. */
  stamp = 0
  /** When a peer whose last attempt failed may be asked again, in the same milliseconds; 0 if it did not fail. */
  retryAt = 0
  /** Nobody, mostly: that is quicker to see of no list than of an empty one. */
  #watchers: ReadonlyArray<PendingWatcher> | undefined = undefined
  /** Leases ever taken. */
  started = 0
  /** When a lease was last taken or ended, in milliseconds of the monotonic clock. */
  used = 0
  /** Attempts that ended as the peer's success. */
  succeeded = 0
  /** Attempts that ended as the peer's failure or rejection. */
  failed = 0
  /** Attempts that were answered well, and how long that took in all, in milliseconds. */
  answered = 0
  answeredMillis = 0
  /** The last error that counts as the peer's, and when, in milliseconds of the monotonic clock. */
  lastError: RpcError | undefined = undefined
  lastErrorAt = 0
  /** Connects that became ready, connects that did not, and ready connections that are no more, by what ended them. */
  connected = 0
  connectsFailed = 0
  disconnected: ReadonlyMap<DisconnectError, number> = never

  /** Connections are no more: they ended in this way. */
  lost(error: DisconnectError, connections = 1): void {
    this.disconnected = new Map(this.disconnected).set(error, (this.disconnected.get(error) ?? 0) + connections)
  }

  /** Leases not yet finished. */
  get pending(): number {
    return this.#pending
  }

  set pending(calls: number) {
    this.#pending = calls
    if (this.#watchers !== undefined) this.#tell(this.#watchers)
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

  static {
    // The first fraction in a field gives all later objects another shape, and code that has met both is slower for good.
    const first = new PeerStats()
    first.used = first.answeredMillis = first.lastErrorAt = first.cost = first.stamp = first.retryAt = 0.5
  }

  /** Forgets what was measured: the next connection may lead to another process. */
  forget(): void {
    this.cost = 0
    this.stamp = 0
    this.retryAt = 0
  }
}
