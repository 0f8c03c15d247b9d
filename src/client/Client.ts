/**
 * Typed methods from a service.
 *
 * A client turns each method of a service into a function that returns a call as a value: an `Effect` where one message
 * comes back, a `Stream` where many do. A call does nothing until it is run, and can be run again. The client knows one
 * transport and nothing of what is behind it.
 */
import { type Cause, Clock, Context, Effect, type Fiber, Layer, Stream } from "effect"
import { Call } from "../call/Call.ts"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as Service_ from "../call/Service.ts"
import * as Attempts from "../retry/Attempts.ts"
import * as Retry from "../retry/Retry.ts"
import * as RpcError from "../status/RpcError.ts"
import { Transport } from "../transport/Transport.ts"

/**
 * The function a method becomes.
 *
 * @category models
 * @since 0.1.0
 */
export type CallOf<M> = M extends Method.Method<infer I, infer O> & { readonly kind: infer K }
  ? K extends "unary"
    ? (request: I) => Effect.Effect<O, RpcError.RpcError>
    : K extends "server_streaming"
      ? (request: I) => Stream.Stream<O, RpcError.RpcError>
      : K extends "client_streaming"
        ? <E = never, R = never>(requests: Stream.Stream<I, E, R>) => Effect.Effect<O, RpcError.RpcError | E, R>
        : K extends "bidi_streaming"
          ? <E = never, R = never>(requests: Stream.Stream<I, E, R>) => Stream.Stream<O, RpcError.RpcError | E, R>
          : never
  : never

/**
 * A client of a service.
 *
 * @category models
 * @since 0.1.0
 */
export type Client<S extends Service_.Input> = {
  readonly [K in keyof Service_.From<S>["methods"]]: CallOf<Service_.From<S>["methods"][K]>
}

type AnyMethod = Method.Method<unknown, unknown>

const newCall = (fiber: Fiber.Fiber<unknown, unknown>): Call =>
  new Call(fiber.getRef(CallOptions.Current), fiber.getRef(Clock.Clock), fiber.getRef(Deadline.Current))

/**
 * Keeps the caller's own request failure apart from the call's: the wire is told only that the call was given up, and
 * the caller gets the failure back as it was.
 */
const guardRequests = <I, E, R>(requests: Stream.Stream<I, E, R>) => {
  let failure: Cause.Cause<E> | undefined
  return {
    requests: Stream.catchCause(requests, (cause) => {
      failure = cause
      return Stream.fail(RpcError.make("CANCELLED", "the request stream failed"))
    }),
    restore: (cause: Cause.Cause<RpcError.RpcError>): Cause.Cause<RpcError.RpcError | E> => failure ?? cause
  }
}

/** The only message of a stream; anything else is a broken server. */
const single = <O>(method: Method.Any, messages: Stream.Stream<O, RpcError.RpcError>) =>
  Effect.flatMap(Stream.runCollect(messages), (all) =>
    all.length === 1
      ? Effect.succeed(all[0]!)
      : Effect.fail(
          RpcError.make("INTERNAL", `expected one response message, received ${all.length}`, {
            method: method.path
          })
        )
  )

/**
 * Makes a client over the transport of the context. Interceptors and a retry policy in the context become the client's.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Client, Service } from "trunkline"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * const program = Effect.gen(function*() {
 *   const echo = yield* Client.make(Echo)
 *   return yield* echo.say("hello")
 * })
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <S extends Service_.Input>(
  description: S
): Effect.fn.Return<Client<S>, never, Transport> {
  const service: Service_.Service = Service_.from(description)
  const interceptor = Interceptor.compose([yield* Interceptor.Current, Attempts.interceptor(yield* Retry.Current)])
  const arrows = Interceptor.apply(interceptor, yield* Transport)

  const unary = (method: AnyMethod) => (request: unknown) =>
    Effect.withFiber((fiber) =>
      Effect.map(arrows.unary(method, request, newCall(fiber)), (response) => response.message)
    )

  const serverStreaming = (method: AnyMethod) => (request: unknown) =>
    Stream.unwrap(
      Effect.withFiber((fiber) =>
        Effect.map(arrows.stream(method, Stream.succeed(request), newCall(fiber)), (response) => response.messages)
      )
    )

  const clientStreaming =
    (method: AnyMethod) =>
    <E, R>(source: Stream.Stream<unknown, E, R>) =>
      Effect.withFiber<unknown, RpcError.RpcError | E, R>((fiber) => {
        const { requests, restore } = guardRequests(Stream.provideContext(source, fiber.context as Context.Context<R>))
        return arrows.stream(method, requests, newCall(fiber)).pipe(
          Effect.flatMap((response) => single(method, response.messages)),
          Effect.scoped,
          Effect.catchCause((cause) => Effect.failCause(restore(cause)))
        )
      })

  const bidiStreaming =
    (method: AnyMethod) =>
    <E, R>(source: Stream.Stream<unknown, E, R>) =>
      Stream.unwrap(
        Effect.withFiber((fiber) => {
          const { requests, restore } = guardRequests(
            Stream.provideContext(source, fiber.context as Context.Context<R>)
          )
          return Effect.map(arrows.stream(method, requests, newCall(fiber)), (response) =>
            Stream.catchCause(response.messages, (cause) => Stream.failCause(restore(cause)))
          )
        })
      )

  const kinds = {
    unary,
    server_streaming: serverStreaming,
    client_streaming: clientStreaming,
    bidi_streaming: bidiStreaming
  }
  return Object.fromEntries(
    Object.entries(service.methods).map(([name, method]) => [name, kinds[method.kind](method as AnyMethod)])
  ) as Client<S>
})

/**
 * What `Client.Service` returns: a service class with the layer that makes it.
 *
 * @category models
 * @since 0.1.0
 */
export type ServiceClass<Self, Id extends string, S extends Service_.Input> = Context.ServiceClass<
  Self,
  Id,
  Client<S>
> & { readonly layer: Layer.Layer<Self, never, Transport> }

/**
 * Declares a client as a service of the context, with the layer that makes it from a transport.
 *
 * @example
 * import { Schema } from "effect"
 * import { Client, Service } from "trunkline"
 *
 * const EchoService = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 *
 * class Echo extends Client.Service<Echo>()("app/Echo", EchoService) {}
 *
 * const EchoLive = Echo.layer
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service =
  <Self>() =>
  <const Id extends string, S extends Service_.Input>(id: Id, service: S): ServiceClass<Self, Id, S> => {
    const tag = Context.Service<Self, Client<S>>()(id)
    return Object.assign(tag, { layer: Layer.effect(tag, make(service)) }) as ServiceClass<Self, Id, S>
  }
