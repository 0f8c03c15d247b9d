/**
 * Which request of which requester something is done for.
 *
 * A requester names itself and counts its tries; the id it makes of that goes with its calls from process to process. Every
 * log line and every span on the way carries it, so that what happened to one request can be found everywhere by one word.
 */
import { Context, Effect, type Layer, Option, Predicate, References, Stream } from "effect"
import * as DefaultMetadata from "../call/DefaultMetadata.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Interceptor as AnyInterceptor } from "../call/Interceptor.ts"
import type * as Metadata from "../call/Metadata.ts"

/**
 * The metadata key of the id.
 *
 * @category constants
 * @since 0.1.0
 */
export const key = "x-request-id"

/** What logs and spans call it. */
const annotation = "request_id"

/**
 * The id of the request this fiber works for.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<string | undefined>("trunkline/interceptors/RequestId", {
  defaultValue: () => undefined
})

/**
 * Who asks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Requester {
  readonly id: string
  /** How many times it has asked for this before. Default 0. */
  readonly retry?: number | undefined
}

const utf8 = new TextEncoder()

/** What is not printable ASCII, and what has a meaning of its own. */
const unfit = /[^!-$&-+\--~]/gu
const percentEncoded = (char: string): string =>
  [...utf8.encode(char)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("")

/**
 * The id of a requester's request. What metadata cannot carry is percent-encoded.
 *
 * @example
 * import { RequestId } from "trunkline"
 *
 * RequestId.make({ id: "proxy-1/7" }) // => "proxy-1/7#0"
 * RequestId.make({ id: "proxy-1/7", retry: 2 }) // => "proxy-1/7#2"
 * RequestId.make({ id: "Zoë, 1" }) // => "Zo%C3%AB%2C%201#0"
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (requester: Requester): string =>
  `${requester.id.replace(unfit, percentEncoded)}#${requester.retry ?? 0}`

const tagContext =
  (id: string) =>
  <R>(context: Context.Context<R>): Context.Context<R> =>
    context.pipe(
      Context.add(Current, id),
      Context.add(References.CurrentLogAnnotations, {
        ...Context.get(context, References.CurrentLogAnnotations),
        [annotation]: id
      }),
      Context.add(References.TracerSpanAnnotations, {
        ...Context.get(context, References.TracerSpanAnnotations),
        [annotation]: id
      })
    )

/**
 * Tags what is done for a request: logs, spans and calls inside of the effect or stream carry the id.
 *
 * @example
 * import { Effect } from "effect"
 * import { RequestId } from "trunkline"
 *
 * const compile = Effect.log("compiling").pipe(RequestId.tag(RequestId.make({ id: "proxy-1" })))
 *
 * @category combinators
 * @since 0.1.0
 */
export const tag =
  (id: string) =>
  // oxlint-disable-next-line typescript/no-explicit-any -- any effect or stream, returned with the type it had
  <A extends Effect.Effect<any, any, any> | Stream.Stream<any, any, any>>(self: A): A =>
    (Stream.isStream(self)
      ? Stream.updateContext(self, tagContext(id))
      : Effect.updateContext(self as Effect.Effect<unknown>, tagContext(id))) as never

/**
 * Sends the id with the calls of a client, unless the call has one of its own in its metadata.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const client: AnyInterceptor = DefaultMetadata.update((metadata) =>
  Effect.map(Current, (id) => (id === undefined || metadata.has(key) ? metadata : new Map([...metadata, [key, [id]]])))
)

/**
 * `client` for the clients above this layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Interceptor.layer(client)

/** Longer ids, and several at once, are nobody's. */
const valid = /^[!-+\--~]{1,256}$/

/** The id that came with a call, if it is one. */
const idOf = (metadata: Metadata.Metadata): Option.Option<string> =>
  Option.fromNullishOr(metadata.get(key)).pipe(
    Option.filter((values) => values.length === 1),
    Option.flatMap(([id]) => (Predicate.isString(id) && valid.test(id) ? Option.some(id) : Option.none()))
  )

/**
 * Goes on with the id that came with a call: the handler is tagged with it, and the span that serves the call has it. What
 * is no id is ignored.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const server: AnyInterceptor = {
  unary: (next) => (method, request, call) =>
    Option.match(idOf(call.options.metadata), {
      onNone: () => next(method, request, call),
      onSome: (id) =>
        tag(id)(Effect.andThen(Effect.annotateCurrentSpan(annotation, id), () => next(method, request, call)))
    }),
  stream: (next) => (method, requests, call) =>
    Option.match(idOf(call.options.metadata), {
      onNone: () => next(method, requests, call),
      onSome: (id) =>
        Effect.andThen(Effect.annotateCurrentSpan(annotation, id), () => next(method, requests, call)).pipe(
          tag(id),
          Effect.map((response) => ({ ...response, messages: tag(id)(response.messages) }))
        )
    })
}
