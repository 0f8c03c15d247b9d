/**
 * An error that says how it wants to be retried.
 *
 * A policy decides by what it can see, a code and a few facts. The program that made the call may know better: that this
 * answer is worth another try, and how patient to be. So it marks the error, and the mark goes with the error as its
 * `cause`, where whatever else it carries stays as it was. A mark tunes the whole rest of the run.
 */
import { Data, Duration, Function, Predicate } from "effect"
import * as RpcError from "../status/RpcError.ts"

/**
 * What a mark may change, for this and every later delay of the run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tuning {
  /** At most so many attempts, the first included. The least of several counts; zero and less is no limit. */
  readonly max?: number | undefined
  /** What an exponential backoff starts from, if that is more; with another schedule, the least delay. */
  readonly delay?: Duration.Input | undefined
  /** The multiplier of an exponential backoff; below 1 it changes nothing. */
  readonly factor?: number | undefined
}

/** The mark: what to change, and the cause the error had before. */
class Retriable extends Data.TaggedClass("Retriable")<{ readonly tuning: Tuning; readonly cause: unknown }> {}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : "retriable error")

/**
 * The same error, which `onError`, `onCodes` and `onHttpCodes` retry whatever its code, and later delays as told here.
 * Anything that is not an `RpcError` becomes one: `UNKNOWN`, with its text if it is an `Error`.
 *
 * @example
 * import { Effect } from "effect"
 * import { Retry, RpcError } from "trunkline"
 *
 * const patient = Effect.fail(RpcError.make("NOT_FOUND", "not replicated yet")).pipe(
 *   Effect.mapError(Retry.retriable({ max: 3, delay: "1 second" })),
 *   Effect.retry(Retry.aip194)
 * )
 *
 * @category constructors
 * @since 0.1.0
 */
export const retriable: {
  (tuning: Tuning): (error: unknown) => RpcError.RpcError
  (error: unknown, tuning: Tuning): RpcError.RpcError
} = Function.dual(2, (error: unknown, tuning: Tuning): RpcError.RpcError =>
  RpcError.isRpcError(error)
    ? RpcError.annotate(error, { cause: new Retriable({ tuning, cause: error.cause }) })
    : RpcError.make("UNKNOWN", textOf(error), { cause: new Retriable({ tuning, cause: error }) })
)

/**
 * What the mark of an error says, if it has one.
 *
 * @category getters
 * @since 0.1.0
 */
export const tuningOf = (error: unknown): Tuning | undefined =>
  RpcError.isRpcError(error) && Predicate.isTagged(error.cause, "Retriable") && error.cause instanceof Retriable
    ? error.cause.tuning
    : undefined

const limitOf = (self: Tuning): number => (self.max !== undefined && self.max > 0 ? Math.floor(self.max) : Infinity)

/** Two tunings of one run: the lesser limit, the longer delay, the later factor. */
export const combine = (self: Tuning | undefined, later: Tuning | undefined): Tuning | undefined => {
  if (self === undefined || later === undefined) return later ?? self
  return {
    max: Math.min(limitOf(self), limitOf(later)),
    delay: Duration.max(Duration.fromInputUnsafe(self.delay ?? 0), Duration.fromInputUnsafe(later.delay ?? 0)),
    factor: later.factor !== undefined && later.factor >= 1 ? later.factor : self.factor
  }
}

/** Whether a run may go on after so many attempts. */
export const allows = (self: Tuning | undefined, attempts: number): boolean =>
  self === undefined || attempts < limitOf(self)
