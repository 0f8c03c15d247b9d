/**
 * A call over one of several channels.
 *
 * The call is counted under the handler that counts it off, so however it ends, and wherever an interruption lands, it is
 * counted off once.
 */
import { Cause, Effect, Exit, Stream } from "effect"
import type { Invoker } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import * as Outcome from "../status/Outcome.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Affinity } from "../affinity/Affinity.ts"
import * as AffinityKey from "../affinity/AffinityKey.ts"
import type { Rule } from "../affinity/AffinityRule.ts"
import type { Channel } from "./Channel.ts"
import type { ChannelGroup } from "./ChannelGroup.ts"

type Failure = RpcError.RpcError

/** What says that a channel is in trouble, not that a call was. */
const isCharged = (error: Failure): boolean => {
  const outcome = Outcome.of(error)
  return outcome === "rejected" || (outcome === "failure" && error.code === "UNAVAILABLE")
}

/** A call counted onto a channel. */
class Hold {
  readonly channel: Channel
  readonly #group: ChannelGroup
  readonly #connection: ActiveConnection
  readonly #started: number
  #ended = false

  constructor(group: ChannelGroup, channel: Channel, connection: ActiveConnection, now: number) {
    this.#group = group
    this.channel = channel
    this.#connection = connection
    this.#started = now
    connection.enter()
    group.enter(channel, now)
  }

  get transport(): Invoker {
    return this.#connection.transport
  }

  /** The server said something. */
  heard(): void {
    // What is heard on a connection says nothing of the one that took its place.
    if (this.channel.connection === this.#connection) this.channel.silence?.heard(this.#group.now)
  }

  /** Only the first end counts. What it returns, if anything, is to be done besides. */
  end(exit: Exit.Exit<unknown, Failure>): Effect.Effect<void> | undefined {
    if (this.#ended) return undefined
    this.#ended = true
    const { channel } = this
    const group = this.#group
    const now = group.now
    const failure = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined
    group.leave(channel, failure !== undefined && isCharged(failure), now)
    this.#connection.leave()
    if (Exit.isSuccess(exit)) group.counts.totals.succeeded++
    else if (failure !== undefined) group.counts.totals.failed++
    if (channel.silence === undefined || channel.connection !== this.#connection) return undefined
    if (failure?.code === "DEADLINE_EXCEEDED" && Outcome.of(failure) === "failure") {
      return channel.silence.timedOut(this.#started, now) ? group.replace(channel) : undefined
    }
    if (Exit.isSuccess(exit) || failure?.origin === "remote") channel.silence.heard(now)
    return undefined
  }
}

const ended: Exit.Exit<never> = Exit.interrupt()

/** The invoker of a group of channels. */
export const make = (group: ChannelGroup, affinity: Affinity["Service"]): Invoker => {
  const nowhere = (method: Method<never, unknown>) =>
    RpcError.make("UNAVAILABLE", `no channel to ${group.endpoint.id} is ready for the call`, {
      method: method.path,
      peer: group.endpoint.id,
      progress: "not_started"
    })

  const choose = (key: string | undefined, rule: Rule | undefined, now: number): Channel | undefined => {
    if (key !== undefined) return group.placeOf(key, now)
    return rule?.command === "BIND" && affinity.inTurn ? group.inTurn() : group.pick(now)
  }

  const take = (key: string | undefined, rule: Rule | undefined): Hold | undefined => {
    const { now } = group
    const channel = choose(key, rule, now)
    const connection = channel?.connection
    return channel === undefined || connection === undefined ? undefined : new Hold(group, channel, connection, now)
  }

  const bind = (rule: Rule, response: unknown, { channel }: Hold): void => {
    for (const key of rule.keys(response)) group.keys.bind(key, channel, group.now)
  }

  const unary = <A>(
    method: Method<never, unknown>,
    key: string | undefined,
    rule: Rule | undefined,
    attempt: (hold: Hold) => Effect.Effect<A, Failure>
  ): Effect.Effect<A, Failure> =>
    Effect.suspend(() => {
      let hold: Hold | undefined
      return Effect.onExitPrimitive(
        Effect.suspend(() => {
          hold = take(key, rule)
          return hold === undefined ? Effect.fail(nowhere(method)) : attempt(hold)
        }),
        (exit) => hold?.end(exit)
      )
    })

  return {
    unary: (method, request, call) => {
      const rule = AffinityKey.ruleOf(affinity, method, call)
      if (rule === undefined) {
        const run = (hold: Hold) => hold.transport.unary(method, request, call)
        return unary(method, AffinityKey.named(call), undefined, run)
      }
      return Effect.flatMap(AffinityKey.ofRequest(rule, method, request, call), (key) =>
        unary(method, key, rule, (hold) =>
          Effect.map(hold.transport.unary(method, request, call), (response) => {
            if (rule.command === "BIND") bind(rule, response.message, hold)
            if (rule.command === "UNBIND" && key !== undefined) group.keys.unbind(key)
            return response
          })
        )
      )
    },

    stream: Effect.fnUntraced(function* (method, requests, call) {
      const rule = AffinityKey.ruleOf(affinity, method, call)
      const { key, requests: sent } =
        rule === undefined
          ? { key: AffinityKey.named(call), requests }
          : yield* AffinityKey.ofRequests(rule, method, requests, call)
      const hold = yield* Effect.acquireRelease(
        Effect.suspend(() => {
          const hold = take(key, rule)
          return hold === undefined ? Effect.fail(nowhere(method)) : Effect.succeed(hold)
        }),
        (hold) => hold.end(ended) ?? Effect.void
      )
      const end = (exit: Exit.Exit<unknown, Failure>) => Effect.suspend(() => hold.end(exit) ?? Effect.void)
      const response = yield* Effect.tapCause(hold.transport.stream(method, sent, call), (cause) =>
        end(Exit.failCause(cause))
      )
      const looks = hold.channel.silence !== undefined || rule?.command === "BIND"
      const seen = looks
        ? Stream.tap(response.messages, (message) =>
            Effect.sync(() => {
              hold.heard()
              if (rule?.command === "BIND") bind(rule, message, hold)
            })
          )
        : response.messages
      const messages = seen.pipe(
        Stream.tapCause((cause) => end(Exit.failCause(cause))),
        Stream.onEnd(
          Effect.suspend(() => {
            if (rule?.command === "UNBIND" && key !== undefined) group.keys.unbind(key)
            return end(Exit.void)
          })
        ),
        Stream.ensuring(end(ended))
      )
      return { ...response, messages }
    })
  }
}
