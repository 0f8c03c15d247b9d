/**
 * What is seen of a call from begin to end.
 *
 * Spans and metrics ask the same of a call: to be told when it begins, and once how it ended, whatever ended it. For a
 * stream the end is the end of its messages, or that somebody stopped reading them. Telling is here; what to make of it
 * is elsewhere.
 */
import { Effect, Exit, Stream, Tracer } from "effect"
import type { Call } from "./Call.ts"
import type { Interceptor, StreamResponse } from "./Interceptor.ts"
import type * as Method from "./Method.ts"
import type { RpcError } from "../status/RpcError.ts"

/** How a call ended. A stream that its reader left was interrupted. */
export type End = Exit.Exit<unknown, RpcError>

/** One call being watched, from when it is made. */
export interface Observation {
  /** Runs exactly once. */
  readonly end: (end: End) => void
}

/** One call being watched that is a span. */
export interface InSpan extends Observation {
  readonly span: Tracer.AnySpan
}

const left: End = Exit.interrupt()

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

type Started = StreamResponse<unknown>

/** `around` a stream, which goes on when it has started. What starts it hands over the observation. */
const aroundStream = <R>(start: (watch: (observation: Observation) => void) => Effect.Effect<Started, RpcError, R>) =>
  Effect.suspend(() => {
    let observation: Observation | undefined
    const end = (end: End): undefined => {
      const ended = observation
      observation = undefined
      ended?.end(end)
    }
    const ended = (how: End) => Effect.sync(() => end(how))
    const started = Effect.map(
      start((begun) => {
        observation = begun
      }),
      (response) => ({
        ...response,
        messages: response.messages.pipe(
          Stream.tapCause((cause) => ended(Exit.failCause(cause))),
          Stream.onEnd(ended(Exit.void)),
          // Whoever reads may stop, or fail for reasons of its own.
          Stream.ensuring(ended(left))
        )
      })
    )
    return Effect.andThen(
      Effect.addFinalizer(() => ended(left)),
      Effect.onExitPrimitive(started, (exit) => (Exit.isFailure(exit) ? end(exit) : undefined))
    )
  })

/** An interceptor that watches every call. */
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
