/**
 * The beginning and the end of a call.
 *
 * Spans, metrics, logs and limits need to know when a call begins, and once how it ended, whatever ended it. A stream ends
 * with its messages, or when its reader stops. This module finds the end; its users decide what to do with it.
 */
import { Effect, Exit, type Scope, Stream, Tracer } from "effect"
import type { Call } from "./Call.ts"
import type { Interceptor, StreamResponse } from "./Interceptor.ts"
import type * as Method from "./Method.ts"
import type { RpcError } from "../status/RpcError.ts"

/** How a call ended. A stream that its reader left was interrupted. */
export type End = Exit.Exit<unknown, RpcError>

/** One observed call, from its beginning. */
export interface Observation {
  /** Runs exactly once. */
  readonly end: (end: End) => void
}

/** One observed call that is a span. */
export interface InSpan extends Observation {
  readonly span: Tracer.AnySpan
}

const left: Exit.Exit<never> = Exit.interrupt()

/**
 * Runs something from the begin of its observation to its end. Interruption, wherever it lands, finds both or neither. It
 * may run again when it has ended, as attempts do, but not twice at one time.
 */
export const around = <A, R>(
  begin: () => Observation,
  run: () => Effect.Effect<A, RpcError, R>
): Effect.Effect<A, RpcError, R> => {
  let observation: Observation | undefined
  return Effect.onExitPrimitive(
    Effect.suspend(() => {
      observation = begin()
      return run()
    }),
    (exit) => {
      const ended = observation
      observation = undefined
      ended?.end(exit)
      return undefined
    }
  )
}

/** How a streaming call ended: well, and then with its response, or with a cause. */
export type StreamEnd<O = unknown> = Exit.Exit<StreamResponse<O>, RpcError>

/**
 * Runs `end` exactly once when a streaming call ends: when it does not start, when its messages end or fail, or, as an
 * interruption, when its reader stops or its scope closes before that.
 */
export const onStreamEnd = <O, R>(
  start: Effect.Effect<StreamResponse<O>, RpcError, R>,
  end: (exit: StreamEnd<O>) => Effect.Effect<void>
): Effect.Effect<StreamResponse<O>, RpcError, R | Scope.Scope> =>
  Effect.suspend(() => {
    let isOpen = true
    const ended = (exit: StreamEnd<O>): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (!isOpen) return Effect.void
        isOpen = false
        return end(exit)
      })
    const abandoned = ended(left)
    const started = Effect.map(start, (response) => ({
      ...response,
      messages: response.messages.pipe(
        Stream.tapCause((cause) => ended(Exit.failCause(cause))),
        Stream.onEnd(ended(Exit.succeed(response))),
        // A reader may stop, or fail for reasons of its own.
        Stream.ensuring(abandoned)
      )
    }))
    return Effect.andThen(
      Effect.addFinalizer(() => abandoned),
      Effect.onExitPrimitive(started, (exit) => (Exit.isFailure(exit) ? ended(exit) : undefined))
    )
  })

type Started = StreamResponse<unknown>

/** `around` a stream, which goes on when it has started. What starts it hands over the observation. */
const aroundStream = <R>(start: (watch: (observation: Observation) => void) => Effect.Effect<Started, RpcError, R>) =>
  Effect.suspend(() => {
    let observation: Observation | undefined
    return onStreamEnd(
      start((begun) => {
        observation = begun
      }),
      (exit) => Effect.sync(() => observation?.end(exit))
    )
  })

/** An interceptor that observes every call. */
export const interceptor = (begin: (method: Method.Any, call: Call) => Observation): Interceptor => ({
  unary: (next) => (method, request, call) =>
    around(
      () => begin(method, call),
      () => next(method, request, call)
    ),
  stream: (next) => (method, requests, call) =>
    aroundStream((watch) =>
      Effect.suspend(() => {
        watch(begin(method, call))
        return next(method, requests, call)
      })
    ) as never
})

const within = <A, R>(span: Tracer.AnySpan, run: () => Effect.Effect<A, RpcError, R>) =>
  Effect.provideService(Effect.suspend(run), Tracer.ParentSpan, span)

/** An interceptor that makes every call a span, in which the rest of it runs. */
export const inSpan = (begin: (method: Method.Any, call: Call) => Effect.Effect<InSpan>): Interceptor => ({
  unary: (next) => (method, request, call) =>
    Effect.flatMap(begin(method, call), (observation) =>
      around(
        () => observation,
        () => within(observation.span, () => next(method, request, call))
      )
    ),
  stream: (next) => (method, requests, call) =>
    aroundStream((watch) =>
      Effect.flatMap(begin(method, call), (observation) => {
        watch(observation)
        const { span } = observation
        return Effect.map(
          within(span, () => next(method, requests, call)),
          (response) => ({
            ...response,
            messages: Stream.provideService(response.messages, Tracer.ParentSpan, span)
          })
        )
      })
    ) as never
})
