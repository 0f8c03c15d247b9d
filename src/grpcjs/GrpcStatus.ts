/**
 * What a grpc-js status means.
 */
import * as grpc from "@grpc/grpc-js"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type * as Method from "../call/Method.ts"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import { fromGrpc } from "./GrpcMetadata.ts"

/** Where a status came up, for the error it becomes. */
export interface Site {
  readonly endpoint: Endpoint
  readonly method: Method.Any
}

/**
 * grpc-js reports some connections lost under a call as INTERNAL, because the stream was closed before the socket said
 * why, and others in the socket's own words. No server answers so.
 */
const lossText =
  /^(?:Received RST_STREAM with code (?:0 \(Call ended without gRPC status\)|\d+ triggered by internal client error)|(?:read|write) E[A-Z]+$)/

/** What grpc-js says of a stream that was reset: by the server for this call, or with the whole connection. */
const resetText = "Call cancelled"

/** Texts grpc-js writes when it, and not the server, ended the call. */
const localText =
  /^(?:Deadline exceeded after|No connection established|Name resolution failed|Connection dropped|Channel has been shut down|Channel closed before call started|Failed to start HTTP\/2 stream|Attempted to send message|the connection was closed)/

/** Texts grpc-js writes when it never sent the call. */
const notStartedText =
  /^(?:No connection established|Name resolution failed|Channel has been shut down|Channel closed before call started|Failed to start HTTP\/2 stream)/

/** What grpc-js says when the server's transport refused the stream, and did so again. */
const refusedText = "Stream refused by server"

/** How far a call got that ended with these words. */
const progressOf = (details: string): RpcError.Progress =>
  notStartedText.test(details) ? "not_started" : details === refusedText ? "refused" : "processed"

/** Whether the connection went away under the call. */
const isLoss = (details: string, channel: grpc.Channel): boolean =>
  lossText.test(details) ||
  (details === resetText && channel.getConnectivityState(false) !== grpc.connectivityState.READY)

/** The error of a call that did not end with OK. */
export const toError = (
  status: grpc.StatusObject,
  channel: grpc.Channel,
  site: Site,
  headers: grpc.Metadata | undefined
): RpcError.RpcError => {
  const lost = isLoss(status.details, channel)
  const code = lost ? "UNAVAILABLE" : Code.fromNumber(status.code)
  return RpcError.make(
    code === "OK" ? "INTERNAL" : code,
    lost ? `connection lost: ${status.details}` : status.details,
    {
      origin: lost || localText.test(status.details) ? "local" : "remote",
      method: site.method.path,
      peer: site.endpoint.id,
      headers: headers === undefined ? undefined : fromGrpc(headers),
      trailers: fromGrpc(status.metadata),
      progress: progressOf(status.details)
    }
  )
}

/** An error of our own making about a call on this connection. */
export const localError = (
  code: Code.Code,
  message: string,
  site: Site,
  progress?: RpcError.Progress
): RpcError.RpcError =>
  RpcError.make(code, message, { origin: "local", method: site.method.path, peer: site.endpoint.id, progress })
