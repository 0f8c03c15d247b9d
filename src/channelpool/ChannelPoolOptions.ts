/**
 * The options of a channel pool, and the settings that are read from them.
 */
import { Data, Duration, type Effect, Option, Result, type Schedule } from "effect"
import type { Transport } from "../transport/Transport.ts"
import type * as Penalty from "./Penalty.ts"
import type * as Scaling from "./Scaling.ts"
import type * as UnresponsiveDetector from "./UnresponsiveDetector.ts"

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
  /** The minimum number of connections. Default 2. */
  readonly min?: number | undefined
  /** The maximum number of connections, without draining ones. Default 10. */
  readonly max?: number | undefined
  /** The number of connections opened first, from `min` to `max`. Default 4, within these bounds. */
  readonly initial?: number | undefined
  /** At or below so many calls in flight per connection, connections are closed. Default 15, or less if `maxLoad` is. */
  readonly minLoad?: number | undefined
  /** Above so many calls in flight per connection, connections are added (grpc-gcp's low watermark). Default 25. */
  readonly maxLoad?: number | undefined
  /** The minimum time from one addition to the next. Default 10 seconds. */
  readonly coolDown?: Duration.Input | undefined
  /** How often the load is checked; after three checks in a row with a low load two close. Default 3 minutes. */
  readonly checkInterval?: Duration.Input | undefined
  /** How long a removed connection stays open without calls, in case the load returns. Default 1 minute. */
  readonly drainGrace?: Duration.Input | undefined
  /** What a failure adds to its connection's load: `step` calls that fade over `duration`. Default 5 and 5 seconds. */
  readonly penalty?: { readonly step?: number | undefined; readonly duration?: Duration.Input | undefined } | undefined
  /** Runs on an added connection before calls use it, such as one cheap call. Default none. */
  readonly prime?: Effect.Effect<unknown, unknown, Transport> | undefined
  /** The timeout of one attempt to prime; there are three. Default 10 seconds. */
  readonly primeTimeout?: Duration.Input | undefined
  /**
   * Replaces a connection after so many calls in a row that ended at their deadline, and no response for `silence` or
   * longer. Calls on the old connection go on. Default off.
   */
  readonly unresponsive?: { readonly failures: number; readonly silence: Duration.Input } | undefined
  /** Whether the calls of a key use another connection while its own is not ready, or fail. Default `fallback`. */
  readonly whenHomeNotReady?: "fallback" | "fail" | undefined
  /** The timeout of a connect. Default 20 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** Delays between connects after a failure. Default gRPC's connection backoff. */
  readonly reconnect?: Schedule.Schedule<unknown, string> | undefined
}

/**
 * Invalid options; `field` names the option.
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
 * The options with their defaults; times are milliseconds.
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
  readonly unresponsive: UnresponsiveDetector.Settings | undefined
  readonly fallsBack: boolean
}

type Read<A> = Result.Result<A, InvalidChannelPool>

const fail = (field: string, problem: string): Read<never> => Result.fail(new InvalidChannelPool({ field, problem }))

const readCount = (
  field: string,
  input: number | undefined,
  { fallback, min }: { readonly fallback: number; readonly min: number }
): Read<number> => {
  const count = input ?? fallback
  return Number.isInteger(count) && count >= min
    ? Result.succeed(count)
    : fail(field, `is not a whole number of ${min} or more`)
}

const readMillis = (field: string, input: Duration.Input | undefined, fallback: Duration.Input): Read<number> => {
  const millis = Option.map(Duration.fromInput(input ?? fallback), Duration.toMillis)
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
    const max = yield* readCount("max", options?.max, { fallback: Math.max(10, options?.min ?? 0), min: 1 })
    const min = yield* readCount("min", options?.min, { fallback: Math.min(2, max), min: 1 })
    if (min > max) return yield* fail("min", `is above max, ${max}`)
    const initial = yield* readCount("initial", options?.initial, { fallback: Math.min(max, Math.max(min, 4)), min: 1 })
    if (initial < min || initial > max) return yield* fail("initial", `is not from min, ${min}, to max, ${max}`)
    const maxLoad = yield* readCount("maxLoad", options?.maxLoad, { fallback: 25, min: 1 })
    const minLoad = yield* readCount("minLoad", options?.minLoad, { fallback: Math.min(15, maxLoad - 1), min: 0 })
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
        step: yield* readCount("penalty.step", options?.penalty?.step, { fallback: 5, min: 0 }),
        cap: maxLoad,
        millis: yield* readMillis("penalty.duration", options?.penalty?.duration, "5 seconds")
      },
      unresponsive:
        unresponsive === undefined
          ? undefined
          : {
              failures: yield* readCount("unresponsive.failures", unresponsive.failures, { fallback: 1, min: 1 }),
              millis: yield* readMillis("unresponsive.silence", unresponsive.silence, 1)
            },
      fallsBack: options?.whenHomeNotReady !== "fail",
      connectTimeout: options?.connectTimeout,
      prime: options?.prime,
      reconnect: options?.reconnect
    }
  })
