/**
 * What is seen of a call from begin to end.
 *
 * Spans and metrics ask the same of a call: to be told when it begins, and once how it ended, whatever ended it. For a
 * stream the end is the end of its messages, or that somebody stopped reading them. Telling is here; what to make of it
 * is elsewhere.
 */
import { Effect, Exit, Stream, Tracer } from "effect"
import type { Call } from "../call/Call.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import type { RpcError } from "../status/RpcError.ts"

/** How a call ended. A stream that its reader left was interrupted. */
export type End = Exit.Exit<unknown, RpcError>

/** One call being watched. */
export interface Observation {
  /** Runs when the call begins; from then on nothing keeps `end` from running. */
  readonly begin?: (() => void) | undefined
  /** Runs exactly once. */
  readonly end: (end: End) => void
  /** What the call runs in, if it is a span. */
  readonly span?: Tracer.AnySpan | undefined
}

const left: End = Exit.interrupt()

/** Interruption, wherever it lands, finds a call that has begun under the handler that ends it. */
class Watch {
  #observation: Observation | undefined

  begin<A, R>(observation: Observation, run: () => Effect.Effect<A, RpcError, R>): Effect.Effect<A, RpcError, R> {
    this.#observation = observation
    observation.begin?.()
    const { span } = observation
    return span === undefined ? run() : Effect.provideService(Effect.suspend(run), Tracer.ParentSpan, span)
  }

  get span(): Tracer.AnySpan | undefined {
    return this.#observation?.span
  }

  end(end: End): undefined {
    const observation = this.#observation
    this.#observation = undefined
    observation?.end(end)
  }
}

/** Runs what an observation is of, from its begin to its end. */
export const around = <A, R>(
  observation: Observation,
  run: Effect.Effect<A, RpcError, R>
): Effect.Effect<A, RpcError, R> =>
  Effect.suspend(() => {
    const watch = new Watch()
    return Effect.onExitPrimitive(
      Effect.suspend(() => watch.begin(observation, () => run)),
      (exit) => watch.end(exit)
    )
  })

/** An interceptor that watches every call. */
export const interceptor = (begin: (method: Method.Any, call: Call) => Effect.Effect<Observation>): Interceptor => ({
  unary: (next) => (method, request, call) =>
    Effect.suspend(() => {
      const watch = new Watch()
      return Effect.onExitPrimitive(
        Effect.flatMap(begin(method, call), (observation) =>
          watch.begin(observation, () => next(method, request, call))
        ),
        (exit) => watch.end(exit)
      )
    }),
  stream: (next) => (method, requests, call) =>
    Effect.suspend(() => {
      const watch = new Watch()
      const ended = (end: End) => Effect.sync(() => watch.end(end))
      const start = Effect.flatMap(begin(method, call), (observation) =>
        watch.begin(observation, () => next(method, requests, call))
      )
      const started = Effect.map(start, (response) => {
        const { span } = watch
        const messages = response.messages.pipe(
          Stream.tapCause((cause) => ended(Exit.failCause(cause))),
          Stream.onEnd(ended(Exit.void)),
          // Whoever reads may stop, or fail for reasons of its own.
          Stream.ensuring(ended(left))
        )
        return {
          ...response,
          messages: span === undefined ? messages : Stream.provideService(messages, Tracer.ParentSpan, span)
        }
      })
      return Effect.andThen(
        Effect.addFinalizer(() => ended(left)),
        Effect.onExitPrimitive(started, (exit) => (Exit.isFailure(exit) ? watch.end(exit) : undefined))
      )
    })
})
