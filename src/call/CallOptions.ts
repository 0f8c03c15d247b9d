/**
 * What a caller may say about a call, as combinators over the call's Effect or Stream.
 *
 * Options live in the fiber's context, so they apply to every call inside the effect they are put on and an inner one
 * replaces an outer one, but for limits of time, of which the stricter holds. They are values: nothing set for one call
 * leaks into another, and their order matters only between options of one kind.
 *
 * What a call does that finds no peer ready is gRPC's: it waits while that may help, and fails when it cannot.
 *
 * | what the pool knows | a call | `waitForReady` | `failFast` |
 * | --- | --- | --- | --- |
 * | discovery has not answered yet | waits | waits | waits |
 * | a peer was never asked to connect, or connects for the first time | waits | waits | waits |
 * | a peer has lost its connection and opens another; the one call of a peer on probation is under way | waits | waits | fails |
 * | all peers failed to connect, or are ejected by signals; the list is empty; discovery has only failed | fails | waits | fails |
 *
 * A call fails as `UNAVAILABLE` with a report of all peers (`PickError.NoPeerReady`), also one that has time left. A peer that failed
 * counts as failed until it is ready, however often it tries again between. Who waits does so until its deadline is over
 * (`DEADLINE_EXCEEDED`, with the same report) or, but for `waitForReady`, the pool's `chooseTimeout` if it has one.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/wait-for-ready.md
 */
import { Context, Duration } from "effect"
import * as Ambient from "./Ambient.ts"
import type { Combinator } from "./Ambient.ts"
import type { CallCredentials } from "./CallTarget.ts"
import type { Encoding } from "./Compression.ts"
import * as Metadata from "./Metadata.ts"

/**
 * What changes the options of the calls inside an effect.
 *
 * @category models
 * @since 0.1.0
 */
export type { Combinator } from "./Ambient.ts"

/**
 * The options of a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  /** Milliseconds for the whole call: all attempts and all waiting. `Infinity` for none. */
  readonly deadlineMillis: number
  /** Milliseconds for the first attempt. `Infinity` for none. */
  readonly timeoutMillis: number
  /** How an attempt's time grows from one attempt to the next, and the milliseconds it does not grow beyond. */
  readonly timeoutMultiplier: number
  readonly maxTimeoutMillis: number
  readonly metadata: Metadata.Metadata
  /** With no peer ready: `wait` to the deadline, `fail`, or wait while that may help (`undefined`). */
  readonly whenNotReady: "wait" | "fail" | undefined
  /** Messages of a stream that may be buffered or asked for at one time. */
  readonly window: number
  /** Bytes of the largest message this call may send and may receive; the connection's own limits hold besides. */
  readonly maxSendBytes: number
  readonly maxReceiveBytes: number
  /** How requests are compressed, where the connector can. */
  readonly compression: Encoding
  /** What proves to the peer of each attempt who calls. */
  readonly credentials: CallCredentials | undefined
  /** Whether running the call twice is harmless; `undefined` if only its method can say. */
  readonly idempotent: boolean | undefined
  /** Whether the call brings a hedge of its own (`Hedge.withHedge`). */
  readonly hedged: boolean
  /** Whether a stream of requests is kept while it is sent, so that it can be sent again. */
  readonly replayable: boolean
  /** What pickers by key place the call by. */
  readonly hashKey: string | Uint8Array | undefined
  /** The one peer the call may go to, where the pool's picker dispatches. */
  readonly peer: string | undefined
  /** The name of the picker the call asks for, where the pool's picker dispatches. */
  readonly picker: string | undefined
  /** Which of a transport's lists of endpoints the call goes to; its default list if `undefined`. */
  readonly multiEndpoint: string | undefined
  /** What the calls of one session have in common, so that they go to one place; empty for calls that may go anywhere. */
  readonly affinityKey: string | undefined
}

/**
 * The options of calls in this context.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<CallOptions>("trunkline/call/CallOptions", {
  defaultValue: () => ({
    deadlineMillis: Infinity,
    timeoutMillis: Infinity,
    timeoutMultiplier: 1,
    maxTimeoutMillis: Infinity,
    metadata: Metadata.empty,
    whenNotReady: undefined,
    window: 16,
    maxSendBytes: Infinity,
    maxReceiveBytes: Infinity,
    compression: "identity",
    credentials: undefined,
    idempotent: undefined,
    hedged: false,
    replayable: false,
    hashKey: undefined,
    peer: undefined,
    picker: undefined,
    multiEndpoint: undefined,
    affinityKey: undefined
  })
})

/**
 * Changes the options of every call inside an effect or a stream.
 *
 * @category combinators
 * @since 0.1.0
 */
export const update = (change: (options: CallOptions) => CallOptions): Combinator => Ambient.update(Current, change)

/**
 * Bounds the whole call: every attempt, every wait for a peer and every sleep between. The clock starts when the call
 * runs, for each call anew; of nested deadlines the earlier one holds, as in Go and Java and with `Effect.timeout`, so
 * nothing inside can outlast what was promised further out (`replaceDeadline` says otherwise). A handler's calls also end
 * with the deadline of the call it serves.
 *
 * It is an option of calls and interrupts nothing else. What bounds a program of several calls, or one that does other
 * things too, is `Effect.timeout` around it.
 *
 * @example
 * import { Effect } from "effect"
 * import { CallOptions } from "trunkline"
 *
 * const withinTwoSeconds = Effect.succeed("a call").pipe(CallOptions.withDeadline("2 seconds"))
 * Effect.runSync(withinTwoSeconds) // => "a call"
 *
 * @category combinators
 * @since 0.1.0
 */
export const withDeadline = (duration: Duration.Input): Combinator => {
  const deadlineMillis = Duration.toMillis(duration)
  return update((options) => ({ ...options, deadlineMillis: Math.min(options.deadlineMillis, deadlineMillis) }))
}

/**
 * Gives calls this deadline in place of those that were set further out, be they earlier or later: how a part of a program
 * that needs longer extends what holds for the rest. `Duration.infinity` takes the deadline away.
 *
 * The deadline of a call that is being served still bounds its handler's calls, because nobody waits for them beyond it.
 * Work that is to outlive the served call says so by `Effect.provideService(Deadline.Current, Deadline.none)`.
 *
 * @example
 * import { Effect } from "effect"
 * import { CallOptions } from "trunkline"
 *
 * const report = Effect.succeed("a slow call").pipe(CallOptions.replaceDeadline("1 minute"))
 * const program = Effect.all([Effect.succeed("a call"), report]).pipe(CallOptions.withDeadline("2 seconds"))
 * Effect.runSync(program) // => ["a call", "a slow call"]
 *
 * @category combinators
 * @since 0.1.0
 */
export const replaceDeadline = (duration: Duration.Input): Combinator => {
  const deadlineMillis = Duration.toMillis(duration)
  return update((options) => ({ ...options, deadlineMillis }))
}

type AttemptTime = Pick<CallOptions, "timeoutMillis" | "timeoutMultiplier" | "maxTimeoutMillis">

/**
 * How the time of attempts grows.
 *
 * @category models
 * @since 0.1.0
 */
export interface TimeoutGrowth {
  /** Each attempt has so many times the time of the one before; at least 1. Default 1. */
  readonly multiplier?: number | undefined
  /** The time no attempt exceeds. Default none. */
  readonly max?: Duration.Input | undefined
}

const attemptTime = (duration: Duration.Input, growth: TimeoutGrowth | undefined): AttemptTime => {
  const maxTimeoutMillis = growth?.max === undefined ? Infinity : Duration.toMillis(growth.max)
  return {
    timeoutMillis: Math.min(Duration.toMillis(duration), maxTimeoutMillis),
    timeoutMultiplier: Math.max(1, growth?.multiplier ?? 1),
    maxTimeoutMillis
  }
}

/** Of two limits on attempts, one that keeps both: the shorter first time, the slower growth and the lower bound. */
const tighter = (
  options: CallOptions,
  { timeoutMillis, timeoutMultiplier, maxTimeoutMillis }: AttemptTime
): AttemptTime => {
  if (options.timeoutMillis === Infinity) return { timeoutMillis, timeoutMultiplier, maxTimeoutMillis }
  if (timeoutMillis === Infinity) return options
  // Without growth the first time is the bound of all, and says nothing of how another limit grows below it.
  const bound = (of: AttemptTime) => (of.timeoutMultiplier === 1 ? of.timeoutMillis : of.maxTimeoutMillis)
  const growing = [options.timeoutMultiplier, timeoutMultiplier].filter((multiplier) => multiplier > 1)
  return {
    timeoutMillis: Math.min(options.timeoutMillis, timeoutMillis),
    timeoutMultiplier: growing.length === 0 ? 1 : Math.min(...growing),
    maxTimeoutMillis: Math.min(bound(options), bound({ timeoutMillis, timeoutMultiplier, maxTimeoutMillis }))
  }
}

/**
 * Bounds each attempt. An attempt that takes longer ends as `DEADLINE_EXCEEDED` and may be retried; a later one may be
 * given more time. No attempt outlasts the call's deadline. Nested, the shorter first time, the slower growth and the lower
 * bound hold, so that no attempt has more time than any of them gives it.
 *
 * @example
 * import { Effect } from "effect"
 * import { CallOptions } from "trunkline"
 *
 * // 1 s, 2 s, 4 s, 8 s, 10 s, 10 s, ...
 * const patient = Effect.succeed("a call").pipe(
 *   CallOptions.withTimeout("1 second", { multiplier: 2, max: "10 seconds" })
 * )
 *
 * @category combinators
 * @since 0.1.0
 */
export const withTimeout = (duration: Duration.Input, growth?: TimeoutGrowth): Combinator => {
  const own = attemptTime(duration, growth)
  return update((options) => ({ ...options, ...tighter(options, own) }))
}

/**
 * Gives attempts this time in place of what was set further out, be it shorter or longer. `Duration.infinity` takes the
 * limit away.
 *
 * @category combinators
 * @since 0.1.0
 */
export const replaceTimeout = (duration: Duration.Input, growth?: TimeoutGrowth): Combinator => {
  const own = attemptTime(duration, growth)
  return update((options) => ({ ...options, ...own }))
}

/**
 * Adds request headers; a key given here replaces the same key from further out. A key or value the protocol does not
 * allow throws `MetadataError` where the program is written, not where the call runs.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMetadata = (input: Metadata.Input): Combinator => {
  const metadata = Metadata.makeUnsafe(input)
  return update((options) => ({ ...options, metadata: Metadata.override(options.metadata, metadata) }))
}

/**
 * Waits for a ready peer as long as the deadline allows, whatever is wrong with the peers (gRPC's wait-for-ready).
 *
 * @category combinators
 * @since 0.1.0
 */
export const waitForReady: Combinator = update((options) => ({ ...options, whenNotReady: "wait" }))

/**
 * Fails when no peer is ready, but for one thing: peers that nobody has tried yet are asked to connect, and waited for until
 * they are ready or have failed. So the first call of a pool does not fail because it is the first.
 *
 * @category combinators
 * @since 0.1.0
 */
export const failFast: Combinator = update((options) => ({ ...options, whenNotReady: "fail" }))

/**
 * How many messages of a stream may be buffered or asked for at one time; at least 1, default 16.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withWindow = (messages: number): Combinator => {
  const window = Math.max(1, Math.floor(messages))
  return update((options) => ({ ...options, window }))
}

/**
 * The largest message a call may send, in bytes. A larger one fails the call as `RESOURCE_EXHAUSTED` before it is sent.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMaxSendBytes = (maxSendBytes: number): Combinator =>
  update((options) => ({ ...options, maxSendBytes }))

/**
 * The largest message a call may receive, in bytes. A larger one fails the call as `RESOURCE_EXHAUSTED`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMaxReceiveBytes = (maxReceiveBytes: number): Combinator =>
  update((options) => ({ ...options, maxReceiveBytes }))

/**
 * Compresses the requests of a call. A server that does not know the encoding answers `UNIMPLEMENTED`; what it accepts
 * is in the error's trailers. The grpc-js connector can't choose per call and sends them as they are.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withCompression = (compression: Encoding): Combinator => update((options) => ({ ...options, compression }))

/**
 * Proves who calls: the credentials are asked for each attempt, with whom it goes to. On a connection without TLS the call
 * fails as `UNAUTHENTICATED` instead of showing them to everybody.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withCredentials = (credentials: CallCredentials): Combinator =>
  update((options) => ({ ...options, credentials }))

/**
 * Says that running the call twice is harmless, whatever was said further out. A unary call that is harmless is also tried
 * again when its answer had begun and broke off; any other is committed then.
 *
 * @category combinators
 * @since 0.1.0
 */
export const idempotent: Combinator = update((options) => ({ ...options, idempotent: true }))

/**
 * Says that the call must not run twice: it is never hedged, and retried only after an attempt that no handler saw. A call
 * of which nothing is said is retried as its policy says, because whoever wrote the policy named the codes.
 *
 * @category combinators
 * @since 0.1.0
 */
export const nonIdempotent: Combinator = update((options) => ({ ...options, idempotent: false }))

/**
 * Lets a call whose requests are a stream be tried again: requests are kept while they are sent, and sent again, until the
 * answer begins or they grow too large to keep (`Replay.Limits`). Without it such a call is tried again only as long as
 * none of its requests was taken.
 *
 * @category combinators
 * @since 0.1.0
 */
export const replayable: Combinator = update((options) => ({ ...options, replayable: true }))

/**
 * Gives calls a key: equal keys go to the same peer, where the pool picks by key (`RingHash`, `Maglev`, `Rendezvous`).
 * A `bigint` is the same key as its decimal text.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withHashKey = (key: string | bigint | Uint8Array): Combinator => {
  const hashKey = typeof key === "bigint" ? key.toString() : key
  return update((options) => ({ ...options, hashKey }))
}

/**
 * Sends calls to one peer, by its address, where the pool's picker is `RoutePicker`. If there is no such peer, or it cannot
 * be reached, the call fails as `UNAVAILABLE`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPeer = (address: string): Combinator => update((options) => ({ ...options, peer: address }))

/**
 * Has calls picked for by a picker of this name, where the pool's picker is `RoutePicker` and has one.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPicker = (name: string): Combinator => update((options) => ({ ...options, picker: name }))

/**
 * Sends calls to a list of endpoints of `MultiEndpoint` by its name. Other transports don't look at it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withMultiEndpoint = (multiEndpoint: string): Combinator =>
  update((options) => ({ ...options, multiEndpoint }))

/**
 * Sends calls with the same key to the same peer of a balancer that has an `Affinity`, and over the same connection of a
 * `ChannelPool`. Other transports don't look at it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withAffinityKey = (affinityKey: string): Combinator => update((options) => ({ ...options, affinityKey }))

/**
 * Lets calls go anywhere, whatever key was named further out or is in their messages; they bind and unbind none.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withoutAffinity: Combinator = update((options) => ({ ...options, affinityKey: "" }))
