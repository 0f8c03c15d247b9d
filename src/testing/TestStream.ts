/**
 * Streams on the in-memory network, of any kind.
 */
import { Deferred, Effect, Exit, Fiber, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/MessageBytes.ts"
import type { StreamResponse } from "../call/Interceptor.ts"
import * as Metadata from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import * as ServeCall from "../server/ServeCall.ts"
import * as RpcError from "../status/RpcError.ts"
import { ReceiveWindow } from "../transport/ReceiveWindow.ts"
import { SendCredits } from "./Credits.ts"
import { type Failure, handlerOf, headersOf, opening, outcome, type Site, unless, within } from "./TestAttempt.ts"

/** Makes one call on a connection. */
class TestStream<I, O> {
  readonly #site: Site
  readonly #method: Method<I, O>
  readonly #call: Call
  readonly #headers = Deferred.makeUnsafe<Metadata.Metadata, Failure>()
  readonly #trailers = Deferred.makeUnsafe<Metadata.Metadata, Failure>()
  /** Fails when the client gives the call up. */
  readonly #given = Deferred.makeUnsafe<never, Failure>()
  readonly #toServer = new SendCredits()
  readonly #toClient = new SendCredits()
  readonly #uploads: ReceiveWindow<Uint8Array>
  readonly #downloads: ReceiveWindow<O>
  #sent: Metadata.Metadata | undefined
  #answered = false

  constructor(site: Site, method: Method<I, O>, call: Call) {
    this.#site = site
    this.#method = method
    this.#call = call
    this.#uploads = new ReceiveWindow(call.options.window, (messages) => this.#toServer.add(messages))
    this.#downloads = new ReceiveWindow(call.options.window, (messages) => this.#toClient.add(messages))
  }

  #upload(requests: Stream.Stream<I, Failure>): Effect.Effect<void, Failure> {
    const { host } = this.#site
    const send = Effect.fnUntraced({ self: this }, function* (request: I) {
      const bytes = yield* unless(encodeRequest(this.#method, request, this.#call, host.address))
      yield* this.#toServer.take
      yield* host.travel
      this.#uploads.push(bytes)
    })
    const end = Effect.andThen(
      host.travel,
      Effect.sync(() => this.#uploads.end(undefined))
    )
    return Effect.andThen(Stream.runForEach(requests, send), end)
  }

  get #outgoing(): ServeCall.Outgoing {
    const { host, session } = this.#site
    return {
      maxMetadataBytes: session.serving.maxMetadataBytes,
      headers: (metadata) => {
        this.#sent = headersOf(metadata, this.#site)
        session.serving.run(
          Effect.andThen(
            host.travel,
            Effect.sync(() => this.#answer())
          )
        )
      },
      message: Effect.fnUntraced({ self: this }, function* (bytes) {
        yield* this.#toClient.take
        yield* host.travel
        const message = decodeResponse(this.#method, bytes, this.#call, host.address)
        if (!(message instanceof RpcError.RpcError)) return this.#downloads.push(message)
        // The client gives the call up; the server has done nothing wrong.
        Deferred.doneUnsafe(this.#given, Effect.fail(message))
        return yield* Effect.never
      })
    }
  }

  #answer(): void {
    this.#answered = true
    Deferred.doneUnsafe(this.#headers, Effect.succeed(this.#sent ?? Metadata.empty))
  }

  readonly #serve = Effect.gen({ self: this }, function* () {
    const { host, session } = this.#site
    const incoming = yield* unless(opening(this.#call, this.#site))
    yield* host.travel
    const handler = yield* handlerOf(this.#site)
    const received = Stream.fromPull(Effect.succeed(this.#uploads.pull))
    const fiber = session.serving.run(ServeCall.stream(handler, received, incoming, this.#outgoing))
    const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
    yield* host.travel
    return yield* outcome(exit, this.#site, this.#sent)
  })

  #end(exit: Exit.Exit<Metadata.Metadata, Failure>): void {
    const error = Exit.isSuccess(exit) ? undefined : RpcError.fromCause(exit.cause)
    if (error === undefined) this.#answer()
    else Deferred.doneUnsafe(this.#headers, Effect.fail(error))
    Deferred.doneUnsafe(this.#trailers, error === undefined ? exit : Effect.fail(error))
    this.#downloads.end(error)
  }

  begin(requests: Stream.Stream<I, Failure>): Effect.Effect<StreamResponse<O>, Failure, Scope.Scope> {
    // The requests' own failure ends the call; their good end does not: the server may have more to say.
    const sending = Effect.andThen(this.#upload(requests), Effect.never)
    const exchange = Effect.raceAllFirst([this.#serve, sending, Deferred.await(this.#given)])
    const headers = () => (this.#answered ? this.#sent : undefined)
    return within(exchange, this.#call, this.#site, headers).pipe(
      Effect.onExit((exit) => Effect.sync(() => this.#end(exit))),
      Effect.forkScoped,
      Effect.map(() => {
        this.#downloads.request()
        return {
          headers: Deferred.await(this.#headers),
          messages: Stream.fromPull(Effect.succeed(this.#downloads.pull)),
          trailers: Deferred.await(this.#trailers)
        }
      })
    )
  }
}

/** Begins one call on a connection. */
export const run = <I, O>(
  site: Site,
  method: Method<I, O>,
  requests: Stream.Stream<I, Failure>,
  call: Call
): Effect.Effect<StreamResponse<O>, Failure, Scope.Scope> =>
  Effect.suspend(() => new TestStream(site, method, call).begin(requests))
