/**
 * One call under way: the options it was made with, and what each layer below the client adds to it.
 *
 * There is one `Call` per logical call. It is the only object the hot path allocates for itself, and the place where a
 * layer leaves a fact for another: the retry loop the attempt's number and deadline, the pool the peer it chose.
 */
import type { Clock } from "effect"
import type { CallOptions } from "./CallOptions.ts"
import * as Deadline from "./Deadline.ts"

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
  /** The id of the peer of the current attempt. */
  peer: string | undefined = undefined
  /** Whether this attempt's peer was picked whatever signals say of it, because they speak against too many. */
  panicked = false
  /** The ids of the peers earlier attempts failed on. */
  tried: ReadonlyArray<string> = []

  constructor(options: CallOptions, clock: Clock.Clock, inherited: Deadline.Deadline) {
    this.options = options
    this.clock = clock
    this.start = Deadline.nowUnsafe(clock)
    this.deadline = Math.min(inherited, this.start + options.deadlineMillis)
    this.attemptDeadline = Math.min(this.deadline, this.start + options.timeoutMillis)
  }

  /** Starts the count for the next attempt, which should avoid the peer of this one. */
  nextAttempt(now: number): void {
    if (this.peer !== undefined && !this.tried.includes(this.peer)) this.tried = [...this.tried, this.peer]
    this.peer = undefined
    this.attempt++
    this.attemptDeadline = Math.min(this.deadline, now + this.options.timeoutMillis)
  }
}
