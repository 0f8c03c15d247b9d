/**
 * What unary and streaming calls have in common on a grpc-js channel.
 */
import * as grpc from "@grpc/grpc-js"
import { Effect } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import { MetadataError } from "../call/Metadata.ts"
import * as MetadataField from "../call/MetadataField.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type * as Method from "../call/Method.ts"
import type { RpcError } from "../status/RpcError.ts"
import type { GrpcCall, GrpcConnection, Occupant } from "./GrpcConnection.ts"
import { localError } from "./GrpcStatus.ts"

/** What a call reports to. */
export type Listener = Parameters<GrpcCall["start"]>[1]

/** grpc-js wants an instant of the wall clock and sets its own timer. */
const wallDeadline = (call: Call): grpc.Deadline =>
  call.attemptDeadline === Deadline.none
    ? Infinity
    : Date.now() + (call.attemptDeadline - Deadline.nowUnsafe(call.clock))

/**
 * Why a call's metadata cannot be sent. Asked before grpc-js is, which throws for some of it, and for the rest gives up the
 * connection with every call on it.
 */
const unsendable = (connection: GrpcConnection, method: Method.Any, call: Call): RpcError | undefined => {
  const { metadata } = call.options
  if (metadata.size === 0) return undefined
  const site = { endpoint: connection.endpoint, method }
  const tooLarge = MetadataLimit.check(metadata, connection.limits.maxMetadataBytes)
  if (tooLarge !== undefined) {
    return localError("RESOURCE_EXHAUSTED", `cannot send ${method.path}: ${tooLarge.message}`, site, "not_started")
  }
  for (const [key, values] of metadata) {
    const problem = MetadataField.problemOf(key, values)
    if (problem === undefined) continue
    const { message } = new MetadataError({ key, problem })
    return localError("INTERNAL", `cannot send ${method.path}: ${message}`, site, "not_started")
  }
  return undefined
}

/** Creates a call that is not yet started, or says why there can be none. */
export const create = (connection: GrpcConnection, method: Method.Any, call: Call): GrpcCall | RpcError => {
  const problem = unsendable(connection, method, call)
  if (problem !== undefined) return problem
  try {
    return connection.channel.createCall(method.path, wallDeadline(call), null, null, null)
  } catch {
    // The channel has been closed.
    const { endpoint } = connection
    const message = `the connection to ${endpoint.id} is closed`
    return localError("UNAVAILABLE", message, { method, endpoint }, "not_started")
  }
}

/**
 * Ends a call from this side, with a reason for whoever still listens. Not in the tick it was opened in: a stream that Node
 * resets before it has sent its headers never closes, and neither does the connection when it is told to.
 */
export const cancel = (connection: GrpcConnection, occupant: Occupant, reason: string): Effect.Effect<void> =>
  Effect.sync(() => {
    connection.active.delete(occupant)
    setImmediate(() => occupant.grpcCall.cancelWithStatus(grpc.status.CANCELLED, reason))
  })

/** Why a call is cancelled whose fiber was interrupted or whose scope closed. */
export const callerLeft = "cancelled by the caller"

/** Why a call is cancelled that outlived its connection's drain. */
export const connectionClosed = "the connection was closed"

/** The bytes as the Buffer grpc-js frames. */
export const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
