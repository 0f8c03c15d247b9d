/**
 * One call on the server: from bytes to bytes.
 *
 * Every adapter serves through here, so that decoding, the deadline, error mapping and encoding are the same on a socket
 * and in memory. The handler runs in the fiber of the effect returned; interrupting it is how an adapter says that the
 * client has gone.
 */
import { Clock, Effect, Stream } from "effect"
import { Call } from "../call/Call.ts"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Response } from "../call/Interceptor.ts"
import type { Metadata } from "../call/Metadata.ts"
import type * as Method from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Handler } from "./Handlers.ts"

/**
 * What the client sent with a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Incoming {
  readonly metadata: Metadata
  /** Milliseconds the client still waits, from `grpc-timeout`; `Infinity` for no limit. */
  readonly timeoutMillis: number
}

type AnyCodec = Method.Codec<unknown, unknown>

const coded = <A>(method: Method.Any, what: string, f: () => A): Effect.Effect<A, RpcError.RpcError> =>
  Effect.try({
    try: f,
    catch: () => RpcError.make("INTERNAL", `cannot ${what} of ${method.path}`, { method: method.path })
  })

const decode = (method: Method.Any, bytes: Uint8Array) =>
  coded(method, "decode the request", () => (method.request as AnyCodec).decode(bytes))

const encode = (method: Method.Any, message: unknown) =>
  coded(method, "encode the response", () => (method.response as AnyCodec).encode(message))

/** Runs a handler within the client's deadline, which calls made by the handler inherit. */
const serve = <A>(
  incoming: Incoming,
  handle: (call: Call) => Effect.Effect<A, RpcError.RpcError>
): Effect.Effect<A, RpcError.RpcError> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const options = {
      ...CallOptions.Current.defaultValue(),
      metadata: incoming.metadata,
      deadlineMillis: incoming.timeoutMillis
    }
    const call = new Call(options, clock, Deadline.none)
    const handled = Effect.provideService(
      Effect.suspend(() => handle(call)),
      Deadline.Current,
      call.deadline
    )
    const bounded =
      incoming.timeoutMillis === Infinity
        ? handled
        : Effect.timeoutOrElse(handled, {
            duration: incoming.timeoutMillis,
            orElse: () => Effect.fail(RpcError.make("DEADLINE_EXCEEDED", "deadline exceeded on the server"))
          })
    return Effect.catchCause(bounded, (cause) => Effect.fail(RpcError.fromCause(cause)))
  })

/**
 * Serves a unary call.
 *
 * @category execution
 * @since 0.1.0
 */
export const unary = (
  handler: Handler,
  bytes: Uint8Array,
  incoming: Incoming
): Effect.Effect<Response<Uint8Array>, RpcError.RpcError> =>
  serve(incoming, (call) =>
    Effect.flatMap(decode(handler.method, bytes), (request) =>
      Effect.flatMap(
        handler.arrows.unary(handler.method as Method.Method<unknown, unknown>, request, call),
        (response) => Effect.map(encode(handler.method, response.message), (message) => ({ ...response, message }))
      )
    )
  )

/**
 * Serves a streaming call: hands every response to `send`, which waits until there is room for the next, and succeeds
 * when all are sent.
 *
 * @category execution
 * @since 0.1.0
 */
export const stream = (
  handler: Handler,
  bytes: Stream.Stream<Uint8Array, RpcError.RpcError>,
  incoming: Incoming,
  send: (message: Uint8Array) => Effect.Effect<void, RpcError.RpcError>
): Effect.Effect<void, RpcError.RpcError> =>
  serve(incoming, (call) => {
    const requests = Stream.mapEffect(bytes, (message) => decode(handler.method, message))
    return Effect.scoped(
      Effect.flatMap(
        handler.arrows.stream(handler.method as Method.Method<unknown, unknown>, requests, call),
        (response) =>
          Stream.runForEach(response.messages, (message) => Effect.flatMap(encode(handler.method, message), send))
      )
    )
  })
