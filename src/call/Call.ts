/**
 * One call under way: the options it was made with, and what each layer below the client adds to it.
 *
 * There is one `Call` per logical call. It is the only object the hot path allocates for itself, and the place where a
 * layer leaves a fact for another: the retry loop the attempt's number and deadline, the pool the peer it chose.
 */
import { type Clock, Effect } from "effect"
import type { Attempt, RpcError } from "../status/RpcError.ts"
import type { CallOptions } from "./CallOptions.ts"
import * as Deadline from "./Deadline.ts"

const empty: ReadonlyArray<never> = []

/**
 * How an attempt came to be: the call's first, one more after a failure, one beside others, or one made again at no cost
 * because no handler can have seen it.
 *
 * @category models
 * @since 0.1.0
 */
export type AttemptType = "original" | "retry" | "hedge" | "transparent_retry"

/**
 * What is counted over all attempts of a call, those of its copies included.
 *
 * @category models
 * @since 0.1.0
 */
export interface AttemptCounts {
  retries: number
  hedges: number
  transparentRetries: number
  /** Attempts under way. */
  active: number
  /** When the last attempt ended, in milliseconds of the monotonic clock. */
  idleSince: number
  /** Milliseconds in which no attempt was under way. */
  idleMillis: number
}

/**
 * Runs when a call that is served has ended, with what its client is told: `undefined` is OK.
 *
 * @category models
 * @since 0.1.0
 */
export type Ending = (error: RpcError | undefined) => Effect.Effect<void>

/**
 * A call under way.
 *
 * @category models
 * @since 0.1.0
 */
export class Call {
  options: CallOptions
  readonly clock: Clock.Clock
  /** When the call started, in milliseconds of the monotonic clock. */
  readonly start: number
  /** When the whole call must be over. */
  readonly deadline: Deadline.Deadline
  /** When this attempt must be over; never later than `deadline`. */
  attemptDeadline: Deadline.Deadline
  /** 1 for the first attempt. */
  attempt = 1
  /** How this attempt came to be. */
  attemptType: AttemptType = "original"
  /** When this attempt was first due, in milliseconds of the monotonic clock. */
  attemptStart: number
  /** When this attempt got its peer, in the same milliseconds. */
  pickedAt: number | undefined = undefined
  /** Bytes of the messages this attempt has sent and received, as the codec made and got them. */
  sentBytes = 0
  receivedBytes = 0
  /** The id of the peer of the current attempt. */
  peer: string | undefined = undefined
  /** Whether this attempt's peer was picked whatever signals say of it, because they speak against too many. */
  panicked = false
  /** Whether this attempt's peer is the one its caller asked for by name, who gets it whatever signals say of it. */
  pinned = false
  /** Whether this attempt was refused because its connection was closing, and not by a server that takes calls on it. */
  connectionClosing = false
  /** Whether this attempt is the one call of a peer on probation. */
  probe = false
  /** The ids of the peers earlier attempts failed on, and of those a copy of this call is on. */
  triedPeers: ReadonlyArray<string> = empty
  /** The attempts that have failed so far. */
  failedAttempts: ReadonlyArray<Attempt> = empty
  /** For whoever counts attempts; shared with the copies of this call. */
  attemptCounts: AttemptCounts | undefined = undefined
  /** What runs when the call has ended, if a server serves it and interceptors wait for that. */
  #endings: Array<Ending> | undefined = undefined

  constructor(
    options: CallOptions,
    clock: Clock.Clock,
    inherited: Deadline.Deadline,
    start = Deadline.nowUnsafe(clock)
  ) {
    this.options = options
    this.clock = clock
    this.start = start
    this.attemptStart = start
    this.deadline = Math.min(inherited, start + options.deadlineMillis)
    this.attemptDeadline = Math.min(this.deadline, start + options.timeoutMillis)
  }

  /** Whether this is the server's side of a call. */
  get served(): boolean {
    return false
  }

  /** What the client of a served call is told when neither the handler nor the client ended it. */
  get cutOff(): RpcError | undefined {
    return undefined
  }

  /** Runs an effect when a served call has ended. What stands in front of a handler does not see its response encoded. */
  onEnd(ending: Ending): void {
    this.#endings = [...(this.#endings ?? []), ending]
  }

  /** Tells those who wait for the end, once. */
  end(error: RpcError | undefined): Effect.Effect<void> {
    const endings = this.#endings
    if (endings === undefined) return Effect.void
    this.#endings = undefined
    return Effect.forEach(endings, (ending) => ending(error), { discard: true })
  }

  /** The attempt has a peer, or need not wait for one: its own time runs from now on. */
  startClock(now: number): void {
    const { maxTimeoutMillis, timeoutMillis, timeoutMultiplier } = this.options
    const millis = Math.min(maxTimeoutMillis, timeoutMillis * timeoutMultiplier ** (this.attempt - 1))
    this.attemptDeadline = Math.min(this.deadline, now + millis)
  }

  /** The attempt did not count: it is made again, on another peer if there is one. */
  repeatAttempt(now: number): void {
    if (this.peer !== undefined && !this.triedPeers.includes(this.peer))
      this.triedPeers = [...this.triedPeers, this.peer]
    this.peer = undefined
    this.attemptType = "transparent_retry"
    this.attemptStart = now
    this.pickedAt = undefined
    this.connectionClosing = false
    this.sentBytes = 0
    this.receivedBytes = 0
    this.startClock(now)
  }

  /** Starts the count for the next attempt, which should avoid the peer of this one. */
  nextAttempt(now: number): void {
    this.attempt++
    this.repeatAttempt(now)
    this.attemptType = "retry"
  }

  /**
   * A copy for an attempt that runs beside others. What layers below write on it stays its own; it avoids the peers of its
   * siblings.
   */
  fork(attempt: number, now: number, siblings: ReadonlyArray<Call>): Call {
    const copy = new Call(this.options, this.clock, this.deadline, this.start)
    const taken = siblings.flatMap(({ peer, triedPeers }) => (peer === undefined ? triedPeers : [...triedPeers, peer]))
    copy.triedPeers = [...new Set([...this.triedPeers, ...taken])]
    copy.attempt = attempt
    copy.attemptType = attempt > 1 ? "hedge" : "original"
    copy.attemptCounts = this.attemptCounts
    copy.attemptStart = now
    copy.startClock(now)
    return copy
  }

  /** What a copy has come to becomes this call's. */
  join(copy: Call): void {
    this.attempt = copy.attempt
    this.peer = copy.peer
    this.attemptStart = copy.attemptStart
    this.attemptDeadline = copy.attemptDeadline
  }
}
