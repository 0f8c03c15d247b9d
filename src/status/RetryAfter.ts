/**
 * What a server says about coming back.
 *
 * A server that is short of something knows best when it will have it again. It says so with an error, in one of two ways:
 * gRPC's trailer `grpc-retry-pushback-ms`, where anything but one plain number of milliseconds means "do not come back",
 * and the `RetryInfo` detail of the rich error model, which only ever names a delay. Where both do, the longer one holds.
 *
 * This is what was said, read once for everybody: what it means for the peer is its load's question, and whether the call
 * itself is tried again is the retry policy's (`Pushback`).
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import { Duration, Predicate } from "effect"
import * as ErrorDetails from "./ErrorDetails.ts"
import type { RpcError } from "./RpcError.ts"

/**
 * Whether the call is not to come back at all, and after how many milliseconds others may; `undefined` if no time is named.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryAfter {
  readonly never: boolean
  readonly millis: number | undefined
}

const key = "grpc-retry-pushback-ms"

/** A number of the wire is a signed number of 32 bits. */
const largest = 2 ** 31 - 1

/** The milliseconds of the trailer, which is there. Anything unclear is a wish to be left alone. */
const parse = (values: ReadonlyArray<string | Uint8Array>): number | undefined => {
  const [value] = values
  if (values.length !== 1 || !Predicate.isString(value) || !/^\d+$/.test(value)) return undefined
  const millis = Number(value)
  return millis <= largest ? millis : undefined
}

/**
 * What the server says with this error; `undefined` if it says nothing.
 *
 * @example
 * import { RpcError } from "trunkline"
 * import { RetryAfter } from "trunkline/extend"
 *
 * const error = RpcError.make("UNAVAILABLE", "busy", { trailers: new Map([["grpc-retry-pushback-ms", ["1500"]]]) })
 * RetryAfter.of(error) // => { never: false, millis: 1500 }
 *
 * @category getters
 * @since 0.1.0
 */
export const of = (error: RpcError): RetryAfter | undefined => {
  const detail = ErrorDetails.retryDelay(error)
  const info = detail === undefined ? undefined : Duration.toMillis(detail)
  const values = error.trailers.get(key)
  if (values === undefined) return info === undefined ? undefined : { never: false, millis: info }
  const pushback = parse(values)
  return pushback === undefined
    ? { never: true, millis: info }
    : { never: false, millis: Math.max(info ?? 0, pushback) }
}

/**
 * The milliseconds a server asks to be left alone; 0 if it does not say how long.
 *
 * @category getters
 * @since 0.1.0
 */
export const millis = (error: RpcError): number => of(error)?.millis ?? 0
