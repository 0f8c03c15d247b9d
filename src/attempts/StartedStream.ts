/**
 * An attempt of a streaming call that has started.
 *
 * A streaming call can be retried until its server begins to answer. So an attempt ends when response headers arrive, and
 * until then it owns the resources it has opened.
 */
import { Effect, Exit, Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { StreamResponse } from "../call/Interceptor.ts"
import type { RpcError } from "../status/RpcError.ts"
import * as RetryLoop from "./RetryLoop.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"

/** A started stream, and how to close it before the call's scope closes. */
export interface StartedStream<out O> {
  readonly response: StreamResponse<O>
  readonly discard: Effect.Effect<void>
}

type Start<O> = Effect.Effect<StreamResponse<O>, RpcError, Scope.Scope>

/** Starts a stream in a scope of its own. A failure leaves nothing open. */
export const start = <O>(open: Start<O>): Effect.Effect<StartedStream<O>, RpcError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      open.pipe(
        Scope.provide(scope),
        Effect.map((response) => ({ response, discard: Scope.close(scope, Exit.void) })),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    )
  )

/**
 * Starts a stream and waits until its server begins to answer. A failure before that leaves nothing open. The messages of a
 * failed attempt are drained, because a pool observes the end of an attempt there.
 */
export const startAndAwaitHeaders = <O>(open: Start<O>): Effect.Effect<StartedStream<O>, RpcError, Scope.Scope> =>
  start(
    Effect.tap(open, ({ headers, messages }) =>
      Effect.tapError(headers, () => Effect.ignore(Stream.runDrain(messages)))
    )
  )

/** Commits the call to this stream: errors carry the call's history, and a successful end is reported to the budget. */
export const commit = <O>(response: StreamResponse<O>, call: Call, budget: RetryBudget): StreamResponse<O> => {
  let final: RpcError | undefined
  const finish = (error: RpcError): RpcError => {
    if (error.stopped !== undefined) return error
    if (final === undefined) {
      RetryLoop.recordFailure(call, error, { now: Deadline.nowUnsafe(call.clock) })
      final = RetryLoop.withHistory(call, error, "committed")
    }
    return final
  }
  return {
    headers: Effect.mapError(response.headers, finish),
    messages: response.messages.pipe(
      Stream.onEnd(Effect.sync(() => budget.observe("success", call.start))),
      Stream.mapError(finish)
    ),
    trailers: Effect.mapError(response.trailers, finish)
  }
}
