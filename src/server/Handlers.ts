/**
 * A service's methods as Effects and Streams.
 *
 * A handler is written like the client's view of the same method: an Effect where one message goes back, a Stream where
 * many do. It fails with an `RpcError` or with an error its method declares; anything else that goes wrong reaches the
 * caller as `INTERNAL` without a word of it. The call comes as the second argument: request metadata, deadline, and the
 * metadata to send back.
 */
import { Context, Effect, Function, Stream } from "effect"
import * as DeclaredError from "../call/DeclaredError.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Call } from "../call/Call.ts"
import type { Invoker, Response, StreamResponse } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as Service from "../call/Service.ts"
import type { Observation } from "../call/CallObserver.ts"
import * as RpcError from "../status/RpcError.ts"
import type { ServerCall } from "./ServerCall.ts"

type Failing = RpcError.RpcError

/**
 * The function that serves a method.
 *
 * @category models
 * @since 0.1.0
 */
export type HandlerOf<M, R> = M extends Method.Method<never, unknown, infer I, infer O, infer E> & {
  readonly kind: infer K
}
  ? K extends "unary"
    ? (request: I, call: ServerCall) => Effect.Effect<O, Failing | E, R>
    : K extends "server_streaming"
      ? (request: I, call: ServerCall) => Stream.Stream<O, Failing | E, R>
      : K extends "client_streaming"
        ? (requests: Stream.Stream<I, Failing>, call: ServerCall) => Effect.Effect<O, Failing | E, R>
        : K extends "bidi_streaming"
          ? (requests: Stream.Stream<I, Failing>, call: ServerCall) => Stream.Stream<O, Failing | E, R>
          : never
  : never

/**
 * A function for each method of a service.
 *
 * @category models
 * @since 0.1.0
 */
export type Implementation<S extends Service.Input, R> = {
  readonly [K in keyof Service.From<S>["methods"]]: HandlerOf<Service.From<S>["methods"][K], R>
}

/**
 * One method, ready to be served. Where it carries one message, its stream has one element.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler {
  readonly method: Method.Any
  readonly invoker: Invoker
  /** Whether somebody who stands in front of the handler may wait for the call's end. */
  readonly intercepted?: boolean | undefined
  /** Watches a call from before its request is decoded until after its response is encoded. */
  readonly observe?: ((method: Method.Any, call: Call) => Observation) | undefined
}

/**
 * The handlers of a service, and what they need from the context.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handlers<out R = never> {
  readonly service: Service.Service
  readonly build: Effect.Effect<ReadonlyArray<Handler>, never, R>
  /** Runs when a server of these begins to stop and still accepts calls. */
  readonly drain: Effect.Effect<void, never, R>
}

// oxlint-disable-next-line typescript/no-explicit-any -- only the requirement is inferred
type RequirementOf<F> = F extends (...args: any) => Effect.Effect<any, any, infer R>
  ? R
  : // oxlint-disable-next-line typescript/no-explicit-any -- only the requirement is inferred
    F extends (...args: any) => Stream.Stream<any, any, infer R>
    ? R
    : never

type AnyRequest = unknown
type AnyFunction = (request: unknown, call: ServerCall) => unknown

/** The request of a method that takes one message. */
const only = (method: Method.Any, requests: Stream.Stream<AnyRequest, Failing>): Effect.Effect<AnyRequest, Failing> =>
  Effect.flatMap(Stream.runCollect(Stream.take(requests, 2)), (all) =>
    all.length === 1
      ? Effect.succeed(all[0])
      : Effect.fail(
          RpcError.make(
            "UNIMPLEMENTED",
            `expected one request message, received ${all.length === 0 ? "none" : "more"}`,
            {
              method: method.path
            }
          )
        )
  )

/** Serves a method, unary or streaming, whatever its kind. Metadata is read when it is sent, not when it starts. */
const invokerOf = (method: Method.Any, run: AnyFunction): Invoker => {
  const one = (request: unknown, call: ServerCall) => run(request, call) as Effect.Effect<unknown, Failing>
  const many = (request: unknown, call: ServerCall) => run(request, call) as Stream.Stream<unknown, Failing>
  const respond = (requests: Stream.Stream<unknown, Failing>, call: ServerCall): Stream.Stream<unknown, Failing> => {
    switch (method.kind) {
      case "unary":
        return Stream.fromEffect(Effect.flatMap(only(method, requests), (request) => one(request, call)))
      case "server_streaming":
        return Stream.unwrap(Effect.map(only(method, requests), (request) => many(request, call)))
      case "client_streaming":
        return Stream.fromEffect(one(requests, call))
      case "bidi_streaming":
        return many(requests, call)
    }
  }
  const unary = (request: unknown, call: ServerCall): Effect.Effect<Response<unknown>, Failing> =>
    Effect.map(one(request, call), (message) => ({ message, headers: call.headers, trailers: call.trailers }))
  const stream = (requests: Stream.Stream<unknown, Failing>, call: ServerCall): StreamResponse<unknown> => ({
    headers: Effect.sync(() => call.headers),
    messages: respond(requests, call),
    trailers: Effect.sync(() => call.trailers)
  })
  return {
    unary: (_method, request, call) => unary(request, call as ServerCall) as never,
    stream: (_method, requests, call) => Effect.sync(() => stream(requests, call as ServerCall)) as never
  }
}

/** A handler has the context it was built in; what is said of the call itself, such as its span, wins over that. */
const withContext = <R>(run: AnyFunction, context: Context.Context<R>): AnyFunction => {
  const inCall = <C>(calling: Context.Context<C>): Context.Context<R | C> => Context.merge(context, calling)
  return (request, call) => {
    const answer = run(request, call)
    return Stream.isStream(answer)
      ? Stream.updateContext(answer, inCall)
      : Effect.updateContext(answer as Effect.Effect<unknown>, inCall)
  }
}

interface Options<R> {
  /** Runs when a server of these begins to stop and still accepts calls. */
  readonly drain?: Effect.Effect<void, never, R> | undefined
}

const handlersOf = <R>(
  description: Service.Input,
  implementation: object,
  options: Options<R> | undefined
): Handlers<R> => {
  const service: Service.Service = Service.from(description)
  const functions = implementation as Readonly<Record<string, AnyFunction | undefined>>
  return {
    service,
    drain: options?.drain ?? Effect.void,
    build: Effect.contextWith((context: Context.Context<R>) =>
      Effect.sync(() =>
        Object.entries(service.methods).flatMap(([name, method]) => {
          const run = functions[name]
          if (run === undefined) return []
          const invoker = invokerOf(method, withContext(run, context))
          return { method, invoker: Interceptor.apply(DeclaredError.toStatus(method), invoker) }
        })
      )
    )
  }
}

/**
 * Makes the handlers of a service. What they need from the context is needed where they are served.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Handlers, Service } from "trunkline"
 *
 * class Shy extends Schema.TaggedError<Shy>()("Shy", { words: Schema.Int }) {}
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String, { errors: [Shy] }) })
 * const EchoHandlers = Handlers.make(Echo, {
 *   say: (text) => (text === "" ? Effect.fail(new Shy({ words: 0 })) : Effect.succeed(text))
 * })
 *
 * @category constructors
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- the requirement is inferred from the functions
export const make = <S extends Service.Input, I extends Implementation<S, any>, R = never>(
  description: S,
  implementation: I,
  options?: Options<R>
): Handlers<RequirementOf<I[keyof I]> | R> => handlersOf(description, implementation, options)

/**
 * Makes handlers for some methods of a service. The others are answered as `UNIMPLEMENTED`, unless other handlers on the
 * same server have them: a service can be served from several places.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Handlers, Service } from "trunkline"
 *
 * const Echo = Service.make("demo.Echo", {
 *   say: Service.unary(Schema.String, Schema.String),
 *   repeat: Service.serverStreaming(Schema.String, Schema.String)
 * })
 * const JustSay = Handlers.partial(Echo, { say: (text) => Effect.succeed(text) })
 *
 * @category constructors
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- the requirement is inferred from the functions
export const partial = <S extends Service.Input, I extends Partial<Implementation<S, any>>, R = never>(
  description: S,
  implementation: I & { readonly [K in Exclude<keyof I, keyof Service.From<S>["methods"]>]: never },
  options?: Options<R>
): Handlers<RequirementOf<I[keyof I]> | R> => handlersOf(description, implementation, options)

/**
 * Handlers that have what they need.
 *
 * @category combinators
 * @since 0.1.0
 */
export const provideContext: {
  <R2>(context: Context.Context<R2>): <R>(self: Handlers<R>) => Handlers<Exclude<R, R2>>
  <R, R2>(self: Handlers<R>, context: Context.Context<R2>): Handlers<Exclude<R, R2>>
} = Function.dual(2, <R, R2>(self: Handlers<R>, context: Context.Context<R2>): Handlers<Exclude<R, R2>> => ({
  service: self.service,
  build: Effect.provideContext(self.build, context),
  drain: Effect.provideContext(self.drain, context)
}))
