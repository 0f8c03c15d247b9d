/** What an interceptor stands in front of: an invoker whose calls end when a test says so, and the calls to make on them. */
import { Cause, Clock, Deferred, Effect, Exit, Stream } from "effect"
import {
  CallOptions,
  Deadline,
  type Handlers,
  Interceptor,
  Metadata,
  type Method,
  type RpcError,
  Service
} from "trunkline"
import { Call } from "trunkline/extend"
import { EchoService } from "../gen/echo_pb.ts"

export const methods = Service.from(EchoService).methods

type State = "running" | "succeeded" | "failed" | "interrupted"

/** A call that got through. */
export interface Arrived {
  readonly method: Method.Any
  readonly call: Call.Call
  /** The request headers when it arrived. */
  readonly metadata: Metadata.Metadata
  readonly requests: ReadonlyArray<unknown>
  readonly state: () => State
  readonly end: (exit: Exit.Exit<unknown, RpcError.RpcError>) => void
}

const stateOf = (exit: Exit.Exit<unknown, unknown>): State =>
  Exit.isSuccess(exit) ? "succeeded" : Cause.hasInterrupts(exit.cause) ? "interrupted" : "failed"

export const headers: Metadata.Metadata = Metadata.makeUnsafe({ header: "h" })
export const trailers: Metadata.Metadata = Metadata.makeUnsafe({ "x-trailer": "t" })

/** A backend that takes every call. A streaming call reads its requests, then sends the one message it is ended with. */
export const make = () => {
  const arrived: Array<Arrived> = []

  /** A call that has not arrived; it can be over before it does. */
  const expect = (method: Method.Any, call: Call.Call) => {
    let state: State = "running"
    const end = Deferred.makeUnsafe<unknown, RpcError.RpcError>()
    return {
      answer: Deferred.await(end),
      arrive: (requests: ReadonlyArray<unknown>) =>
        Effect.sync(() => {
          arrived.push({
            method,
            call,
            metadata: call.options.metadata,
            requests,
            state: () => state,
            end: (exit) => Deferred.doneUnsafe(end, exit)
          })
        }),
      over: (exit: Exit.Exit<unknown, unknown>) =>
        Effect.sync(() => {
          if (state === "running") state = stateOf(exit)
        })
    }
  }

  const invoker: Interceptor.Invoker = {
    unary: (method, request, call) =>
      Effect.suspend(() => {
        const { answer, arrive, over } = expect(method, call)
        return Effect.andThen(arrive([request]), answer).pipe(
          Effect.onExit(over),
          Effect.map((message) => ({ message, headers, trailers }))
        )
      }) as never,
    stream: (method, requests, call) =>
      Effect.suspend(() => {
        const { answer, arrive, over } = expect(method, call)
        const read: Array<unknown> = []
        const messages = Stream.concat(
          Stream.drain(Stream.tap(requests, (request) => Effect.sync(() => read.push(request)))),
          Stream.fromEffect(answer)
        )
        return Effect.addFinalizer(() => over(Exit.interrupt())).pipe(
          Effect.andThen(arrive(read)),
          Effect.as({
            headers: Effect.succeed(headers),
            messages: Stream.onExit(messages, over),
            trailers: Effect.succeed(trailers)
          })
        )
      }) as never
  }
  return { arrived, invoker }
}

export type Backend = ReturnType<typeof make>

/** A call of the fiber's clock. */
export const newCall = (options?: Partial<CallOptions.CallOptions>) =>
  Effect.map(
    Clock.Clock,
    (clock) => new Call.Call({ ...CallOptions.Current.defaultValue(), ...options }, clock, Deadline.none)
  )

export type Kind = "unary" | "stream"
export const kinds: ReadonlyArray<Kind> = ["unary", "stream"]

/** Makes one call, and reads a stream to its end. */
export const run = Effect.fnUntraced(function* (
  invoker: Interceptor.Invoker,
  kind: Kind,
  options?: { readonly call?: Call.Call; readonly request?: { readonly text: string } }
) {
  const call = options?.call ?? (yield* newCall())
  const request = options?.request ?? { text: "a" }
  if (kind === "unary") return yield* invoker.unary(methods.echo, request, call)
  const response = yield* invoker.stream(methods.expand, Stream.make(request), call)
  const [message] = yield* Stream.runCollect(response.messages)
  return { message, headers: yield* response.headers, trailers: yield* response.trailers }
}, Effect.scoped)

/** Handlers behind an interceptor, wherever they are served. */
export const behind = (interceptor: Interceptor.Interceptor, handlers: Handlers.Handlers): Handlers.Handlers => ({
  ...handlers,
  build: Effect.map(handlers.build, (built) =>
    built.map((handler) => ({ ...handler, invoker: Interceptor.apply(interceptor, handler.invoker) }))
  )
})
