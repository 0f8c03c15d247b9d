/**
 * How long a server asks to be left alone.
 *
 * It says so with an error, in gRPC's trailer `grpc-retry-pushback-ms` or as a `RetryInfo` of the rich error model. This is
 * what it means for the peer; whether the call itself is tried again is the retry policy's question.
 */
import { Duration } from "effect"
import * as ErrorDetails from "./ErrorDetails.ts"
import type { RpcError } from "./RpcError.ts"

/**
 * The milliseconds a server asks for with an error, the longer one if it does so twice; 0 if it does not.
 *
 * @example
 * import { RetryAfter, RpcError } from "trunkline"
 *
 * const error = RpcError.make("UNAVAILABLE", "busy", { trailers: new Map([["grpc-retry-pushback-ms", ["1500"]]]) })
 * RetryAfter.millis(error) // => 1500
 *
 * @category getters
 * @since 0.1.0
 */
export const millis = (error: RpcError): number => {
  const info = ErrorDetails.retryDelay(error)
  const pushback = error.trailers.get("grpc-retry-pushback-ms")?.[0]
  const asked = typeof pushback === "string" && /^\d{1,10}$/.test(pushback) ? Number(pushback) : 0
  return Math.max(asked, info === undefined ? 0 : Duration.toMillis(info))
}
