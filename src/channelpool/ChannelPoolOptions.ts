/**
 * What a channel pool may be told, and what becomes of it.
 */
import { Data, Duration, type Effect, Option, Result, type Schedule } from "effect"
import type { Transport } from "../transport/Transport.ts"
import type * as Penalty from "./Penalty.ts"
import type * as Scaling from "./Scaling.ts"
import type * as Silence from "./UnresponsiveDetector.ts"

/**
 * The settings that options become.
 *
 * @category models
 * @since 0.1.0
 */
export type { Settings as PenaltySettings } from "./Penalty.ts"
export type { Settings as ScalingSettings } from "./Scaling.ts"
export type { Settings as UnresponsiveSettings } from "./UnresponsiveDetector.ts"

/**
 * How many connections one endpoint has, and how calls are spread over them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Connections there are at least. Default 2. */
  readonly min?: number | undefined
  /** Connections there are at most, those that drain not counted. Default 10. */
  readonly max?: number | undefined
  /** Connections opened at first, from `min` to `max`. Default 4, or as close as it may be. */
  readonly initial?: number | undefined
  /** At or below so many calls under way per connection there are too many. Default 15, less if `maxLoad` is. */
  readonly minLoad?: number | undefined
  /** Above so many calls under way a connection wants company (grpc-gcp's low watermark of streams). Default 25. */
  readonly maxLoad?: number | undefined
  /** The least time from one addition to the next. Default 10 seconds. */
  readonly coolDown?: Duration.Input | undefined
  /** How often it is asked whether there are too many; three times in a row takes two away. Default 3 minutes. */
  readonly checkInterval?: Duration.Input | undefined
  /** How long a connection that was taken away is kept without calls, in case it is wanted again. Default 1 minute. */
  readonly drainGrace?: Duration.Input | undefined
  /** What a failed call adds to its connection's load: `step` calls, fading over `duration`. Default 5 and 5 seconds. */
  readonly penalty?: { readonly step?: number | undefined; readonly duration?: Duration.Input | undefined } | undefined
  /** Made on an added connection before calls go to it, such as one cheap call. Default nothing but being connected. */
  readonly prime?: Effect.Effect<unknown, unknown, Transport> | undefined
  /** How long one try to prime may take; there are three. Default 10 seconds. */
  readonly primeTimeout?: Duration.Input | undefined
  /**
   * Replaces a connection on which so many calls in a row ended at their deadline, with nothing heard for `silence` or
   * longer. Calls on the old one go on. Default off.
   */
  readonly unresponsive?: { readonly failures: number; readonly silence: Duration.Input } | undefined
  /** What becomes of a key whose connection is not ready: its calls use another until it is, or fail. Default `fallback`. */
  readonly whenHomeNotReady?: "fallback" | "fail" | undefined
  /** Gives up a connect that is not ready in this time. Default 20 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Delays between connects after a failure. Default gRPC's connection backoff. */
  readonly reconnect?: Schedule.Schedule<unknown, string> | undefined
}

/**
 * Options that contradict each other or themselves.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidChannelPool extends Data.TaggedError("InvalidChannelPool")<{
  readonly field: string
  readonly problem: string
}> {
  override get message(): string {
    return `channel pool: ${this.field} ${this.problem}`
  }
}

/**
 * Options with nothing left open; times in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings extends Scaling.Settings, Pick<Options, "connectTimeout" | "prime" | "reconnect"> {
  readonly initial: number
  readonly checkMillis: number
  readonly graceMillis: number
  readonly primeMillis: number
  readonly penalty: Penalty.Settings
  readonly silence: Silence.Settings | undefined
  readonly fallsBack: boolean
}

type Read<A> = Result.Result<A, InvalidChannelPool>

const fail = (field: string, problem: string): Read<never> => Result.fail(new InvalidChannelPool({ field, problem }))

const readCount = (field: string, input: number | undefined, otherwise: number, least: number): Read<number> => {
  const count = input ?? otherwise
  return Number.isInteger(count) && count >= least
    ? Result.succeed(count)
    : fail(field, `is not a whole number of ${least} or more`)
}

const readMillis = (field: string, input: Duration.Input | undefined, otherwise: Duration.Input): Read<number> => {
  const millis = Option.map(Duration.fromInput(input ?? otherwise), Duration.toMillis)
  return Option.isSome(millis) && millis.value > 0 && Number.isFinite(millis.value)
    ? Result.succeed(millis.value)
    : fail(field, "is not a finite duration above 0")
}

/**
 * Reads options.
 *
 * @category conversions
 * @since 0.1.0
 */
export const read = (options: Options | undefined): Read<Settings> =>
  Result.gen(function* () {
    const max = yield* readCount("max", options?.max, Math.max(10, options?.min ?? 0), 1)
    const min = yield* readCount("min", options?.min, Math.min(2, max), 1)
    if (min > max) return yield* fail("min", `is above max, ${max}`)
    const initial = yield* readCount("initial", options?.initial, Math.min(max, Math.max(min, 4)), 1)
    if (initial < min || initial > max) return yield* fail("initial", `is not from min, ${min}, to max, ${max}`)
    const maxLoad = yield* readCount("maxLoad", options?.maxLoad, 25, 1)
    const minLoad = yield* readCount("minLoad", options?.minLoad, Math.min(15, maxLoad - 1), 0)
    if (minLoad >= maxLoad) return yield* fail("minLoad", `is not below maxLoad, ${maxLoad}`)
    const unresponsive = options?.unresponsive
    return {
      min,
      max,
      initial,
      minLoad,
      maxLoad,
      coolDownMillis: yield* readMillis("coolDown", options?.coolDown, "10 seconds"),
      checkMillis: yield* readMillis("checkInterval", options?.checkInterval, "3 minutes"),
      graceMillis: yield* readMillis("drainGrace", options?.drainGrace, "1 minute"),
      primeMillis: yield* readMillis("primeTimeout", options?.primeTimeout, "10 seconds"),
      penalty: {
        step: yield* readCount("penalty.step", options?.penalty?.step, 5, 0),
        cap: maxLoad,
        millis: yield* readMillis("penalty.duration", options?.penalty?.duration, "5 seconds")
      },
      silence:
        unresponsive === undefined
          ? undefined
          : {
              failures: yield* readCount("unresponsive.failures", unresponsive.failures, 1, 1),
              millis: yield* readMillis("unresponsive.silence", unresponsive.silence, 1)
            },
      fallsBack: options?.whenHomeNotReady !== "fail",
      connectTimeout: options?.connectTimeout,
      prime: options?.prime,
      reconnect: options?.reconnect
    }
  })
