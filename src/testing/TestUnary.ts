/**
 * Unary calls on the in-memory network.
 */
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/MessageBytes.ts"
import type { Response } from "../call/Interceptor.ts"
import * as Metadata from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import * as ServeCall from "../server/ServeCall.ts"
import {
  type Failure,
  handlerOf,
  headersOf,
  local,
  opening,
  outcome,
  type Site,
  unless,
  within
} from "./TestAttempt.ts"

/** Makes one call on a connection. */
export const run = <I, O>(
  site: Site,
  method: Method<I, O>,
  request: I,
  call: Call
): Effect.Effect<Response<O>, Failure> => {
  const { host, session } = site
  let headers: Metadata.Metadata | undefined
  /** Whether they have come, which takes its time. */
  let answered = false
  let answer: Uint8Array | undefined
  /** Why the client gives the call up. */
  const given = Deferred.makeUnsafe<never, Failure>()
  const wrongCount = (messages: number) =>
    local("INTERNAL", `expected one response message, received ${messages}`, site, { headers })
  const outgoing: ServeCall.Outgoing = {
    maxMetadataBytes: session.serving.maxMetadataBytes,
    headers: (metadata) => {
      headers = headersOf(metadata, site)
      session.serving.run(
        Effect.andThen(
          host.travel,
          Effect.sync(() => void (answered = true))
        )
      )
    },
    message: (bytes) =>
      Effect.sync(() => {
        if (answer !== undefined) Deferred.doneUnsafe(given, Effect.fail(wrongCount(2)))
        answer ??= bytes
      })
  }
  const exchange = Effect.gen(function* () {
    const bytes = yield* unless(encodeRequest(method, request, call, host.address))
    const incoming = yield* unless(opening(call, site))
    yield* host.travel
    const handler = yield* handlerOf(site)
    const served =
      handler.method.kind === "unary"
        ? ServeCall.unary(handler, bytes, incoming, outgoing)
        : ServeCall.stream(handler, Stream.succeed(bytes), incoming, outgoing)
    const fiber = session.serving.run(served)
    const exit = yield* Effect.onError(Effect.raceFirst(Fiber.await(fiber), Deferred.await(given)), () =>
      Fiber.interrupt(fiber)
    )
    yield* host.travel
    const trailers = yield* outcome(exit, site, headers)
    if (answer === undefined) return yield* wrongCount(0)
    const message = yield* unless(decodeResponse(method, answer, call, host.address))
    return { message, headers: headers ?? Metadata.empty, trailers }
  })
  return within(exchange, call, site, () => (answered ? headers : undefined))
}
