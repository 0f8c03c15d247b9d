/**
 * Sends calls over the channels of a group.
 *
 * A call starts its lease under the handler that ends it, so every call that is counted onto a channel is counted off once,
 * also when it is interrupted. Calls with an affinity key go to the channel that the key is bound to.
 */
import { Effect, Exit, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Invoker, StreamResponse } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Affinity } from "../affinity/Affinity.ts"
import * as AffinityKey from "../affinity/AffinityKey.ts"
import type { Rule } from "../affinity/AffinityRule.ts"
import type { Channel } from "./Channel.ts"
import type { ChannelGroup } from "./ChannelGroup.ts"
import { ChannelLease } from "./ChannelLease.ts"

type Failure = RpcError.RpcError

const interrupted: Exit.Exit<never> = Exit.interrupt()

/** The channels of a group, chosen by key, by rule or by load. */
class Channels {
  readonly group: ChannelGroup
  readonly affinity: Affinity["Service"]

  constructor(group: ChannelGroup, affinity: Affinity["Service"]) {
    this.group = group
    this.affinity = affinity
  }

  #choose(key: string | undefined, rule: Rule | undefined, now: number): Channel | undefined {
    if (key !== undefined) return this.group.channelOf(key, now)
    return rule?.command === "BIND" && this.affinity.bindsRoundRobin ? this.group.roundRobin() : this.group.pick(now)
  }

  /** Starts a lease, if a channel is ready. */
  lease(key: string | undefined, rule: Rule | undefined): ChannelLease | undefined {
    const { now } = this.group
    const channel = this.#choose(key, rule, now)
    const connection = channel?.connection
    return channel === undefined || connection === undefined
      ? undefined
      : new ChannelLease(this.group, channel, connection).start(now)
  }

  /** The error of a call without a ready channel. */
  notReady({ path }: Method<never, unknown>): Failure {
    const { id } = this.group.endpoint
    return RpcError.make("UNAVAILABLE", `no channel to ${id} is ready for the call`, {
      method: path,
      peer: id,
      progress: "not_started"
    })
  }

  /** Binds the keys of a response to the channel that it came over. */
  bind(rule: Rule | undefined, response: unknown, { channel }: ChannelLease): void {
    if (rule?.command !== "BIND") return
    for (const key of rule.keys(response)) this.group.keys.bind(key, channel, this.group.now)
  }

  /** Unbinds the key of a request after a success. */
  unbind(rule: Rule | undefined, key: string | undefined): void {
    if (rule?.command === "UNBIND" && key !== undefined) this.group.keys.unbind(key)
  }

  /** Runs a unary attempt over a lease that ends with it. */
  unary<A>(
    key: string | undefined,
    rule: Rule | undefined,
    attempt: (lease: ChannelLease | undefined) => Effect.Effect<A, Failure>
  ): Effect.Effect<A, Failure> {
    return Effect.suspend(() => {
      let lease: ChannelLease | undefined
      return Effect.onExitPrimitive(
        Effect.suspend(() => attempt((lease = this.lease(key, rule)))),
        (exit) => lease?.end(exit)
      )
    })
  }

  /** Starts the lease of a stream, which ends with the scope at the latest. */
  streamLease(
    method: Method<never, unknown>,
    key: string | undefined,
    rule: Rule | undefined
  ): Effect.Effect<ChannelLease, Failure, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.suspend(() => {
        const lease = this.lease(key, rule)
        return lease === undefined ? Effect.fail(this.notReady(method)) : Effect.succeed(lease)
      }),
      (lease) => lease.end(interrupted) ?? Effect.void
    )
  }
}

const unary =
  (channels: Channels): Invoker["unary"] =>
  (method, request, call) => {
    const rule = AffinityKey.ruleOf(channels.affinity, method, call)
    if (rule === undefined) {
      return channels.unary(AffinityKey.named(call), undefined, (lease) =>
        lease === undefined ? Effect.fail(channels.notReady(method)) : lease.transport.unary(method, request, call)
      )
    }
    return Effect.flatMap(AffinityKey.ofRequest(rule, request, call), (key) =>
      channels.unary(key, rule, (lease) =>
        lease === undefined
          ? Effect.fail(channels.notReady(method))
          : Effect.map(lease.transport.unary(method, request, call), (response) => {
              channels.bind(rule, response.message, lease)
              channels.unbind(rule, key)
              return response
            })
      )
    )
  }

/** The response of a stream, whose end ends the lease. */
const leased = <O>(
  lease: ChannelLease,
  response: StreamResponse<O>,
  on: { readonly message: ((message: O) => void) | undefined; readonly end: () => void }
): StreamResponse<O> => {
  const { message } = on
  const end = (exit: Exit.Exit<unknown, Failure>) => Effect.suspend(() => lease.end(exit) ?? Effect.void)
  const observed =
    message === undefined
      ? response.messages
      : Stream.tap(response.messages, (value) => Effect.sync(() => message(value)))
  const messages = observed.pipe(
    Stream.tapCause((cause) => end(Exit.failCause(cause))),
    Stream.onEnd(
      Effect.suspend(() => {
        on.end()
        return end(Exit.void)
      })
    ),
    Stream.ensuring(end(interrupted))
  )
  return { ...response, messages }
}

const stream = (channels: Channels): Invoker["stream"] =>
  Effect.fnUntraced(function* <I, O>(
    method: Method<I, O>,
    requests: Stream.Stream<I, Failure>,
    call: Call
  ): Effect.fn.Return<StreamResponse<O>, Failure, Scope.Scope> {
    const rule = AffinityKey.ruleOf(channels.affinity, method, call)
    const { key, requests: sent } =
      rule === undefined
        ? { key: AffinityKey.named(call), requests }
        : yield* AffinityKey.ofRequests(rule, requests, call)
    const lease = yield* channels.streamLease(method, key, rule)
    const response = yield* Effect.tapCause(lease.transport.stream(method, sent, call), (cause) =>
      Effect.suspend(() => lease.end(Exit.failCause(cause)) ?? Effect.void)
    )
    const observes = lease.channel.detector !== undefined || rule?.command === "BIND"
    return leased(lease, response, {
      message: observes
        ? (message) => {
            lease.recordResponse()
            channels.bind(rule, message, lease)
          }
        : undefined,
      end: () => channels.unbind(rule, key)
    })
  })

/** The invoker of a group of channels. */
export const make = (group: ChannelGroup, affinity: Affinity["Service"]): Invoker => {
  const channels = new Channels(group, affinity)
  return { unary: unary(channels), stream: stream(channels) }
}
