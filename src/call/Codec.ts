/**
 * A call's messages to bytes and back, as every transport does it on the client.
 *
 * A codec may throw and a message may be too large for the call. Both are answered here, once, as values: a hot path that
 * succeeds pays for a comparison.
 */
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "./Call.ts"
import type { Method } from "./Method.ts"

const failed = (
  code: "INTERNAL" | "RESOURCE_EXHAUSTED",
  message: string,
  path: string,
  peer: string
): RpcError.RpcError => RpcError.make(code, message, { origin: "local", method: path, peer })

const tooLarge = (what: string, bytes: number, most: number, path: string, peer: string): RpcError.RpcError =>
  failed(
    "RESOURCE_EXHAUSTED",
    `the ${what} of ${path} has ${bytes} bytes, more than the ${most} it may have`,
    path,
    peer
  )

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
  } catch {
    return failed("INTERNAL", `cannot encode the request of ${method.path}`, method.path, peer)
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
  } catch {
    return failed("INTERNAL", `cannot decode the response of ${method.path}`, method.path, peer)
  }
}
