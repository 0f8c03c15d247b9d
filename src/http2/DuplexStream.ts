/**
 * Streaming calls on an HTTP/2 connection.
 *
 * Requests are pumped by a fiber that waits for each write to be taken; responses are taken from the data one by one as
 * the receive window has room, and the stream is paused when it has none. The call ends with its status, or is reset when
 * its scope closes before that.
 */
import { Deferred, Effect, Fiber, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/MessageBytes.ts"
import { isUncompressed, markArrived } from "../call/Compression.ts"
import type { Streaming, StreamResponse } from "../call/Interceptor.ts"
import type { Metadata } from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import { RpcError } from "../status/RpcError.ts"
import { ReceiveWindow } from "../transport/ReceiveWindow.ts"
import { ClientStream } from "./ClientStream.ts"
import { type Frame, frame } from "./Framing.ts"
import { compressed, expanded } from "./MessageEncoding.ts"
import type { Http2Connection } from "./Http2Connection.ts"

class DuplexStream<I, O> extends ClientStream {
  declare readonly method: Method<I, O>
  readonly headersKnown: Deferred.Deferred<Metadata, RpcError> = Deferred.makeUnsafe()
  readonly trailersKnown: Deferred.Deferred<Metadata, RpcError> = Deferred.makeUnsafe()
  readonly receiveWindow: ReceiveWindow<Frame>
  #complete = false

  constructor(session: Http2Connection, method: Method<I, O>, call: Call) {
    super(session, method, call)
    this.receiveWindow = new ReceiveWindow(call.options.window, () => this.#deliver())
  }

  /** Hands over what the receive window has room for; the data of the rest stays on the wire. */
  #deliver(): void {
    while (this.receiveWindow.outstanding > 0 && !this.ended) {
      const frame = this.next()
      if (frame === undefined) {
        if (this.#complete) this.finish(this.outcome())
        else if (!this.ended) this.stream?.resume()
        return
      }
      this.receiveWindow.push(frame)
    }
    if (this.#complete && !this.deframer.isInside) this.finish(this.outcome())
    else this.stream?.pause()
  }

  headersArrived(): void {
    Deferred.doneUnsafe(this.headersKnown, Effect.succeed(this.headers))
  }

  dataArrived(): void {
    this.#deliver()
  }

  /** The server has said all: it will read no more requests either. */
  statusArrived(): void {
    const error = this.statusError()
    const trailers = error === undefined ? Effect.succeed(this.trailers) : Effect.fail(error)
    // A call that ends before its headers has none; its trailers stand in, as in a trailers-only answer.
    Deferred.doneUnsafe(this.headersKnown, trailers)
    Deferred.doneUnsafe(this.trailersKnown, trailers)
  }

  allArrived(): void {
    this.#complete = true
    this.#deliver()
  }

  finished(error: RpcError | undefined): void {
    if (error !== undefined) {
      Deferred.doneUnsafe(this.headersKnown, Effect.fail(error))
      Deferred.doneUnsafe(this.trailersKnown, Effect.fail(error))
    }
    this.receiveWindow.end(error)
  }

  /** A message, or why it is none, which ends the call. */
  readonly read = (frame: Frame): Effect.Effect<O, RpcError> => {
    if (!frame.compressed) return this.#decoded(frame.bytes)
    return expanded(frame, this.encoding, this.session.options.maxReceiveMessageBytes).pipe(
      Effect.catch((problem) => this.#broken(this.messageError(problem))),
      Effect.flatMap((bytes) => this.#decoded(bytes)),
      Effect.map(markArrived)
    )
  }

  #decoded(bytes: Uint8Array): Effect.Effect<O, RpcError> {
    const message = decodeResponse(this.method, bytes, this.call, this.session.endpoint.id)
    return message instanceof RpcError ? this.#broken(message) : Effect.succeed(message)
  }

  #broken(error: RpcError): Effect.Effect<never, RpcError> {
    this.giveUp(error)
    return Effect.fail(error)
  }

  /** Sends one request and waits until the transport has taken it. */
  readonly send = (message: I): Effect.Effect<void, RpcError> => {
    const { call, method, session } = this
    const bytes = encodeRequest(method, message, call, session.endpoint.id, session.options.maxSendMessageBytes)
    if (bytes instanceof RpcError) return Effect.fail(bytes)
    const { compression } = call.options
    return compression === "identity" || isUncompressed(message)
      ? this.#write(frame(bytes, false))
      : Effect.flatMap(compressed(bytes, compression), (bytes) => this.#write(bytes))
  }

  #write(bytes: Buffer): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      // A write that fails is followed by the status, which says why.
      this.stream!.write(bytes, () => resume(Effect.void))
    })
  }

  /** Nobody wants the call any more. */
  abandon(): void {
    if (this.ended) this.leave()
    else this.cancel("cancelled by the caller")
  }
}

const open = Effect.fnUntraced(function* <I, O>(
  session: Http2Connection,
  method: Method<I, O>,
  requests: Stream.Stream<I, RpcError>,
  call: Call
): Effect.fn.Return<StreamResponse<O>, RpcError, Scope.Scope> {
  const self = new DuplexStream(session, method, call)
  const refused = self.open()
  if (refused !== undefined) return yield* refused
  yield* Effect.addFinalizer(() => Effect.sync(() => self.abandon()))
  self.receiveWindow.request()

  const pump = Stream.runForEach(requests, self.send).pipe(
    Effect.andThen(Effect.sync(() => self.stream!.end())),
    Effect.catch((error) => Effect.sync(() => self.giveUp(error)))
  )
  const sender = yield* Effect.forkScoped(pump)
  // A status ends the requests too, however many are still to come.
  yield* Effect.forkScoped(
    Effect.andThen(
      Effect.exit(Deferred.await(self.trailersKnown)),
      Effect.suspend(() => Fiber.interrupt(sender))
    )
  )
  return {
    headers: Deferred.await(self.headersKnown),
    messages: Stream.mapEffect(Stream.fromPull(Effect.succeed(self.receiveWindow.pull)), self.read),
    trailers: Deferred.await(self.trailersKnown)
  }
})

/** The streaming calls of a connection. */
export const make =
  (session: Http2Connection): Streaming =>
  (method, requests, call) =>
    open(session, method, requests, call)
