/**
 * What the end of an HTTP/2 stream says about the call.
 *
 * Well-behaved servers send `grpc-status`. For everything else, such as proxies, resets and half answers, gRPC has tables.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors
 */
import { constants } from "node:http2"
import type { Code } from "../status/Code.ts"
import type { Progress } from "../status/RpcError.ts"
import { http2ErrorCodes } from "../transport/Disconnect.ts"

/** What an HTTP status says where there is no `grpc-status`. */
export const fromHttpStatus = (status: number): Code => {
  switch (status) {
    case 400:
      return "INTERNAL"
    case 401:
      return "UNAUTHENTICATED"
    case 403:
      return "PERMISSION_DENIED"
    case 404:
      return "UNIMPLEMENTED"
    case 429:
    case 502:
    case 503:
    case 504:
      return "UNAVAILABLE"
    default:
      return "UNKNOWN"
  }
}

/** What a stream that was reset says. */
export interface Reset {
  readonly code: Code
  readonly message: string
  readonly progress: Progress
}

const codeOfReset = (rst: number): Code => {
  switch (rst) {
    case constants.NGHTTP2_REFUSED_STREAM:
      return "UNAVAILABLE"
    case constants.NGHTTP2_CANCEL:
      return "CANCELLED"
    case constants.NGHTTP2_ENHANCE_YOUR_CALM:
      return "RESOURCE_EXHAUSTED"
    case constants.NGHTTP2_INADEQUATE_SECURITY:
      return "PERMISSION_DENIED"
    default:
      return "INTERNAL"
  }
}

/** What the error code of a reset says. */
export const fromReset = (rst: number): Reset => ({
  code: codeOfReset(rst),
  message: `the server ended the call with RST_STREAM with code ${rst} (${http2ErrorCodes[rst] ?? "unknown"})`,
  progress: rst === constants.NGHTTP2_REFUSED_STREAM ? "refused" : "processed"
})

/** Text that needs no encoding. HTTP/2 takes spaces away from its ends. */
const plain = /^(?! )[\x20-\x24\x26-\x7e]*(?<! )$/

/**
 * `grpc-message`: printable ASCII as it is; everything else, the percent sign, and spaces at either end as their UTF-8 bytes
 * in hexadecimal.
 */
export const encodeMessage = (message: string): string => {
  if (plain.test(message)) return message
  const bytes = Buffer.from(message, "utf8")
  const last = bytes.length - 1
  return Array.from(bytes, (byte, index) =>
    byte > 0x20 && byte <= 0x7e && byte !== 0x25
      ? String.fromCharCode(byte)
      : byte === 0x20 && index > 0 && index < last
        ? " "
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
  ).join("")
}

/** The message a `grpc-message` stands for. What is not an encoding stands for itself. */
export const decodeMessage = (field: string): string =>
  field.includes("%")
    ? field.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => Buffer.from(run.replaceAll("%", ""), "hex").toString("utf8"))
    : field
