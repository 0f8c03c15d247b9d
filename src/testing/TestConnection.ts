/**
 * A connection of the in-memory network: the client's end of both arrows.
 *
 * Messages cross as bytes, through the same codecs and the same dispatch as on a socket. Deadlines, cancellation, broken
 * connections and demand windows work as they do there, on the clock of the test.
 */
import { Deferred, Effect, Exit, Fiber, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/Codec.ts"
import * as ContentType from "../call/ContentType.ts"
import * as Deadline from "../call/Deadline.ts"
import * as CallCredentials from "../call/CallCredentials.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Response, StreamResponse } from "../call/Interceptor.ts"
import * as Metadata from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import * as Dispatch from "../server/Dispatch.ts"
import type { Handler } from "../server/Handlers.ts"
import * as RpcError from "../status/RpcError.ts"
import type * as Code from "../status/Code.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import type { Connection } from "../transport/Connector.ts"
import { Inbox } from "../transport/Inbox.ts"
import type { Loss } from "../transport/Loss.ts"
import * as Watched from "../transport/Watched.ts"
import { Credits } from "./Credits.ts"
import type { Serving, TestHost } from "./TestHost.ts"

type Failure = RpcError.RpcError

interface Site {
  readonly host: TestHost
  readonly method: Method<never, unknown>
}

const local = (code: Code.Code, message: string, { host, method }: Site, progress?: RpcError.Progress): Failure =>
  RpcError.make(code, message, { origin: "local", method: method.path, peer: host.address, progress })

/** An error as it arrives: what the server said, and where. */
const arrived = (error: Failure, { host, method }: Site, headers?: Metadata.Metadata): Failure =>
  RpcError.make(error.code, error.reason.message, {
    origin: "remote",
    method: method.path,
    peer: host.address,
    headers,
    trailers: error.trailers
  })

/** Bytes or a message, unless there is a reason why not. */
const unless = <A>(value: A | Failure): Effect.Effect<A, Failure> =>
  value instanceof RpcError.RpcError ? Effect.fail(value) : Effect.succeed(value)

const incoming = (call: Call): Dispatch.Incoming => {
  const metadata =
    call.attempt === 1
      ? call.options.metadata
      : Metadata.override(call.options.metadata, new Map([["grpc-previous-rpc-attempts", [String(call.attempt - 1)]]]))
  return { metadata, timeoutMillis: millisLeft(call), remote: "in memory" }
}

const millisLeft = (call: Call): number => Math.max(0, call.attemptDeadline - Deadline.nowUnsafe(call.clock))

/** Ends an attempt at its deadline. */
const withinDeadline = <A, E, R>(self: Effect.Effect<A, E | Failure, R>, call: Call, site: Site) =>
  call.attemptDeadline === Deadline.none
    ? self
    : Effect.timeoutOrElse(self, {
        duration: millisLeft(call),
        orElse: () => Effect.fail(local("DEADLINE_EXCEEDED", "deadline exceeded", site))
      })

/** What a server fiber ended with, as the client hears of it. */
const outcome = <A>(
  exit: Exit.Exit<A, Failure>,
  site: Site,
  headers: Metadata.Metadata | undefined
): Effect.Effect<A, Failure> =>
  Exit.isSuccess(exit)
    ? Effect.succeed(exit.value)
    : Effect.fail(arrived(RpcError.fromCause(exit.cause), site, headers))

/**
 * One connection to a host.
 */
class TestConnection {
  readonly host: TestHost
  readonly states: Watched.Writable<Connectivity> = Watched.make<Connectivity>(Connectivity.Idle())
  loss: Loss | undefined = undefined
  /** Completes when the connection breaks. */
  #broken: Deferred.Deferred<string> = Deferred.makeUnsafe()

  constructor(host: TestHost) {
    this.host = host
  }

  readonly connect: Effect.Effect<void> = Effect.suspend(() => {
    if (this.states.current()._tag !== "Idle") return Effect.void
    this.states.set(Connectivity.Connecting())
    return Effect.andThen(
      this.host.travel,
      Effect.sync(() => this.#answer())
    )
  })

  #answer(): void {
    if (this.states.current()._tag !== "Connecting" || this.host.silent) return
    if (this.host.serving === undefined) {
      return this.states.set(Connectivity.TransientFailure({ cause: `connection refused by ${this.host.address}` }))
    }
    this.#broken = Deferred.makeUnsafe()
    this.host.attached.add(this)
    this.states.set(Connectivity.Ready())
  }

  /** The connection breaks: its calls fail and it is idle again. */
  drop(loss: Loss): void {
    if (!this.host.attached.delete(this)) return
    this.loss = loss
    Deferred.doneUnsafe(this.#broken, Effect.succeed(loss.cause))
    this.states.set(Connectivity.Idle())
  }

  close(): void {
    this.drop({ error: "subchannel shutdown", cause: "the connection was closed" })
    this.states.set(Connectivity.Shutdown())
  }

  /** Runs an exchange for as long as the connection holds. */
  #whileConnected<A, R>(exchange: Effect.Effect<A, Failure, R>, site: Site): Effect.Effect<A, Failure, R> {
    return Effect.raceFirst(
      exchange,
      Effect.flatMap(Deferred.await(this.#broken), (reason) => Effect.fail(local("UNAVAILABLE", reason, site)))
    )
  }

  /** The handler of a method, with the host's way to run it. */
  #handler(site: Site): Effect.Effect<{ readonly handler: Handler; readonly serving: Serving }, Failure> {
    return Effect.suspend(() => {
      const { serving } = this.host
      if (serving === undefined || this.states.current()._tag !== "Ready") {
        return Effect.fail(local("UNAVAILABLE", `not connected to ${this.host.address}`, site, "not_started"))
      }
      const { router, unserved } = serving.application
      const handler = router.get(site.method.path)
      if (handler === undefined) return Effect.fail(arrived(unserved(site.method.path), site))
      const subtype = ContentType.subtypeOf(ContentType.ofRequests(site.method)) ?? ""
      const refusal = ContentType.refusal(handler.method, subtype)
      return refusal === undefined ? Effect.succeed({ handler, serving }) : Effect.fail(arrived(refusal, site))
    })
  }

  readonly unary = <I, O>(method: Method<I, O>, request: I, call: Call): Effect.Effect<Response<O>, Failure> => {
    const site: Site = { host: this.host, method }
    const exchange = Effect.gen({ self: this }, function* () {
      const bytes = yield* unless(encodeRequest(method, request, call, this.host.address))
      yield* this.host.travel
      const { handler, serving } = yield* this.#handler(site)
      const answer: { headers: Metadata.Metadata | undefined; bytes: Uint8Array } = { headers: undefined, bytes }
      const outgoing: Dispatch.Outgoing = {
        headers: (headers) => void (answer.headers = headers),
        message: (bytes) => Effect.sync(() => void (answer.bytes = bytes))
      }
      const fiber = serving.run(Dispatch.unary(handler, bytes, incoming(call), outgoing))
      const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
      yield* this.host.travel
      const trailers = yield* outcome(exit, site, answer.headers)
      const message = yield* unless(decodeResponse(method, answer.bytes, call, this.host.address))
      return { message, headers: answer.headers ?? Metadata.empty, trailers }
    })
    return withinDeadline(this.#whileConnected(exchange, site), call, site)
  }

  readonly stream = <I, O>(
    method: Method<I, O>,
    requests: Stream.Stream<I, Failure>,
    call: Call
  ): Effect.Effect<StreamResponse<O>, Failure, Scope.Scope> =>
    Effect.gen({ self: this }, function* () {
      const site: Site = { host: this.host, method }
      const headers = Deferred.makeUnsafe<Metadata.Metadata, Failure>()
      const trailers = Deferred.makeUnsafe<Metadata.Metadata, Failure>()
      const unreadable = Deferred.makeUnsafe<never, Failure>()
      const toServer = new Credits()
      const toClient = new Credits()
      const uploads = new Inbox<Uint8Array>(call.options.window, (messages) => toServer.add(messages))
      const downloads = new Inbox<O>(call.options.window, (messages) => toClient.add(messages))

      const upload = Stream.runForEach(requests, (request) =>
        Effect.gen({ self: this }, function* () {
          const bytes = yield* unless(encodeRequest(method, request, call, this.host.address))
          yield* toServer.take
          yield* this.host.travel
          uploads.push(bytes)
        })
      ).pipe(Effect.andThen(this.host.travel), Effect.andThen(Effect.sync(() => uploads.end(undefined))))

      let sent: Metadata.Metadata | undefined
      const outgoing = (serving: Serving): Dispatch.Outgoing => ({
        headers: (metadata) => {
          sent = metadata
          serving.run(
            Effect.andThen(
              this.host.travel,
              Effect.sync(() => Deferred.doneUnsafe(headers, Effect.succeed(metadata)))
            )
          )
        },
        message: Effect.fnUntraced({ self: this }, function* (bytes) {
          yield* toClient.take
          yield* this.host.travel
          const message = decodeResponse(method, bytes, call, this.host.address)
          if (!(message instanceof RpcError.RpcError)) return downloads.push(message)
          // The client gives the call up; the server has done nothing wrong.
          Deferred.doneUnsafe(unreadable, Effect.fail(message))
          return yield* Effect.never
        })
      })

      const serve = Effect.gen({ self: this }, function* () {
        yield* this.host.travel
        const { handler, serving } = yield* this.#handler(site)
        const received = Stream.fromPull(Effect.succeed(uploads.pull))
        const fiber = serving.run(Dispatch.stream(handler, received, incoming(call), outgoing(serving)))
        const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
        yield* this.host.travel
        return yield* outcome(exit, site, sent)
      })

      // The requests' own failure ends the call; their good end does not: the server may have more to say.
      const exchange = Effect.raceAllFirst([serve, Effect.andThen(upload, Effect.never), Deferred.await(unreadable)])
      yield* withinDeadline(this.#whileConnected(exchange, site), call, site).pipe(
        Effect.exit,
        Effect.flatMap((exit) =>
          Effect.sync(() => {
            const ended = Exit.isSuccess(exit) ? undefined : RpcError.fromCause(exit.cause)
            Deferred.doneUnsafe(
              headers,
              ended === undefined ? Effect.succeed(sent ?? Metadata.empty) : Effect.fail(ended)
            )
            Deferred.doneUnsafe(trailers, Exit.isSuccess(exit) ? exit : Effect.fail(ended!))
            downloads.end(ended)
          })
        ),
        Effect.forkScoped
      )
      downloads.request()
      return {
        headers: Deferred.await(headers),
        messages: Stream.fromPull(Effect.succeed(downloads.pull)),
        trailers: Deferred.await(trailers)
      }
    })
}

/** Opens a connection to a host, to be closed with its scope. */
export const open = (host: TestHost): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new TestConnection(host)),
      (connection) => Effect.sync(() => connection.close())
    ),
    (connection) => ({
      // Nobody else can read what does not leave the process.
      transport: Interceptor.apply(CallCredentials.attach({ authority: host.address, secure: true }), {
        unary: connection.unary,
        stream: connection.stream
      }),
      connectivity: connection.states,
      connect: connection.connect,
      loss: () => connection.loss
    })
  )
