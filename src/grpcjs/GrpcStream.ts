/**
 * Streaming calls on a grpc-js channel.
 *
 * Requests are pumped by a fiber that waits for each write to be taken by the transport; responses are asked for one by
 * one as the receive window has room. The call ends with its status, or is cancelled when its scope closes before that.
 */
import * as grpc from "@grpc/grpc-js"
import { Deferred, Effect, Fiber, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/MessageBytes.ts"
import type { Streaming, StreamResponse } from "../call/Interceptor.ts"
import type { Metadata } from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import { RpcError } from "../status/RpcError.ts"
import { ReceiveWindow } from "../transport/ReceiveWindow.ts"
import { callerLeft, cancel, create, type Listener, toBuffer } from "./GrpcCall.ts"
import type { GrpcCall, GrpcConnection, Occupant } from "./GrpcConnection.ts"
import { fromGrpc, ofCall } from "./GrpcMetadata.ts"
import { notGrpcError, toError } from "./GrpcStatus.ts"

/** Receives for one call. */
class StreamListener<I, O> implements Listener, Occupant {
  readonly grpcCall: GrpcCall
  readonly look: number
  unsent = false
  readonly headers: Deferred.Deferred<Metadata, RpcError> = Deferred.makeUnsafe()
  readonly trailers: Deferred.Deferred<Metadata, RpcError> = Deferred.makeUnsafe()
  readonly receiveWindow: ReceiveWindow<O>
  ended = false
  /** Set when this side gave the call up, which says more than the status that follows. */
  #givenUp: RpcError | undefined
  #reading = false
  #received: grpc.Metadata | undefined
  readonly #connection: GrpcConnection
  readonly #method: Method<I, O>
  readonly #call: Call

  constructor(connection: GrpcConnection, method: Method<I, O>, call: Call, grpcCall: GrpcCall) {
    this.#connection = connection
    this.#method = method
    this.#call = call
    this.grpcCall = grpcCall
    this.look = connection.look
    this.receiveWindow = new ReceiveWindow(call.options.window, () => this.#read())
  }

  /** grpc-js delivers one message per read, so the next is asked for when the last has come. */
  #read(): void {
    if (this.#reading) return
    this.#reading = true
    this.grpcCall.startRead()
  }

  giveUp(error: RpcError): void {
    if (this.ended) return
    this.#givenUp = error
    this.grpcCall.cancelWithStatus(grpc.status.CANCELLED, error.reason.message)
  }

  onReceiveMetadata(metadata: grpc.Metadata): void {
    const problem = notGrpcError(metadata, { endpoint: this.#connection.endpoint, method: this.#method })
    if (problem !== undefined) return this.giveUp(problem)
    this.#received = metadata
    Deferred.doneUnsafe(this.headers, Effect.succeed(fromGrpc(metadata)))
  }

  onReceiveMessage(bytes: Uint8Array): void {
    this.#reading = false
    const message = decodeResponse(this.#method, bytes, this.#call, this.#connection.endpoint.id)
    if (message instanceof RpcError) return this.giveUp(message)
    this.receiveWindow.push(message)
    if (this.receiveWindow.outstanding > 0) this.#read()
  }

  onReceiveStatus(status: grpc.StatusObject): void {
    this.ended = true
    this.#connection.active.delete(this)
    const trailers = fromGrpc(status.metadata)
    const error =
      this.#givenUp ??
      (status.code === grpc.status.OK
        ? undefined
        : toError(status, this.#connection, { method: this.#method, occupant: this, headers: this.#received }))
    // A call that ends before its headers has none; its trailers stand in, as in a trailers-only answer.
    Deferred.doneUnsafe(this.headers, error === undefined ? Effect.succeed(trailers) : Effect.fail(error))
    Deferred.doneUnsafe(this.trailers, error === undefined ? Effect.succeed(trailers) : Effect.fail(error))
    this.receiveWindow.end(error)
  }
}

/** Sends one request and waits until the transport has taken it. */
const send = <I>(grpcCall: GrpcCall, method: Method<I, unknown>, message: I, call: Call, peer: string) =>
  Effect.callback<void, RpcError>((resume) => {
    const bytes = encodeRequest(method, message, call, peer)
    if (bytes instanceof RpcError) return resume(Effect.fail(bytes))
    // A write that fails is followed by the status, which says why.
    grpcCall.sendMessageWithContext({ callback: () => resume(Effect.void) }, toBuffer(bytes))
  })

const open = Effect.fnUntraced(function* <I, O>(
  connection: GrpcConnection,
  method: Method<I, O>,
  requests: Stream.Stream<I, RpcError>,
  call: Call
): Effect.fn.Return<StreamResponse<O>, RpcError, Scope.Scope> {
  const grpcCall = create(connection, method, call)
  if (grpcCall instanceof RpcError) return yield* Effect.fail(grpcCall)
  const listener = new StreamListener(connection, method, call, grpcCall)
  connection.active.add(listener)
  yield* Effect.addFinalizer(() => (listener.ended ? Effect.void : cancel(connection, listener, callerLeft)))
  grpcCall.start(ofCall(call), listener)
  listener.receiveWindow.request()

  const pump = Stream.runForEach(requests, (message) =>
    send(grpcCall, method, message, call, connection.endpoint.id)
  ).pipe(
    Effect.andThen(Effect.sync(() => grpcCall.halfClose())),
    Effect.catch((error) => Effect.sync(() => listener.giveUp(error)))
  )
  const sender = yield* Effect.forkScoped(pump)
  // A status ends the requests too, however many are still to come.
  yield* Effect.forkScoped(
    Effect.andThen(
      Effect.exit(Deferred.await(listener.trailers)),
      Effect.suspend(() => Fiber.interrupt(sender))
    )
  )
  return {
    headers: Deferred.await(listener.headers),
    messages: Stream.fromPull(Effect.succeed(listener.receiveWindow.pull)),
    trailers: Deferred.await(listener.trailers)
  }
})

/** The streaming calls of a connection. */
export const make =
  (connection: GrpcConnection): Streaming =>
  (method, requests, call) =>
    open(connection, method, requests, call)
