/**
 * One attempt's hold on a peer.
 *
 * Taking a lease and choosing the peer are one synchronous step, so a burst of calls sees its own effect. However the
 * attempt ends, the lease ends once: the call is counted off, and the load metric and the signals are told.
 */
import { Cause, Exit } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Invoker } from "../call/Interceptor.ts"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import type { Peer } from "../peer/Peer.ts"
import type { Sink } from "../signals/Signal.ts"
import type { Load } from "../picker/Picker.ts"
import * as Outcome from "../status/Outcome.ts"
import * as RetryAfter from "../status/RetryAfter.ts"
import type { RpcError } from "../status/RpcError.ts"
import type { Probe } from "./Probations.ts"

const errorOf = (exit: Exit.Exit<unknown, RpcError>): RpcError | undefined =>
  Exit.isSuccess(exit) ? undefined : exit.cause.reasons.find(Cause.isFailReason)?.error

const outcomeOf = (exit: Exit.Exit<unknown, RpcError>, error: RpcError | undefined): Outcome.Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  return error === undefined ? "ignorable" : Outcome.of(error)
}

const unary = 0

/**
 * Those who are told how attempts end.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observers {
  readonly load: Load | undefined
  readonly sinks: ReadonlyArray<Sink>
}

/**
 * A call counted onto a peer.
 *
 * @category models
 * @since 0.1.0
 */
export class Lease {
  readonly #peer: Peer
  readonly #connection: ActiveConnection
  readonly #observers: Observers
  readonly #call: Call
  readonly #start: number
  #answered = false
  #ended = false
  #probe: Probe | undefined = undefined
  /** The generation of a stream that has said nothing yet; of a unary call `unary`, which is none. */
  #opening = unary

  /** Counts a call onto a peer that has a connection. */
  constructor(peer: Peer, connection: ActiveConnection, observers: Observers, call: Call, now: number) {
    this.#peer = peer
    this.#connection = connection
    this.#observers = observers
    this.#call = call
    this.#start = now
    peer.stats.pending++
    peer.stats.ask(now)
    peer.stats.started++
    peer.stats.used = now
    connection.enter()
    call.peer = peer.id
    call.pickedAt = now
  }

  /** The call is the one of a peer on probation. */
  probes(probe: Probe): void {
    this.#probe = probe
  }

  /** Whether the peer has still to show with this call that it is well. */
  get isProbe(): boolean {
    return this.#probe !== undefined
  }

  /** The peer has answered the call of its probation, whatever the answer will be: the headers of a stream have come. */
  passed(): void {
    if (this.#probe === undefined || this.#ended || this.#answered || this.#peer.connection !== this.#connection) return
    this.#probe.complete()
    this.#probe = undefined
    const now = Deadline.nowUnsafe(this.#call.clock)
    this.#tell("success", now - this.#start, now)
  }

  /** The call is a stream: no answer is due to it while it is open. */
  stream(): void {
    const { stats } = this.#peer
    stats.unanswered--
    this.#opening = stats.open(this.#start)
  }

  /** The connection the call is to be sent on. */
  get transport(): Invoker {
    return this.#connection.transport
  }

  /** The first message of a stream: it says how fast the peer is, and the end of the stream does not. */
  answered(): void {
    this.#answered = true
    this.#probe?.complete()
    if (!this.#ended) this.#peer.stats.opened(this.#opening)
    this.#observe("success", Deadline.nowUnsafe(this.#call.clock), 0)
  }

  /** The attempt has ended. Only the first end counts. */
  end(exit: Exit.Exit<unknown, RpcError>): void {
    if (this.#ended) return
    this.#ended = true
    const error = errorOf(exit)
    const outcome = outcomeOf(exit, error)
    const now = Deadline.nowUnsafe(this.#call.clock)
    const { stats } = this.#peer
    stats.pending--
    if (this.#opening === unary) stats.unanswered--
    else if (!this.#answered) stats.opened(this.#opening)
    stats.used = now
    if (outcome === "success") stats.succeeded++
    else if (outcome !== "ignorable") {
      stats.failed++
      stats.lastError = error
      stats.lastErrorAt = now
    }
    const bad = outcome === "failure" || outcome === "rejected"
    this.#settle(outcome, error)
    if (error?.progress === "refused") this.#call.connectionClosing = this.#peer.connection !== this.#connection
    if (!this.#answered || bad) this.#observe(outcome, now, bad && error !== undefined ? RetryAfter.millis(error) : 0)
    this.#connection.leave()
  }

  /** A probation is over if its call says anything of the peer as it is connected now. */
  #settle(outcome: Outcome.Outcome, error: RpcError | undefined): void {
    const probe = this.#probe
    if (probe === undefined) return
    this.#probe = undefined
    const silent =
      outcome === "ignorable" || error?.progress === "not_started" || this.#peer.connection !== this.#connection
    if (silent && !this.#answered) probe.release()
    else probe.complete()
  }

  #observe(outcome: Outcome.Outcome, now: number, retryAfter: number): void {
    if (outcome === "success") {
      this.#peer.stats.answered++
      this.#peer.stats.answeredMillis += now - this.#start
    }
    // What ends on a connection that is gone says nothing of the one that came after it.
    if (this.#peer.connection !== this.#connection) return
    const elapsed = now - this.#start
    this.#observers.load?.observe(this.#peer.stats, outcome, elapsed, now, retryAfter)
    this.#tell(outcome, elapsed, now)
  }

  #tell(outcome: Outcome.Outcome, elapsed: number, now: number): void {
    const { sinks } = this.#observers
    for (let i = 0; i < sinks.length; i++) sinks[i]!(this.#peer, outcome, elapsed, now)
  }
}
