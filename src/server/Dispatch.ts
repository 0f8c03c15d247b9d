/**
 * One call on the server: from bytes to bytes.
 *
 * Every adapter serves through here, so that decoding, the deadline, error mapping and encoding are the same on a socket
 * and in memory. The handler runs in the fiber of the effect returned; interrupting it is how an adapter says that the
 * client has gone.
 */
import { type Clock, Effect, Stream } from "effect"
import * as CallOptions from "../call/CallOptions.ts"
import * as Compression from "../call/Compression.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Metadata from "../call/Metadata.ts"
import type * as Method from "../call/Method.ts"
import * as Observation from "../observe/Observation.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Handler } from "./Handlers.ts"
import { ServerCall } from "./ServerCall.ts"

/**
 * What came with a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Incoming {
  readonly metadata: Metadata.Metadata
  /** Milliseconds the client still waits, from `grpc-timeout`; `Infinity` for no limit. */
  readonly timeoutMillis: number
  /** The client's address, as far as the server can tell. */
  readonly remote: string
}

/**
 * The way back to the client.
 *
 * @category models
 * @since 0.1.0
 */
export interface Outgoing {
  /** Sends the response headers; called at most once, and before any message. */
  readonly headers: (headers: Metadata.Metadata, compression: Compression.Encoding) => void
  /** The most metadata that headers, and trailers, may have; `MetadataLimit.defaultMaxBytes` by default. */
  readonly maxMetadataBytes?: number | undefined
  /** Sends a message, compressed or not, and waits until there is room for the next. */
  readonly message: (bytes: Uint8Array, compressed: boolean) => Effect.Effect<void, RpcError.RpcError>
}

type AnyCodec = Method.Codec<unknown, unknown>
type AnyMethod = Method.Method<unknown, unknown>

const coded = <A>(method: Method.Any, what: string, f: () => A): Effect.Effect<A, RpcError.RpcError> =>
  Effect.try({
    try: f,
    catch: () => RpcError.make("INTERNAL", `cannot ${what} of ${method.path}`, { method: method.path })
  })

const decode = (method: Method.Any, bytes: Uint8Array, call: ServerCall) =>
  coded(method, "decode the request", () => {
    call.receivedBytes += bytes.length
    const message = (method.request as AnyCodec).decode(bytes)
    return Compression.arrivedCompressed(bytes) ? Compression.markArrived(message) : message
  })

const encode = (method: Method.Any, message: unknown, call: ServerCall) =>
  coded(method, "encode the response", () => {
    const bytes = (method.response as AnyCodec).encode(message)
    call.sentBytes += bytes.length
    return bytes
  })

/** Whether to compress a response, if the client takes it so. */
const isCompressed = (call: ServerCall, message: unknown): boolean =>
  call.compression !== "identity" && !Compression.isUncompressed(message)

/** Ends a handler at the client's deadline. */
const withinDeadline = <A, R>(self: Effect.Effect<A, RpcError.RpcError, R>, millis: number) =>
  millis === Infinity
    ? self
    : Effect.timeoutOrElse(self, {
        duration: millis,
        orElse: () => Effect.fail(RpcError.make("DEADLINE_EXCEEDED", "deadline exceeded on the server"))
      })

/**
 * Runs a handler within the client's deadline, which calls made by the handler inherit. Succeeds with the trailers;
 * fails with the error to report, which carries the trailers set before it.
 */
const serve = (
  { method, observe }: Handler,
  incoming: Incoming,
  outgoing: Outgoing,
  handle: (call: ServerCall) => Effect.Effect<Metadata.Metadata, RpcError.RpcError>
): Effect.Effect<Metadata.Metadata, RpcError.RpcError> =>
  Effect.clockWith((clock: Clock.Clock) => {
    const { metadata, remote, timeoutMillis } = incoming
    const options = { ...CallOptions.Current.defaultValue(), metadata, deadlineMillis: timeoutMillis }
    const call = new ServerCall(method.path, remote, outgoing, options, clock, Deadline.none)
    const served = Effect.suspend(() => handle(call)).pipe(
      Effect.provideService(Deadline.Current, call.deadline),
      (handled) => withinDeadline(handled, timeoutMillis),
      Effect.catchCause((cause) => {
        const error = RpcError.fromCause(cause)
        // Headers somebody set are worth a frame of their own; without any, status and headers share one.
        if (call.headers.size > 0) call.flushHeaders(call.headers)
        return Effect.fail(RpcError.annotate(error, { trailers: Metadata.override(call.trailers, error.trailers) }))
      })
    )
    if (observe === undefined) return served
    return Observation.around(
      () => observe(method, call),
      () => served
    )
  })

/**
 * Serves a unary call. Succeeds with the trailers, after headers and message have been handed to `outgoing`.
 *
 * @category execution
 * @since 0.1.0
 */
export const unary = (
  handler: Handler,
  bytes: Uint8Array,
  incoming: Incoming,
  outgoing: Outgoing
): Effect.Effect<Metadata.Metadata, RpcError.RpcError> =>
  serve(
    handler,
    incoming,
    outgoing,
    Effect.fnUntraced(function* (call) {
      const request = yield* decode(handler.method, bytes, call)
      const response = yield* handler.arrows.unary(handler.method as AnyMethod, request, call)
      const message = yield* encode(handler.method, response.message, call)
      call.flushHeaders(response.headers)
      yield* outgoing.message(message, isCompressed(call, response.message))
      return response.trailers
    })
  )

/**
 * Serves a streaming call. Succeeds with the trailers, after every response has been handed to `outgoing`.
 *
 * @category execution
 * @since 0.1.0
 */
export const stream = (
  handler: Handler,
  bytes: Stream.Stream<Uint8Array, RpcError.RpcError>,
  incoming: Incoming,
  outgoing: Outgoing
): Effect.Effect<Metadata.Metadata, RpcError.RpcError> =>
  serve(handler, incoming, outgoing, (call) =>
    Effect.scoped(
      Effect.gen(function* () {
        const requests = Stream.mapEffect(bytes, (message) => decode(handler.method, message, call))
        const response = yield* handler.arrows.stream(handler.method as AnyMethod, requests, call)
        const flush = Effect.map(response.headers, (headers) => call.flushHeaders(headers))
        yield* response.messages.pipe(
          Stream.onFirst(() => flush),
          Stream.runForEach((message) =>
            Effect.flatMap(encode(handler.method, message, call), (bytes) =>
              outgoing.message(bytes, isCompressed(call, message))
            )
          )
        )
        yield* flush
        return yield* response.trailers
      })
    )
  )
