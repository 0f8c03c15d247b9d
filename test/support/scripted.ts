/** A client over a transport that answers attempts as the test says, and what that transport saw of them. */
import { Effect, Schedule, Schema, Stream } from "effect"
import { Client, type Interceptor, type Method, Retry, RpcError, Service, Transport } from "trunkline"
import type { Call } from "trunkline/extend"

/** The service, which says of its unary method whether calling it twice is harmless. */
const lettersThat = (idempotency: Method.Idempotency) =>
  Service.make("test.Letters", {
    one: Service.unary(Schema.String, Schema.String, { idempotency }),
    many: Service.serverStreaming(Schema.String, Schema.String),
    sum: Service.clientStreaming(Schema.String, Schema.String),
    chat: Service.bidiStreaming(Schema.String, Schema.String)
  })

export const Letters = lettersThat("unknown")

/** What the transport saw of an attempt. */
export interface Seen {
  /** Milliseconds of the test's clock. */
  readonly at: number
  /** The number of the attempt, from 1. */
  readonly attempt: number
  /** Milliseconds it was given. */
  readonly left: number
}

type Answer = Effect.Effect<string, RpcError.RpcError>

const headers = new Map<string, ReadonlyArray<string>>()

/** Fails on a peer. */
export const failure = (code: RpcError.RpcError["code"], facts?: RpcError.Facts): RpcError.RpcError =>
  RpcError.make(code, `it is ${code}`, { origin: "remote", peer: "a:1", ...facts })

export const unavailable = failure("UNAVAILABLE")

/** Tries again after UNAVAILABLE, every second. */
export const everySecond = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 second"))

/** Tries again after UNAVAILABLE, at once. */
export const atOnce = Retry.onCodes(["UNAVAILABLE"], Schedule.forever)

/**
 * A client whose attempts, from 1 on, are answered by `answer`. It takes its policies from the context; `idempotency` is what
 * the service says of its unary method.
 */
export const scripted = Effect.fnUntraced(function* (
  answer: (n: number, call: Call.Call) => Answer,
  idempotency: Method.Idempotency = "unknown"
) {
  const seen: Array<Seen> = []
  const run = (call: Call.Call): Answer =>
    Effect.suspend(() => {
      const at = call.clock.currentTimeMillisUnsafe()
      seen.push({ at, attempt: call.attempt, left: call.attemptDeadline - at })
      return answer(seen.length, call)
    })
  const transport: Interceptor.Invoker = {
    unary: (_method, _request, call) =>
      Effect.map(run(call), (message) => ({ message, headers, trailers: headers })) as never,
    stream: (_method, _requests, call) =>
      Effect.map(Effect.result(run(call)), (result) => {
        const ended = Effect.fromResult(result)
        return {
          headers: Effect.as(ended, headers),
          messages: Stream.fromEffect(ended),
          trailers: Effect.as(ended, headers)
        }
      }) as never
  }
  const letters = yield* Client.make(lettersThat(idempotency)).pipe(
    Effect.provideService(Transport.Transport, transport)
  )
  return { letters, seen }
})
