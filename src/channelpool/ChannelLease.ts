/**
 * One call on one channel.
 *
 * A lease counts the call onto the channel when it starts and off when it ends. Only the first end counts.
 */
import { Cause, type Effect, Exit } from "effect"
import type { Invoker } from "../call/Interceptor.ts"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import * as Outcome from "../status/Outcome.ts"
import type { RpcError } from "../status/RpcError.ts"
import type { Channel } from "./Channel.ts"
import type { ChannelGroup } from "./ChannelGroup.ts"

/** A call that is counted on a channel. */
export class ChannelLease {
  readonly channel: Channel
  readonly #group: ChannelGroup
  readonly #connection: ActiveConnection
  #startedAt = 0
  #ended = false

  constructor(group: ChannelGroup, channel: Channel, connection: ActiveConnection) {
    this.#group = group
    this.channel = channel
    this.#connection = connection
  }

  get transport(): Invoker {
    return this.#connection.transport
  }

  /** Counts the call. */
  start(now: number): this {
    this.#startedAt = now
    this.#connection.enter()
    this.#group.enter(this.channel, now)
    return this
  }

  /** The server responded. A response on a replaced connection tells nothing about the new one. */
  recordResponse(): void {
    if (this.channel.connection === this.#connection) this.channel.detector?.recordResponse(this.#group.now)
  }

  /** Ends the call. Returns the replacement of a connection that has become unresponsive, which the caller runs. */
  end(exit: Exit.Exit<unknown, RpcError>): Effect.Effect<void> | undefined {
    if (this.#ended) return undefined
    this.#ended = true
    const { channel } = this
    const group = this.#group
    const now = group.now
    const failure = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined
    group.leave(channel, failure !== undefined && Outcome.isUnavailable(failure), now)
    this.#connection.leave()
    if (Exit.isSuccess(exit)) group.stats.totals.succeeded++
    else if (failure !== undefined) group.stats.totals.failed++
    if (channel.detector === undefined || channel.connection !== this.#connection) return undefined
    if (failure !== undefined && Outcome.isTimeout(failure)) {
      return channel.detector.recordTimeout(this.#startedAt, now) ? group.replace(channel) : undefined
    }
    if (Exit.isSuccess(exit) || failure?.origin === "remote") channel.detector.recordResponse(now)
    return undefined
  }
}
