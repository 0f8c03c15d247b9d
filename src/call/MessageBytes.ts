/**
 * A call's messages to bytes and back, as every transport does it on the client, and what is said of those that cannot be.
 *
 * A codec may throw and a message may be too large for the call. Both are answered here, once, as values: a hot path that
 * succeeds pays for a comparison. The error keeps what the codec threw as its cause; its message says which field is wrong
 * and holds no value, because a handler may pass it on.
 *
 * | what cannot be | code | origin |
 * | --- | --- | --- |
 * | a request encoded, or a response decoded, by the client | `INTERNAL` | local: no peer is to blame |
 * | a request decoded by the server, written by a `Schema` or in JSON | `INVALID_ARGUMENT`, with the field | |
 * | a request decoded by the server, in another form | `INTERNAL` | |
 * | a response encoded by the server | `INTERNAL`, with nothing else | |
 *
 * These are the codes that gRPC and Connect give them.
 */
import { Schema } from "effect"
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "./Call.ts"
import type { Method } from "./Method.ts"
import type * as AnyMethod from "./Method.ts"
import * as SchemaProblem from "./SchemaProblem.ts"

const tooLarge = (what: string, bytes: number, most: number, path: string, peer: string): RpcError.RpcError =>
  RpcError.make("RESOURCE_EXHAUSTED", `the ${what} of ${path} has ${bytes} bytes, more than the ${most} it may have`, {
    origin: "local",
    method: path,
    peer
  })

/** What cannot be done, and what is known of the reason. */
const textOf = (what: string, path: string, cause: unknown): string => {
  const problem = SchemaProblem.ofCause(cause)
  return problem === undefined ? `cannot ${what} of ${path}` : `cannot ${what} of ${path}: ${problem}`
}

const failed = (what: string, path: string, peer: string, cause: unknown): RpcError.RpcError =>
  RpcError.make("INTERNAL", textOf(what, path, cause), { origin: "local", method: path, peer, cause })

/**
 * The bytes of a request, or why it cannot be sent to the peer. `mostBytes` is the connection's own limit.
 *
 * @category wire
 * @since 0.1.0
 */
export const requestBytes = <I>(
  method: Method<I, unknown>,
  request: I,
  call: Call,
  peer: string,
  mostBytes = Infinity
): Uint8Array | RpcError.RpcError => {
  let bytes: Uint8Array
  try {
    bytes = method.request.encode(request)
  } catch (cause) {
    return failed("encode the request", method.path, peer, cause)
  }
  const most = Math.min(call.options.maxSendBytes, mostBytes)
  return bytes.length > most ? tooLarge("request", bytes.length, most, method.path, peer) : bytes
}

/**
 * `requestBytes` of a request that is sent now: they count as sent.
 *
 * @category wire
 * @since 0.1.0
 */
export const encodeRequest = <I>(
  method: Method<I, unknown>,
  request: I,
  call: Call,
  peer: string,
  mostBytes?: number
): Uint8Array | RpcError.RpcError => {
  const bytes = requestBytes(method, request, call, peer, mostBytes)
  if (bytes instanceof Uint8Array) call.sentBytes += bytes.length
  return bytes
}

/**
 * A response, or why what the peer sent is not one.
 *
 * @category wire
 * @since 0.1.0
 */
export const decodeResponse = <O>(
  method: Method<never, O>,
  bytes: Uint8Array,
  call: Call,
  peer: string
): O | RpcError.RpcError => {
  call.receivedBytes += bytes.length
  const { maxReceiveBytes } = call.options
  if (bytes.length > maxReceiveBytes) return tooLarge("response", bytes.length, maxReceiveBytes, method.path, peer)
  try {
    return method.response.decode(bytes)
  } catch (cause) {
    return failed("decode the response", method.path, peer, cause)
  }
}

/**
 * What a server answers to a request that does not decode. A client that writes JSON or by a schema has written the wrong
 * thing, and is told where. Bytes of another form come from a codec that no caller wrote, and say no more than that.
 *
 * @category wire
 * @since 0.1.0
 */
export const undecodableRequest = (method: AnyMethod.Any, cause: unknown): RpcError.RpcError => {
  const { path, request } = method
  return request.subtype === "json" || Schema.isSchemaError(cause)
    ? RpcError.make("INVALID_ARGUMENT", textOf("decode the request", path, cause), { method: path, cause })
    : RpcError.make("INTERNAL", `cannot decode the request of ${path}`, { method: path, cause })
}

/**
 * What a server answers when its handler's message is none. What is wrong with it stays on the server.
 *
 * @category wire
 * @since 0.1.0
 */
export const unencodableResponse = (method: AnyMethod.Any, cause: unknown): RpcError.RpcError =>
  RpcError.make("INTERNAL", `cannot encode the response of ${method.path}`, { method: method.path, cause })
