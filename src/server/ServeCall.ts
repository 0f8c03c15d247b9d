/**
 * One call on the server: from bytes to bytes.
 *
 * Every adapter serves through here, so that decoding, the deadline, error mapping and encoding are the same on a socket
 * and in memory. The handler runs in the fiber of the effect returned; interrupting it is how an adapter says that the
 * client has gone.
 */
import { Cause, type Clock, Effect, Exit, Schema, Stream } from "effect"
import * as CallOptions from "../call/CallOptions.ts"
import { undecodableRequest, unencodableResponse } from "../call/MessageBytes.ts"
import * as Compression from "../call/Compression.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Metadata from "../call/Metadata.ts"
import type * as Method from "../call/Method.ts"
import * as Reported from "../call/Reported.ts"
import * as SchemaProblem from "../call/SchemaProblem.ts"
import * as CallObserver from "../call/CallObserver.ts"
import * as Printable from "../status/Printable.ts"
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
  /** What the adapter tells the client when it ends the call itself; set before the call is interrupted. */
  readonly cutOff?: RpcError.RpcError | undefined
}

type AnyCodec = Method.Codec<unknown, unknown>
type AnyMethod = Method.Method<unknown, unknown>

/** The text of what a codec threw, for the log; it may be as long as the message. */
const said = (cause: unknown): string => SchemaProblem.cut(cause instanceof Error ? cause.message : String(cause), 500)

/** Says that a request was refused. A stranger may send many, so it is a line without a stack, and no error. */
const logRefusal = (error: RpcError.RpcError, method: Method.Any, call: ServerCall): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logWarning(error.reason.message), {
    method: method.path,
    code: error.code,
    remote: call.remote,
    // The problems of a schema are in the text.
    ...(Schema.isSchemaError(error.cause) ? undefined : { cause: Printable.escape(said(error.cause)) })
  })

/** Says what is wrong with this program. Its callers only hear that something is. */
const logFault = (text: string, method: Method.Any, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.annotateLogs(Effect.logError(text, cause), { method: method.path })

const decode = (method: Method.Any, bytes: Uint8Array, call: ServerCall): Effect.Effect<unknown, RpcError.RpcError> =>
  Effect.suspend(() => {
    call.receivedBytes += bytes.length
    let message: unknown
    try {
      message = (method.request as AnyCodec).decode(bytes)
    } catch (cause) {
      const error = undecodableRequest(method, cause)
      return Effect.andThen(logRefusal(error, method, call), Effect.fail(error))
    }
    return Effect.succeed(Compression.arrivedCompressed(bytes) ? Compression.markArrived(message) : message)
  })

const encode = (method: Method.Any, message: unknown, call: ServerCall): Effect.Effect<Uint8Array, RpcError.RpcError> =>
  Effect.suspend(() => {
    let bytes: Uint8Array
    try {
      bytes = (method.response as AnyCodec).encode(message)
    } catch (cause) {
      const error = unencodableResponse(method, cause)
      return Effect.andThen(logFault(error.reason.message, method, Cause.fail(cause)), Effect.fail(error))
    }
    call.sentBytes += bytes.length
    return Effect.succeed(bytes)
  })

/** Whether to compress a response, if the client takes it so. */
const isCompressed = (call: ServerCall, message: unknown): boolean =>
  call.compression !== "identity" && !Compression.isUncompressed(message)

/** Ends a handler at the client's deadline. */
const endAtDeadline = <A, R>(self: Effect.Effect<A, RpcError.RpcError, R>, millis: number, call: ServerCall) =>
  millis === Infinity
    ? self
    : Effect.raceFirst(
        self,
        Effect.flatMap(Effect.sleep(millis), () => {
          const error = RpcError.make("DEADLINE_EXCEEDED", `deadline exceeded on the server of ${call.method}`)
          // Said before the handler is interrupted, for those who then want to know why.
          call.outOfTime = error
          return Effect.fail(error)
        })
      )

/** Logs the defects that a call ended with, unless an interceptor has. */
const logDefects = (cause: Cause.Cause<unknown>, method: Method.Any, call: ServerCall): Effect.Effect<void> => {
  const defects = cause.reasons.filter(Cause.isDieReason)
  return defects.length === 0 || Reported.has(call)
    ? Effect.void
    : logFault(`the handler of ${method.path} died`, method, Cause.fromReasons(defects))
}

/** Tells interceptors how the call has ended; one that dies of it changes nothing. */
const tellEnd = (exit: Exit.Exit<unknown, RpcError.RpcError>, method: Method.Any, call: ServerCall) =>
  Effect.catchCause(call.end(Exit.isSuccess(exit) ? undefined : RpcError.ofCall(exit.cause, call)), (cause) =>
    logFault(`an interceptor of ${method.path} died when the call had ended`, method, cause)
  )

/**
 * Runs a handler within the client's deadline, which calls made by the handler inherit. Succeeds with the trailers;
 * fails with the error to report, which carries the trailers set before it.
 */
const serve = (
  { intercepted, method, observe }: Handler,
  incoming: Incoming,
  outgoing: Outgoing,
  handle: (call: ServerCall) => Effect.Effect<Metadata.Metadata, RpcError.RpcError>
): Effect.Effect<Metadata.Metadata, RpcError.RpcError> =>
  Effect.clockWith((clock: Clock.Clock) => {
    const { metadata, remote, timeoutMillis } = incoming
    const options = { ...CallOptions.Current.defaultValue(), metadata, deadlineMillis: timeoutMillis }
    const call = new ServerCall(method.path, remote, outgoing, options, clock, Deadline.none)
    let ended: Cause.Cause<RpcError.RpcError> | undefined
    let served = Effect.suspend(() => handle(call)).pipe(
      Effect.provideService(Deadline.Current, call.deadline),
      (handled) => endAtDeadline(handled, timeoutMillis, call),
      Effect.catchCause((cause) => {
        const error = RpcError.fromCause(cause)
        // Headers somebody set are worth a frame of their own; without any, status and headers share one.
        if (call.headers.size > 0) call.flushHeaders(call.headers)
        const told = RpcError.annotate(error, { trailers: Metadata.override(call.trailers, error.trailers) })
        if (intercepted !== true) return Effect.andThen(logDefects(cause, method, call), Effect.fail(told))
        ended = cause
        return Effect.fail(told)
      })
    )
    if (intercepted === true) {
      served = Effect.onExit(served, (exit) =>
        // Interceptors first: one of them may log the defects.
        Effect.andThen(
          tellEnd(exit, method, call),
          Effect.suspend(() => (ended === undefined ? Effect.void : logDefects(ended, method, call)))
        )
      )
    }
    if (observe === undefined) return served
    return CallObserver.around(
      () => observe(method, call),
      () => served
    )
  })

/**
 * A request that does not decode passes the interceptors as a stream that fails, so that those who log or count calls see
 * this one. No handler runs.
 */
const refuse = (
  { invoker, method }: Handler,
  error: RpcError.RpcError,
  call: ServerCall
): Effect.Effect<never, RpcError.RpcError> =>
  Effect.scoped(
    Effect.flatMap(invoker.stream(method as AnyMethod, Stream.fail(error), call), ({ messages }) =>
      Stream.runDrain(messages)
    )
  ).pipe(Effect.andThen(Effect.fail(error)))

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
      const request = yield* Effect.catch(decode(handler.method, bytes, call), (error) => refuse(handler, error, call))
      const response = yield* handler.invoker.unary(handler.method as AnyMethod, request, call)
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
        const response = yield* handler.invoker.stream(handler.method as AnyMethod, requests, call)
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
