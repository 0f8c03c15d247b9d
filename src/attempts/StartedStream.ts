/**
 * A stream that has begun.
 *
 * A streaming call can be tried again until its server begins to answer; from then on the answer is the caller's. So an
 * attempt of a stream is over when its headers are there, and until then whatever it opened is its own.
 */
import { Effect, Exit, Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { StreamResponse } from "../call/Interceptor.ts"
import type { RpcError } from "../status/RpcError.ts"
import * as RetryLoop from "./RetryLoop.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"

/** A started stream, and how to leave it without waiting for the end of the call's scope. */
export interface Begun<out O> {
  readonly response: StreamResponse<O>
  readonly leave: Effect.Effect<void>
}

type Start<O> = Effect.Effect<StreamResponse<O>, RpcError, Scope.Scope>

/** Starts a stream in a scope of its own. A failure leaves nothing open. */
export const start = <O>(open: Start<O>): Effect.Effect<Begun<O>, RpcError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      open.pipe(
        Scope.provide(scope),
        Effect.map((response) => ({ response, leave: Scope.close(scope, Exit.void) })),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    )
  )

/**
 * Starts a stream and waits until its server begins to answer. A failure before that leaves nothing open; its messages are
 * read to their end, which is at hand, because that is where a pool learns how an attempt went.
 */
export const begin = <O>(open: Start<O>): Effect.Effect<Begun<O>, RpcError, Scope.Scope> =>
  start(
    Effect.tap(open, ({ headers, messages }) =>
      Effect.tapError(headers, () => Effect.ignore(Stream.runDrain(messages)))
    )
  )

/** The stream as the caller has it: too late to try again, and its good end is worth something to the budget. */
export const committed = <O>(response: StreamResponse<O>, call: Call, budget: RetryBudget): StreamResponse<O> => {
  let seen: RpcError | undefined
  const tell = (error: RpcError): RpcError => {
    if (error.stopped !== undefined) return error
    if (seen === undefined) {
      RetryLoop.note(call, error, Deadline.nowUnsafe(call.clock))
      seen = RetryLoop.told(call, error, "committed")
    }
    return seen
  }
  return {
    headers: Effect.mapError(response.headers, tell),
    messages: response.messages.pipe(
      Stream.onEnd(Effect.sync(() => budget.observe("success", call.start))),
      Stream.mapError(tell)
    ),
    trailers: Effect.mapError(response.trailers, tell)
  }
}
