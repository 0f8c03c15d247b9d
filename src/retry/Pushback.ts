/**
 * What the server says about the next attempt.
 *
 * A server that is short of something knows best when it will have it again. It says so in one of two ways: gRPC's
 * trailer `grpc-retry-pushback-ms`, where anything but one plain number of milliseconds means "do not come back", and
 * the `RetryInfo` detail of the rich error model, which only ever names a delay. Where both do, the longer one holds.
 *
 * What a policy does about it is a `Reader`: a function from the error and the policy's own longest delay.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 */
import { Data, Duration, Predicate } from "effect"
import * as ErrorDetails from "../status/ErrorDetails.ts"
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

const key = "grpc-retry-pushback-ms"

/** A number of the wire is a signed number of 32 bits. */
const largest = 2 ** 31 - 1

const absent = Pushback.Absent()
const stop = Pushback.Stop()

/** The milliseconds of the trailer, which is there. Anything unclear is a wish to be left alone. */
const parse = (values: ReadonlyArray<string | Uint8Array>): number | undefined => {
  const [value] = values
  if (values.length !== 1 || !Predicate.isString(value) || !/^\d+$/.test(value)) return undefined
  const millis = Number(value)
  return millis <= largest ? millis : undefined
}

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
  const info = ErrorDetails.retryDelay(error)
  const values = error.trailers.get(key)
  if (values === undefined) return info === undefined ? absent : Pushback.Delay({ delay: info })
  const millis = parse(values)
  return millis === undefined
    ? stop
    : Pushback.Delay({ delay: Duration.max(info ?? Duration.zero, Duration.millis(millis)) })
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
 * Does not listen to the server.
 *
 * @category readers
 * @since 0.1.0
 */
export const ignored: Reader = () => absent
