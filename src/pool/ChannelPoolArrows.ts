/**
 * A call over one of several channels.
 *
 * The call is counted under the handler that counts it off, so however it ends, and wherever an interruption lands, it is
 * counted off once.
 */
import { Cause, Effect, Exit, Option, Pull, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Arrows } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import type { Lane } from "../peer/Lane.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Affinity } from "./Affinity.ts"
import type { Rule } from "./AffinityRule.ts"
import type { Channel } from "./ChannelPoolChannel.ts"
import type { ChannelGroup } from "./ChannelPoolGroup.ts"

type Failure = RpcError.RpcError

/** What says that a channel is in trouble, not that a call was. */
const isCharged = ({ code }: Failure): boolean => code === "UNAVAILABLE" || code === "RESOURCE_EXHAUSTED"

/** A call counted onto a channel. */
class Hold {
  readonly channel: Channel
  readonly #group: ChannelGroup
  readonly #lane: Lane
  readonly #started: number
  #ended = false

  constructor(group: ChannelGroup, channel: Channel, lane: Lane, now: number) {
    this.#group = group
    this.channel = channel
    this.#lane = lane
    this.#started = now
    lane.enter()
    group.enter(channel, now)
  }

  get transport(): Arrows {
    return this.#lane.transport
  }

  /** The server said something. */
  heard(): void {
    // What is heard on a connection says nothing of the one that took its place.
    if (this.channel.lane === this.#lane) this.channel.silence?.heard(this.#group.now)
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
    this.#lane.leave()
    if (Exit.isSuccess(exit)) group.counts.succeeded++
    else if (failure !== undefined) group.counts.failed++
    if (channel.silence === undefined || channel.lane !== this.#lane) return undefined
    if (failure?.code === "DEADLINE_EXCEEDED") {
      return channel.silence.timedOut(this.#started, now) ? group.replace(channel) : undefined
    }
    if (Exit.isSuccess(exit) || failure?.origin === "remote") channel.silence.heard(now)
    return undefined
  }
}

const ended: Exit.Exit<never> = Exit.interrupt()

/** The key of a request that a rule names one for. */
const keyOf = (rule: Rule, request: unknown, method: string): Effect.Effect<string | undefined, Failure> => {
  const keys = rule.keys(request)
  return keys.length > 1
    ? Effect.fail(
        RpcError.make("INVALID_ARGUMENT", `${keys.length} affinity keys in a request that may have one`, {
          method,
          progress: "not_started"
        })
      )
    : Effect.succeed(keys[0])
}

/** The first message of a stream, if it has one, and the whole stream again. */
const peek = Effect.fnUntraced(function* <I>(requests: Stream.Stream<I, Failure>) {
  const pull = yield* Stream.toPull(requests)
  const first = yield* pull.pipe(
    Effect.map(Option.some),
    Pull.catchDone(() => Effect.succeedNone)
  )
  return Option.match(first, {
    onNone: () => ({ first: undefined, all: Stream.empty as Stream.Stream<I, Failure> }),
    onSome: (chunk) => ({
      first: chunk[0],
      all: Stream.concat(Stream.fromArray(chunk), Stream.fromPull(Effect.succeed(pull)))
    })
  })
})

/** The arrows of a group of channels. */
export const make = (group: ChannelGroup, affinity: Affinity["Service"]): Arrows => {
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
    const lane = channel?.lane
    return channel === undefined || lane === undefined ? undefined : new Hold(group, channel, lane, now)
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

  /** The rule of a method, and the key of a request if the caller named none. */
  const ruleFor = (method: Method<never, unknown>): Rule | undefined => affinity.ruleOf(method.path)

  const needsKey = (rule: Rule | undefined, call: Call): rule is Rule =>
    rule !== undefined && rule.command !== "BIND" && call.options.affinityKey === undefined

  return {
    unary: (method, request, call) => {
      const rule = ruleFor(method)
      if (rule === undefined) {
        const run = (hold: Hold) => hold.transport.unary(method, request, call)
        return unary(method, call.options.affinityKey, undefined, run)
      }
      const key = needsKey(rule, call) ? keyOf(rule, request, method.path) : Effect.succeed(call.options.affinityKey)
      return Effect.flatMap(key, (key) =>
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
      const rule = ruleFor(method)
      let key = call.options.affinityKey
      let sent = requests
      if (needsKey(rule, call)) {
        const { all, first } = yield* peek(requests)
        sent = all
        if (first !== undefined) key = yield* keyOf(rule, first, method.path)
      }
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
