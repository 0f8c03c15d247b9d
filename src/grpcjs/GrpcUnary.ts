/**
 * Unary calls on a grpc-js channel, without grpc-js's client layer.
 *
 * `Channel.createCall` is public and does everything the wire needs; what it skips is an event emitter, a captured stack,
 * interceptor chains and metadata objects per call, which is most of what a unary call costs on this side.
 */
import * as grpc from "@grpc/grpc-js"
import { Effect } from "effect"
import type { Call } from "../call/Call.ts"
import { decodeResponse, encodeRequest } from "../call/MessageBytes.ts"
import type { Response, Unary } from "../call/Interceptor.ts"
import type { Metadata } from "../call/Metadata.ts"
import type { Method } from "../call/Method.ts"
import { annotate, RpcError } from "../status/RpcError.ts"
import { callerLeft, cancel, create, type Listener, toBuffer } from "./GrpcCall.ts"
import type { GrpcCall, GrpcConnection, Occupant } from "./GrpcConnection.ts"
import { fromGrpc, ofCall } from "./GrpcMetadata.ts"
import { localError, notGrpcError, toError } from "./GrpcStatus.ts"

/** The answer; metadata is converted when somebody reads it. */
class UnaryResponse<O> implements Response<O> {
  readonly message: O
  readonly #headers: grpc.Metadata
  readonly #trailers: grpc.Metadata

  constructor(message: O, headers: grpc.Metadata, trailers: grpc.Metadata) {
    this.message = message
    this.#headers = headers
    this.#trailers = trailers
  }

  get headers(): Metadata {
    return fromGrpc(this.#headers)
  }

  get trailers(): Metadata {
    return fromGrpc(this.#trailers)
  }
}

type Resume<O> = (effect: Effect.Effect<Response<O>, RpcError>) => void

/** Collects what arrives and resumes the caller with the status. */
class UnaryListener<I, O> implements Listener, Occupant {
  readonly grpcCall: GrpcCall
  readonly look: number
  unsent = false
  readonly #connection: GrpcConnection
  readonly #method: Method<I, O>
  readonly #call: Call
  readonly #resume: Resume<O>
  #headers: grpc.Metadata | undefined
  #message: Uint8Array | undefined
  #messages = 0
  /** Set when this side gave the call up, which says more than the status that follows. */
  #givenUp: RpcError | undefined

  constructor(connection: GrpcConnection, method: Method<I, O>, call: Call, grpcCall: GrpcCall, resume: Resume<O>) {
    this.#connection = connection
    this.#method = method
    this.#call = call
    this.grpcCall = grpcCall
    this.look = connection.look
    this.#resume = resume
  }

  onReceiveMetadata(metadata: grpc.Metadata): void {
    this.#headers = metadata
    const problem = notGrpcError(metadata, { endpoint: this.#connection.endpoint, method: this.#method })
    if (problem !== undefined) this.#giveUp(problem)
  }

  onReceiveMessage(message: Uint8Array): void {
    this.#message = message
    this.#messages++
    // A server that goes on is not listened to, whatever it may still say; its status would never come.
    if (this.#messages > 1) return this.#giveUp(this.#wrongCount())
    this.grpcCall.startRead()
  }

  #giveUp(error: RpcError): void {
    this.#givenUp = error
    this.grpcCall.cancelWithStatus(grpc.status.CANCELLED, error.reason.message)
  }

  /** It is the server that broke the protocol. */
  #wrongCount(): RpcError {
    const message = `expected one response message, received ${this.#messages}`
    const site = { endpoint: this.#connection.endpoint, method: this.#method }
    return annotate(localError("INTERNAL", message, site), { origin: "remote" })
  }

  onReceiveStatus(status: grpc.StatusObject): void {
    this.#connection.active.delete(this)
    this.#resume(this.#outcome(status))
  }

  #outcome(status: grpc.StatusObject): Effect.Effect<Response<O>, RpcError> {
    if (this.#givenUp !== undefined) return Effect.fail(this.#givenUp)
    if (status.code !== grpc.status.OK) {
      const about = { method: this.#method, occupant: this, headers: this.#headers }
      return Effect.fail(toError(status, this.#connection, about))
    }
    if (this.#message === undefined) return Effect.fail(this.#wrongCount())
    const message = decodeResponse(this.#method, this.#message, this.#call, this.#connection.endpoint.id)
    return message instanceof RpcError
      ? Effect.fail(message)
      : Effect.succeed(new UnaryResponse(message, this.#headers ?? new grpc.Metadata(), status.metadata))
  }
}

/** The unary calls of a connection. */
export const make =
  (connection: GrpcConnection): Unary =>
  <I, O>(method: Method<I, O>, request: I, call: Call) =>
    Effect.callback<Response<O>, RpcError>((resume) => {
      const bytes = encodeRequest(method, request, call, connection.endpoint.id)
      if (bytes instanceof RpcError) return resume(Effect.fail(bytes))
      const grpcCall = create(connection, method, call)
      if (grpcCall instanceof RpcError) return resume(Effect.fail(grpcCall))
      const listener = new UnaryListener(connection, method, call, grpcCall, resume)
      connection.active.add(listener)
      grpcCall.start(ofCall(call), listener)
      grpcCall.startRead()
      grpcCall.sendMessageWithContext({}, toBuffer(bytes))
      grpcCall.halfClose()
      return cancel(connection, listener, callerLeft)
    })
