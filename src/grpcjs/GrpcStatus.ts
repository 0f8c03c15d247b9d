/**
 * What a grpc-js status means.
 *
 * grpc-js tells who ended a call by its text alone.
 */
import type * as grpc from "@grpc/grpc-js"
import type * as Method from "../call/Method.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { fromHttpStatus } from "../session/WireStatus.ts"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import { notGrpc } from "./AnswerFields.ts"
import type { GrpcConnection, Occupant } from "./GrpcConnection.ts"
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
  /^(?:Connection dropped|Received RST_STREAM with code (?:0 \(Call ended without gRPC status\)|\d+ triggered by internal client error(?:: .*)?)|(?:read|write) E[A-Z]+)$/s

/** What grpc-js says of a stream that was reset: by the server for this call, or with the whole connection. */
const resetText =
  /^(?:Call cancelled|Bandwidth exhausted or memory limit exceeded|Protocol not secure enough|Received RST_STREAM with code \d+(?: \(Internal server error\))?)$/

/** Texts grpc-js writes when it, and not the server, ended the call. */
const localText =
  /^(?:Deadline exceeded after|No connection established|Name resolution failed|Channel has been shut down|Channel closed before call started|Failed to start HTTP\/2 stream|Attempted to send message|Received message larger than max|the connection was closed)/

/** Texts grpc-js writes when it never sent the call. */
const notStartedText =
  /^(?:No connection established|Name resolution failed|Channel has been shut down|Channel closed before call started|Failed to start HTTP\/2 stream)/

/** What Node says of a stream that never got an id: there was none left, or the session had just ended (newer versions). */
const noStreamText = /No stream ID is available|The session has been destroyed/

/** What grpc-js says of a stream that the server's transport refused. */
const refusedText = "Stream refused by server"

/** How far a call got that ended with these words. */
const progressOf = (details: string): RpcError.Progress =>
  notStartedText.test(details) || noStreamText.test(details)
    ? "not_started"
    : details === refusedText
      ? "refused"
      : "processed"

/** What grpc-js says of a call whose time is over: in how many seconds, and where they went. */
const outOfTimeText = /^Deadline exceeded after ([\d.]+)s,?(.*)$/s

/** A text of grpc-js's own, with the call it is about. */
const told = (details: string, path: string, peer: string): string => {
  const [outOfTime, seconds, spent] = outOfTimeText.exec(details) ?? []
  if (outOfTime === undefined) return `${details} (${path} on ${peer})`
  const millis = Math.round(Number(seconds) * 1000)
  return `deadline exceeded after ${millis} ms: ${path} on ${peer}${spent === "" ? "" : ` (${spent})`}`
}

/** The error of a call that did not end with OK. */
export const toError = (
  status: grpc.StatusObject,
  connection: GrpcConnection,
  about: { readonly method: Method.Any; readonly occupant: Occupant; readonly headers: grpc.Metadata | undefined }
): RpcError.RpcError => {
  const { headers, method, occupant } = about
  const { details } = status
  const lost = lossText.test(details) || (connection.isLost && resetText.test(details))
  const progress = occupant.unsent && (lost || details === refusedText) ? "not_started" : progressOf(details)
  const code = lost || progress === "not_started" ? "UNAVAILABLE" : Code.fromNumber(status.code)
  const isLocal = localText.test(details)
  const text = isLocal ? told(details, method.path, connection.endpoint.id) : details
  return RpcError.make(
    code === "OK" ? "INTERNAL" : code,
    lost ? `connection lost: ${connection.problem ?? details}` : text,
    {
      origin: lost || isLocal ? "local" : "remote",
      method: method.path,
      peer: connection.endpoint.id,
      headers: headers === undefined ? undefined : fromGrpc(headers),
      trailers: fromGrpc(status.metadata),
      progress
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

/** Why the answer with these headers is not one of gRPC's. */
export const notGrpcError = (headers: grpc.Metadata, site: Site): RpcError.RpcError | undefined => {
  const [status] = headers.get(notGrpc)
  if (status === undefined) return undefined
  const [contentType = "none"] = headers.get("content-type")
  const message = `the answer is not gRPC: HTTP status ${status.toString()}, content-type ${contentType.toString()}`
  return RpcError.annotate(localError(fromHttpStatus(Number(status)), message, site), { origin: "remote" })
}
