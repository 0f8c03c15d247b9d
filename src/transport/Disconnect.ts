/**
 * Why a connection that was ready is gone.
 *
 * People read the cause; what is counted needs words of a bounded set, and those are gRPC's, so that numbers of different
 * implementations can stand in one chart.
 *
 * @see https://github.com/grpc/proposal/blob/master/A94-subchannel-otel-metrics.md
 */
import { ErrorCode } from "../h2/ErrorCode.ts"

/**
 * What ended a connection, in gRPC's words: this side, the other side's goodbye by its HTTP/2 code, or the socket.
 *
 * @category models
 * @since 0.1.0
 */
export type DisconnectError =
  | "subchannel shutdown"
  | "connection reset"
  | "connection timed out"
  | "connection aborted"
  | "socket error"
  | "unknown"
  | `GOAWAY ${string}`

/**
 * What is known of a connection that is gone.
 *
 * @category models
 * @since 0.1.0
 */
export interface Disconnect {
  readonly error: DisconnectError
  readonly cause: string
}

const bySocketCode: Readonly<Record<string, DisconnectError>> = {
  ECONNRESET: "connection reset",
  EPIPE: "connection reset",
  ETIMEDOUT: "connection timed out",
  ECONNABORTED: "connection aborted"
}

/**
 * What the code of a socket's error, such as `ECONNRESET`, stands for.
 *
 * @example
 * import { Disconnect } from "trunkline/extend"
 *
 * Disconnect.fromSocketCode("ECONNRESET") // => "connection reset"
 * Disconnect.fromSocketCode("EHOSTUNREACH") // => "socket error"
 * Disconnect.fromSocketCode("ERR_HTTP2_ERROR") // => "unknown"
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSocketCode = (code: string | undefined): DisconnectError => {
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return "unknown"
  return bySocketCode[code] ?? "socket error"
}

/** HTTP/2's error codes, by their numbers. @internal */
export const http2ErrorCodes: ReadonlyArray<string> = Object.keys(ErrorCode)

/**
 * What a server's goodbye (GOAWAY) with an HTTP/2 error code stands for.
 *
 * @example
 * import { Disconnect } from "trunkline/extend"
 *
 * Disconnect.fromGoaway(0) // => "GOAWAY NO_ERROR"
 * Disconnect.fromGoaway(4711) // => "GOAWAY UNKNOWN"
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromGoaway = (code: number): DisconnectError => `GOAWAY ${http2ErrorCodes[code] ?? "UNKNOWN"}`
