/**
 * The loop around one call's attempts, as an interceptor.
 *
 * Nothing of it exists until an attempt has failed. Then the policy is asked for a delay; the call stops when the policy
 * does, or when the delay could not end inside the deadline, and fails with the last real error and the story of every
 * attempt.
 */
import { Duration, Effect, Exit, Option, Pull, Result, Schedule, Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Interceptor, Streaming, StreamResponse } from "../call/Interceptor.ts"
import * as RpcError from "../status/RpcError.ts"
import * as Retry from "./Retry.ts"

/** An attempt that never reached a peer because time ran out says less than the error before it. */
const neverTried = (error: RpcError.RpcError): boolean =>
  error.code === "DEADLINE_EXCEEDED" && error.origin === "local" && error.peer === undefined

const afterFailure = Effect.fnUntraced(function* <A, R>(
  attempt: Effect.Effect<A, RpcError.RpcError, R>,
  call: Call,
  clientPolicy: Retry.RetryPolicy | undefined,
  first: RpcError.RpcError
): Effect.fn.Return<A, RpcError.RpcError, R> {
  const step = yield* Schedule.toStep((yield* Retry.Current) ?? clientPolicy ?? Retry.none)
  const attempts: Array<RpcError.Attempt> = []
  let error = first
  let started = call.start

  while (true) {
    const now = Deadline.nowUnsafe(call.clock)
    const delay = yield* step(call.clock.currentTimeMillisUnsafe(), error).pipe(
      Effect.map(([, delay]) => Duration.toMillis(delay)),
      Pull.catchDone(() => Effect.succeed(undefined))
    )
    const fits = delay !== undefined && now + delay < call.deadline
    attempts.push({ peer: error.peer, code: error.code, elapsedMillis: now - started, delayMillis: fits ? delay : 0 })
    if (!fits) {
      return yield* RpcError.annotate(error, { attempts, stopped: delay === undefined ? "attempts" : "deadline" })
    }
    yield* Effect.sleep(delay)
    started = Deadline.nowUnsafe(call.clock)
    // A sleep may end late; an attempt without time left would only add to what made it late.
    if (started >= call.deadline) return yield* RpcError.annotate(error, { attempts, stopped: "deadline" })
    call.nextAttempt(started)
    const result = yield* Effect.result(attempt)
    if (Result.isSuccess(result)) return result.success
    if (neverTried(result.failure)) {
      return yield* RpcError.annotate(error, { attempts, stopped: "deadline" })
    }
    error = result.failure
  }
})

/** Runs an attempt, and again as the policy says. The attempt reads the call each time it is run. */
const run = <A, R>(
  attempt: Effect.Effect<A, RpcError.RpcError, R>,
  call: Call,
  clientPolicy: Retry.RetryPolicy | undefined
): Effect.Effect<A, RpcError.RpcError, R> =>
  Effect.catch(attempt, (error) => afterFailure(attempt, call, clientPolicy, error))

/** Starts a stream and waits for its first messages, which are put back. A failure before them leaves nothing open. */
const begin = <O>(start: Effect.Effect<StreamResponse<O>, RpcError.RpcError, Scope.Scope>) =>
  Effect.flatMap(Effect.scope, (outer) =>
    Effect.flatMap(Scope.fork(outer), (scope) =>
      Effect.gen(function* () {
        const response = yield* start
        const pull = yield* Stream.toPull(response.messages)
        const first = yield* pull.pipe(
          Effect.map(Option.some),
          Pull.catchDone(() => Effect.succeedNone)
        )
        const messages = Option.match(first, {
          onNone: () => Stream.empty,
          onSome: (chunk) => Stream.concat(Stream.fromArray(chunk), Stream.fromPull(Effect.succeed(pull)))
        })
        return { ...response, messages }
      }).pipe(
        Scope.provide(scope),
        Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
      )
    )
  )

/**
 * Tries calls again as the call's policy says, or else the client's. A server stream is tried again only before its first
 * message; a call whose requests are a stream is not tried again, because they are gone.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const interceptor = (clientPolicy: Retry.RetryPolicy | undefined): Interceptor => ({
  unary: (next) => (method, request, call) => run(next(method, request, call), call, clientPolicy),
  stream:
    (next): Streaming =>
    (method, requests, call) =>
      method.kind === "server_streaming"
        ? run(begin(next(method, requests, call)), call, clientPolicy)
        : next(method, requests, call)
})
