/**
 * What a policy does about what the server says of the next attempt.
 *
 * `RetryAfter` reads it from an error: nothing, a delay, or not to come back. How a policy takes that is a `Reader`: a
 * function from the error and the policy's own longest delay.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import { Data, Duration } from "effect"
import * as RetryAfter from "../status/RetryAfter.ts"
import type { RpcError } from "../status/RpcError.ts"

/**
 * `Absent`: the server says nothing. `Delay`: come back after that. `Stop`: do not come back.
 *
 * @category models
 * @since 0.1.0
 */
export type Pushback = Data.TaggedEnum<{
  Absent: {}
  Delay: { readonly delay: Duration.Duration }
  Stop: {}
}>

/**
 * The three things a server can say.
 *
 * @category constructors
 * @since 0.1.0
 */
export const Pushback = Data.taggedEnum<Pushback>()

/**
 * How a policy takes what the server says. `max` is the longest delay of the policy's backoff, infinite if unknown.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reader {
  (error: RpcError, max: Duration.Duration): Pushback
}

const absent = Pushback.Absent()
const stop = Pushback.Stop()

/**
 * What the server says with this error.
 *
 * @example
 * import { ErrorDetails, Pushback, RpcError } from "trunkline"
 *
 * const error = RpcError.make("UNAVAILABLE", "restarting", { trailers: new Map([["grpc-retry-pushback-ms", ["250"]]]) })
 * Pushback.of(error)._tag // => "Delay"
 * Pushback.of(RpcError.make("UNAVAILABLE", "restarting"))._tag // => "Absent"
 *
 * @category getters
 * @since 0.1.0
 */
export const of = (error: RpcError): Pushback => {
  const said = RetryAfter.of(error)
  if (said === undefined) return absent
  return said.never ? stop : Pushback.Delay({ delay: Duration.millis(said.millis ?? 0) })
}

/**
 * Does what the server says, but sleeps no longer than the policy itself ever would. The default of every policy.
 *
 * @category readers
 * @since 0.1.0
 */
export const capped: Reader = (error, max) => {
  const said = of(error)
  return said._tag === "Delay" ? Pushback.Delay({ delay: Duration.min(said.delay, max) }) : said
}

/**
 * Does what the server says, but sleeps no longer than this.
 *
 * @category readers
 * @since 0.1.0
 */
export const atMost = (limit: Duration.Input): Reader => {
  const max = Duration.fromInputUnsafe(limit)
  return (error) => capped(error, max)
}

/**
 * Does what the server says, however long it takes, as gRPC specifies. A deadline or a total time still ends the call.
 *
 * @category readers
 * @since 0.1.0
 */
export const exact: Reader = of

/**
 * Ignores the server.
 *
 * @category readers
 * @since 0.1.0
 */
export const ignored: Reader = () => absent
