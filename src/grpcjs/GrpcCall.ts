/**
 * What unary and streaming calls have in common on a grpc-js channel.
 */
import * as grpc from "@grpc/grpc-js"
import { Effect } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type * as Method from "../call/Method.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { RpcError } from "../status/RpcError.ts"
import { localError } from "./GrpcStatus.ts"

/** A call as `Channel.createCall` returns it. */
export type GrpcCall = ReturnType<grpc.Channel["createCall"]>

/** What a call reports to. */
export type Listener = Parameters<GrpcCall["start"]>[1]

/** A channel, its endpoint, and the calls on it, which end with it. */
export interface GrpcConnection {
  readonly channel: grpc.Channel
  readonly endpoint: Endpoint
  readonly active: Set<GrpcCall>
}

/** grpc-js wants an instant of the wall clock and sets its own timer. */
const wallDeadline = (call: Call): grpc.Deadline =>
  call.attemptDeadline === Deadline.none
    ? Infinity
    : Date.now() + (call.attemptDeadline - Deadline.nowUnsafe(call.clock))

/** Creates a call that is not yet started. Throws when the channel is shut down. */
export const create = (connection: GrpcConnection, method: Method.Any, call: Call): GrpcCall => {
  const grpcCall = connection.channel.createCall(method.path, wallDeadline(call), null, null, null)
  connection.active.add(grpcCall)
  return grpcCall
}

/**
 * Ends a call from this side, with a reason for whoever still listens. Not in the tick it was opened in: a stream that Node
 * resets before it has sent its headers never closes, and neither does the connection when it is told to.
 */
export const cancel = (connection: GrpcConnection, grpcCall: GrpcCall, reason: string): Effect.Effect<void> =>
  Effect.sync(() => {
    connection.active.delete(grpcCall)
    setImmediate(() => grpcCall.cancelWithStatus(grpc.status.CANCELLED, reason))
  })

/** Why a call is cancelled whose fiber was interrupted or whose scope closed. */
export const callerLeft = "cancelled by the caller"

/** Why a call is cancelled that outlived its connection's drain. */
export const connectionClosed = "the connection was closed"

/** The bytes as the Buffer grpc-js frames. */
export const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** A channel that closed before the call could start. */
export const shutDown = (method: Method.Any, endpoint: Endpoint): RpcError =>
  localError("UNAVAILABLE", `the connection to ${endpoint.id} is closed`, { method, endpoint }, "not_started")
