/**
 * Typed methods from a service.
 *
 * A client turns each method of a service into a function that returns a call as a value: an `Effect` where one message
 * comes back, a `Stream` where many do. A call does nothing until it is run, and can be run again. The client knows one
 * transport and nothing of what is behind it.
 */
import { type Cause, Clock, Context, Effect, type Fiber, Layer, type Scope, Stream } from "effect"
import { Call } from "../call/Call.ts"
import * as CallOptions from "../call/CallOptions.ts"
import * as DeclaredError from "../call/DeclaredError.ts"
import * as Deadline from "../call/Deadline.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Invoker, Response, StreamResponse } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as Service_ from "../call/Service.ts"
import * as Tracing from "../telemetry/Tracing.ts"
import * as RetryInterceptor from "../attempts/RetryInterceptor.ts"
import * as MethodPolicy from "../policy/MethodPolicy.ts"
import * as Resume from "../attempts/Resume.ts"
import * as RetryBudget from "../retry/RetryBudget.ts"
import * as RpcError from "../status/RpcError.ts"
import { Transport } from "../transport/Transport.ts"
import * as ClientMetrics from "./ClientMetrics.ts"
import * as ClientSnapshot from "./ClientSnapshot.ts"

type Failure = RpcError.RpcError

/**
 * A method with one request and one response. Called, it is the message; `response` is the message with its headers and
 * trailers. A failed call has them on its error.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnaryMethod<I, O, E = never> {
  (request: I): Effect.Effect<O, Failure | E>
  readonly response: (request: I) => Effect.Effect<Response<O>, Failure | E>
}

/**
 * A method with one request and many responses. `response` gives the headers before the first message.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerStreamingMethod<I, O, E = never> {
  (request: I): Stream.Stream<O, Failure | E>
  readonly response: (request: I) => Effect.Effect<StreamResponse<O, E>, Failure | E, Scope.Scope>
}

/**
 * A method with many requests and one response. The request stream's own failure comes back as it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClientStreamingMethod<I, O, E = never> {
  <E2 = never, R = never>(requests: Stream.Stream<I, E2, R>): Effect.Effect<O, Failure | E | E2, R>
  readonly response: <E2 = never, R = never>(
    requests: Stream.Stream<I, E2, R>
  ) => Effect.Effect<Response<O>, Failure | E | E2, R>
}

/**
 * A method with many requests and many responses. The request stream's own failure comes back as it was.
 *
 * @category models
 * @since 0.1.0
 */
export interface BidiStreamingMethod<I, O, E = never> {
  <E2 = never, R = never>(requests: Stream.Stream<I, E2, R>): Stream.Stream<O, Failure | E | E2, R>
  readonly response: <E2 = never, R = never>(
    requests: Stream.Stream<I, E2, R>
  ) => Effect.Effect<StreamResponse<O, E | E2>, Failure | E | E2, R | Scope.Scope>
}

/**
 * The function a method becomes. It fails with the errors the method declares, and with `RpcError` for all else.
 *
 * @category models
 * @since 0.1.0
 */
export type CallOf<M> = M extends Method.Method<infer I, infer O, unknown, never, infer E> & { readonly kind: infer K }
  ? K extends "unary"
    ? UnaryMethod<I, O, E>
    : K extends "server_streaming"
      ? ServerStreamingMethod<I, O, E>
      : K extends "client_streaming"
        ? ClientStreamingMethod<I, O, E>
        : K extends "bidi_streaming"
          ? BidiStreamingMethod<I, O, E>
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
type Policy = MethodPolicy.MethodPolicy | undefined

const newCall = (fiber: Fiber.Fiber<unknown, unknown>, policy: Policy): Call => {
  const options = MethodPolicy.applyTo(fiber.getRef(CallOptions.Current), policy)
  return new Call(options, fiber.getRef(Clock.Clock), fiber.getRef(Deadline.Current))
}

/** What carries the calls of a fiber. */
type Carrier = (fiber: Fiber.Fiber<unknown, unknown>) => Invoker

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

/** The answer of a stream that has one message; a server that goes on is broken, and not listened to. */
const single = Effect.fnUntraced(function* <O, E>(method: Method.Any, response: StreamResponse<O, E>) {
  const all = yield* Stream.runCollect(Stream.take(response.messages, 2))
  if (all.length !== 1) {
    const message = `expected one response message, received ${all.length}`
    return yield* RpcError.make("INTERNAL", message, { method: method.path, origin: "remote" })
  }
  return { message: all[0]!, headers: yield* response.headers, trailers: yield* response.trailers }
})

const unary = (method: AnyMethod, carrier: Carrier, policy: Policy) => {
  const response = (request: unknown) =>
    Effect.withFiber((fiber) => carrier(fiber).unary(method, request, newCall(fiber, policy)))
  return Object.assign((request: unknown) => Effect.map(response(request), ({ message }) => message), { response })
}

const serverStreaming = (method: AnyMethod, carrier: Carrier, policy: Policy, budget: RetryBudget.RetryBudget) => {
  const response = (request: unknown) =>
    Effect.withFiber((fiber) => carrier(fiber).stream(method, Stream.succeed(request), newCall(fiber, policy)))
  return Object.assign((request: unknown) => Stream.unwrap(Effect.map(response(request), ({ messages }) => messages)), {
    response,
    [Resume.origin]: { budget, policy } satisfies Resume.Origin
  })
}

const bidiResponse =
  (method: AnyMethod, carrier: Carrier, policy: Policy) =>
  <E, R>(source: Stream.Stream<unknown, E, R>) =>
    Effect.withFiber<StreamResponse<unknown, E>, Failure | E, R | Scope.Scope>((fiber) => {
      const { requests, restore } = guardRequests(Stream.provideContext(source, fiber.context as Context.Context<R>))
      const restored = Effect.catchCause((cause: Cause.Cause<Failure>) => Effect.failCause(restore(cause)))
      return carrier(fiber)
        .stream(method, requests, newCall(fiber, policy))
        .pipe(
          Effect.map((response) => ({
            headers: restored(response.headers),
            messages: Stream.catchCause(response.messages, (cause) => Stream.failCause(restore(cause))),
            trailers: restored(response.trailers)
          })),
          restored
        )
    })

const bidiStreaming = (method: AnyMethod, carrier: Carrier, policy: Policy) => {
  const response = bidiResponse(method, carrier, policy)
  return Object.assign(
    <E, R>(source: Stream.Stream<unknown, E, R>) =>
      Stream.unwrap(Effect.map(response(source), ({ messages }) => messages)),
    { response }
  )
}

const clientStreaming = (method: AnyMethod, carrier: Carrier, policy: Policy) => {
  const start = bidiResponse(method, carrier, policy)
  const response = <E, R>(source: Stream.Stream<unknown, E, R>) =>
    Effect.scoped(Effect.flatMap(start(source), (response) => single(method, response)))
  return Object.assign(
    <E, R>(source: Stream.Stream<unknown, E, R>) => Effect.map(response(source), ({ message }) => message),
    { response }
  )
}

const kinds = {
  unary,
  server_streaming: serverStreaming,
  client_streaming: clientStreaming,
  bidi_streaming: bidiStreaming
}

/**
 * Makes a client over the transport of the context. Interceptors and policies of retry, hedging and methods in
 * the context become the client's.
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
  const policies = MethodPolicy.resolve(yield* MethodPolicy.Current, Object.values(service.methods))
  const transport = yield* Transport
  const tracing = yield* Tracing.Current
  const shared = yield* RetryBudget.Current
  const budget = shared ?? (yield* RetryBudget.make())
  yield* ClientSnapshot.register({ service: service.typeName, policies, budget, shared: shared !== undefined })
  const measured = yield* ClientMetrics.make(service, transport.target, budget)
  const attempts = yield* Effect.provideService(RetryInterceptor.make(policies), RetryBudget.Current, budget)
  const inner = [measured.calls, yield* Interceptor.Current, attempts, measured.attempts]
  const traced = [Tracing.calls(transport.target), ...inner, Tracing.attempts(tracing, transport.picker)]

  const carrierOf = (method: AnyMethod): Carrier => {
    const behind = (interceptors: ReadonlyArray<Interceptor.Interceptor>) =>
      Interceptor.apply(Interceptor.compose([DeclaredError.fromStatus(method), ...interceptors]), transport)
    const bare = behind(inner)
    if (tracing.when?.(method) === false) return () => bare
    const spans = behind(traced)
    return (fiber) => (Tracing.isOn(fiber) ? spans : bare)
  }

  return Object.fromEntries(
    Object.entries(service.methods).map(([name, method]) => [
      name,
      kinds[method.kind](method as AnyMethod, carrierOf(method as AnyMethod), policies.get(method), budget)
    ])
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
