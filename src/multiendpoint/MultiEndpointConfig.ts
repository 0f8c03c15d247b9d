/**
 * Lists of endpoints as data.
 *
 * An operator moves traffic by changing a file or a variable, not a program, and a file with a mistake in it must say where
 * the mistake is rather than move traffic somewhere. The JSON has the options' own names; durations are texts such as
 * `"500 millis"`, or numbers of milliseconds.
 */
import { Config, Effect, Result, Schema, SchemaIssue, SchemaParser } from "effect"
import * as SchemaProblem from "../call/SchemaProblem.ts"
import { InvalidMultiEndpoints } from "./MultiEndpointError.ts"
import type { List } from "./PriorityList.ts"

const Time = Schema.Union([Schema.DurationFromString, Schema.DurationFromMillis])

const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

const ErrorRate = Schema.Struct({
  period: Schema.optional(Time),
  minFailures: Schema.optional(Count),
  rate: Schema.optional(Share),
  probeInterval: Schema.optional(Time),
  minProbes: Schema.optional(Count),
  minHealthy: Schema.optional(Time)
})

/**
 * Lists of endpoints in JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Lists = Schema.NonEmptyArray(
  Schema.Struct({
    name: Schema.NonEmptyString,
    endpoints: Schema.NonEmptyArray(Schema.NonEmptyString),
    recoveryTimeout: Schema.optional(Time),
    switchingDelay: Schema.optional(Time),
    switchingJitter: Schema.optional(Share),
    errorRate: Schema.optional(ErrorRate)
  })
)

const read = SchemaParser.decodeUnknownResult(Lists, { onExcessProperty: "error" })

/**
 * Reads lists from parsed JSON. Fails with the place of the first problem; a key that is not known is one, because a
 * misspelt timing would otherwise be no timing.
 *
 * @example
 * import { Result } from "effect"
 * import { MultiEndpointConfig } from "trunkline"
 *
 * const bad = MultiEndpointConfig.make([{ name: "default", endpoints: ["service:443"], switchingDelay: "soon" }])
 * Result.isFailure(bad) && bad.failure.path // => "[0].switchingDelay"
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (json: unknown): Result.Result<ReadonlyArray<List>, InvalidMultiEndpoints> =>
  Result.mapError(read(json), (issue) => {
    const { field, problem } = SchemaProblem.ofConfiguration(issue)[0]!
    return new InvalidMultiEndpoints({ path: field, problem })
  })

/**
 * Lists from a configuration value that holds JSON, for `MultiEndpoint.layerConfig`.
 *
 * @example
 * import { Config } from "effect"
 * import { MultiEndpoint, MultiEndpointConfig } from "trunkline"
 *
 * const Backends = MultiEndpoint.layerConfig({
 *   multiEndpoints: MultiEndpointConfig.config("BACKENDS"),
 *   warmUp: Config.Duration("WARM_UP")
 * })
 *
 * @category conversions
 * @since 0.1.0
 */
export const config = (name: string): Config.Config<ReadonlyArray<List>> =>
  Config.mapEffect(Config.schema(Schema.fromJsonString(Schema.Unknown), name), (json) =>
    Effect.mapError(
      Effect.fromResult(read(json)),
      (issue) => new Config.ConfigError(new Schema.SchemaError(new SchemaIssue.Pointer([name], issue)))
    )
  )
