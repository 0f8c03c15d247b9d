/**
 * The numbers of one peer that change with every call.
 *
 * They are read by pickers when they pick and never travel through a Stream. The object has one shape for its whole
 * life, so reading it is a few machine instructions.
 */
import type { RpcError } from "../status/RpcError.ts"
import { ConnectionCounts } from "./ConnectionCounts.ts"

/**
 * How often a peer's connections were made, failed and were lost.
 *
 * @category models
 * @since 0.1.0
 */
export type { ConnectionCounts } from "./ConnectionCounts.ts"

/** What numbers that may have a fraction are made with; see the constructor. */
const fraction = 0.5

/**
 * A stream that has said nothing for so long is quiet, such as a watch: nobody knows whether an answer is due. Milliseconds.
 *
 * @category constants
 * @since 0.1.0
 */
export const quietAfter = 1000

/**
 * Who keeps peers in an order of their calls under way, and so must hear of each change; but not of streams that are quiet
 * by now, which only time tells.
 *
 * @category models
 * @since 0.1.0
 */
export interface PendingWatcher {
  readonly pendingChanged: (stats: PeerStats) => void
}

/**
 * Counts of calls, and the slots a load metric keeps its estimate in. `P` is what they are the numbers of: a `Peer`.
 *
 * @category models
 * @since 0.1.0
 */
export class PeerStats<out P = unknown> {
  /** Whose numbers they are. */
  readonly peer: P
  /** Leases not yet finished: all calls under way, streams that stay open among them. */
  pending = 0
  /** The load metric's estimate, in its own unit; 0 before the first observation. */
  cost = fraction
  /** When `cost` was last written, in milliseconds of the monotonic clock. */
  stamp = fraction
  #unanswered = 0
  /** When the first of the unanswered calls was sent that met no other, in the same milliseconds. */
  askedAt = fraction
  /** Streams of the last generation that have said nothing yet. They count as calls under way until they are quiet. */
  opening = 0
  /** When the streams of that generation are quiet if they say nothing, in the same milliseconds. */
  quietAt = fraction
  #generation = 0
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

  constructor(peer: P) {
    this.peer = peer
    // Fields of fractions are made with one. The first fraction that comes later gives objects another shape, and code that
    // has met both is slower for good.
    this.used = this.answeredMillis = this.lastErrorAt = this.askedAt = this.quietAt = 0
    this.forget()
  }

  /** Unary calls under way: an answer is due to each of them. One to a stream may come at any time, or never. */
  get unanswered(): number {
    return this.#unanswered
  }

  set unanswered(calls: number) {
    this.#unanswered = calls
    if (this.#watchers !== undefined) this.#tell(this.#watchers)
  }

  /** A unary call is sent. */
  ask(now: number): void {
    if (this.#unanswered === 0) this.askedAt = now
    this.unanswered++
  }

  /** A stream is opened. Returns what `opened` is to be told when it says something, or ends. */
  open(now: number): number {
    if (this.opening === 0 || this.isQuiet(now)) {
      this.opening = 0
      this.quietAt = now + quietAfter
      this.#generation++
    }
    this.opening++
    if (this.#watchers !== undefined) this.#tell(this.#watchers)
    return this.#generation
  }

  /** A stream has said something, or has ended. Those of former generations were quiet. */
  opened(generation: number): void {
    if (generation !== this.#generation || this.opening === 0) return
    this.opening--
    if (this.#watchers !== undefined) this.#tell(this.#watchers)
  }

  /** Whether the streams that have said nothing yet are quiet. */
  isQuiet(now: number): boolean {
    return now >= this.quietAt
  }

  /** Calls under way that an answer is due to: unary ones, and streams that have just been opened. */
  underWay(now: number): number {
    return now < this.quietAt ? this.#unanswered + this.opening : this.#unanswered
  }

  /** Tells a watcher of each change of the calls under way, whichever pool's call it was, until it is unwatched. */
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
