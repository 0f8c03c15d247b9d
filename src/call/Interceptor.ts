/**
 * What carries calls (`Invoker`), and what may stand in front of it (`Interceptor`).
 *
 * An invoker has one function for unary calls and one for every streaming kind, on the client and on the server alike. An
 * interceptor maps each function to another; composing interceptors is composing functions, with the first one outermost.
 */
import { Context, Effect, Layer, type Scope, type Stream } from "effect"
import type { RpcError } from "../status/RpcError.ts"
import type { Call } from "./Call.ts"
import type { Metadata } from "./Metadata.ts"
import type { Method } from "./Method.ts"

/**
 * The answer to a unary call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Response<out O> {
  readonly message: O
  readonly headers: Metadata
  readonly trailers: Metadata
}

/**
 * The answer to a streaming call. `headers` and `trailers` complete when they arrive; a failed call fails them too.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamResponse<out O, out E = never> {
  readonly headers: Effect.Effect<Metadata, RpcError | E>
  readonly messages: Stream.Stream<O, RpcError | E>
  readonly trailers: Effect.Effect<Metadata, RpcError | E>
}

/**
 * A unary call.
 *
 * @category models
 * @since 0.1.0
 */
export type Unary = <I, O>(method: Method<I, O>, request: I, call: Call) => Effect.Effect<Response<O>, RpcError>

/**
 * A streaming call of any kind. It has started when the effect succeeds and is cancelled, unless it has ended, when its
 * scope closes.
 *
 * @category models
 * @since 0.1.0
 */
export type Streaming = <I, O>(
  method: Method<I, O>,
  requests: Stream.Stream<I, RpcError>,
  call: Call
) => Effect.Effect<StreamResponse<O>, RpcError, Scope.Scope>

/**
 * What carries a call: a transport, a server's handlers, or either of them behind interceptors.
 *
 * @category models
 * @since 0.1.0
 */
export interface Invoker {
  readonly unary: Unary
  readonly stream: Streaming
  /** What calls go to in the end, as whoever watches them should name it: the target of a pool, for one. */
  readonly target?: string | undefined
  /** What chooses who takes a call, by the name that people know it by, if anything does. */
  readonly picker?: string | undefined
}

/**
 * Something that stands between a call and what carries it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Interceptor {
  readonly unary: (next: Unary) => Unary
  readonly stream: (next: Streaming) => Streaming
}

/**
 * The interceptor that does nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const identity: Interceptor = { unary: (next) => next, stream: (next) => next }

/**
 * The interceptor of the clients made in this context.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<Interceptor>("trunkline/call/Interceptor", { defaultValue: () => identity })

/**
 * One interceptor of many; the first is outermost, so it sees a call first and its outcome last.
 *
 * @category combinators
 * @since 0.1.0
 */
export const compose = (interceptors: ReadonlyArray<Interceptor>): Interceptor => ({
  unary: (next) => interceptors.reduceRight((inner, interceptor) => interceptor.unary(inner), next),
  stream: (next) => interceptors.reduceRight((inner, interceptor) => interceptor.stream(inner), next)
})

/**
 * An invoker with an interceptor in front.
 *
 * @category combinators
 * @since 0.1.0
 */
export const apply = (self: Interceptor, next: Invoker): Invoker => ({
  unary: self.unary(next.unary),
  stream: self.stream(next.stream),
  target: next.target,
  picker: next.picker
})

/**
 * Puts interceptors in front of the clients above this layer, outside of their retries: they see calls, not attempts.
 * Those that the context has already stay, outside of these; so of two layers the one that is provided last is outermost.
 *
 * @example
 * import { Layer } from "effect"
 * import { CallLogger, DefaultMetadata, Interceptor } from "trunkline"
 *
 * // Every client of the program is logged, this one also names its tenant.
 * const Tenant = Interceptor.layer(DefaultMetadata.make({ "x-tenant": "acme" }))
 * const Both = Tenant.pipe(Layer.provide(Interceptor.layer(CallLogger.make())))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (...interceptors: ReadonlyArray<Interceptor>): Layer.Layer<never> =>
  // Fresh, because what it makes depends on where it is provided.
  Layer.fresh(
    Layer.effect(
      Current,
      Effect.map(Current, (outer) => compose([outer, ...interceptors]))
    )
  )
