/**
 * The configuration file of Google's clients for channel pools and affinity (grpc-gcp's `ApiConfig`, as JSON).
 *
 * It says how many channels there are, when there are more, and which methods bind, use and unbind keys. Names may be as in
 * the proto file or in camel case, as JSON of protobuf allows. What is not written is not 0: a pool without a watermark gets
 * the usual one, where a reader that takes the missing number for 0 opens a channel for every call.
 *
 * @see https://github.com/GoogleCloudPlatform/grpc-gcp-go/blob/main/grpcgcp/grpc_gcp/grpc_gcp.proto
 */
import { type Config, Data, Effect, Layer, Result, Schema, String } from "effect"
import * as PolicyJson from "../policy/PolicyJson.ts"
import type { Connector } from "../transport/Connector.ts"
import * as Affinity from "../affinity/Affinity.ts"
import * as ChannelPool from "../channelpool/ChannelPool.ts"

/**
 * A configuration file that is wrong. `problems` are all there are, with paths such as `method[0].affinity.command`.
 *
 * @category errors
 * @since 0.1.0
 */
export class ApiConfigError extends Data.TaggedError("ApiConfigError")<{
  readonly problems: ReadonlyArray<PolicyJson.Problem>
}> {
  override get message(): string {
    return `the API config is wrong: ${this.problems.map(({ path, problem }) => `${path} ${problem}`).join("; ")}`
  }
}

/**
 * What a file says, in the words of `ChannelPool` and `Affinity`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ApiConfig {
  readonly channelPool: ChannelPool.Options
  readonly affinity: Pick<Affinity.Options, "onBind"> & { readonly methods: ReadonlyArray<Affinity.MethodAffinity> }
}

/** The JSON of protobuf writes 64-bit numbers as strings. */
const Count = Schema.Union([Schema.Int, Schema.NumberFromString.pipe(Schema.check(Schema.isInt()))]).pipe(
  Schema.check(Schema.isGreaterThanOrEqualTo(0))
)

const File = Schema.Struct({
  channelPool: Schema.optional(
    Schema.Struct({
      maxSize: Schema.optional(Count),
      minSize: Schema.optional(Count),
      maxConcurrentStreamsLowWatermark: Schema.optional(Count),
      fallbackToReady: Schema.optional(Schema.Boolean),
      unresponsiveDetectionMs: Schema.optional(Count),
      unresponsiveCalls: Schema.optional(Count),
      bindPickStrategy: Schema.optional(Schema.Literals(["UNSPECIFIED", "LEAST_ACTIVE_STREAMS", "ROUND_ROBIN"])),
      // Accepted and ignored, as by grpc-gcp.
      idleTimeout: Schema.optional(Count)
    })
  ),
  method: Schema.optional(
    Schema.Array(
      Schema.Struct({
        name: Schema.Array(Schema.NonEmptyString),
        affinity: Schema.optional(
          Schema.Struct({
            command: Schema.Literals(["BIND", "BOUND", "UNBIND"]),
            affinityKey: Schema.NonEmptyString
          })
        )
      })
    )
  )
})

const camelCase = (json: unknown): unknown =>
  Array.isArray(json)
    ? json.map(camelCase)
    : typeof json === "object" && json !== null
      ? Object.fromEntries(Object.entries(json).map(([key, value]) => [String.snakeToCamel(key), camelCase(value)]))
      : json

type Pool = NonNullable<(typeof File)["Type"]["channelPool"]>

const unresponsive = ({ unresponsiveCalls, unresponsiveDetectionMs }: Pool) =>
  unresponsiveCalls !== undefined &&
  unresponsiveCalls > 0 &&
  unresponsiveDetectionMs !== undefined &&
  unresponsiveDetectionMs > 0
    ? { failures: unresponsiveCalls, silence: unresponsiveDetectionMs }
    : undefined

const poolOf = (pool: Pool): ChannelPool.Options => {
  const { fallbackToReady, maxConcurrentStreamsLowWatermark: watermark, maxSize, minSize } = pool
  // No size, as proto3 writes it, is the usual one.
  const max = maxSize === undefined || maxSize === 0 ? 10 : maxSize
  const common = {
    max,
    unresponsive: unresponsive(pool),
    whenHomeNotReady: fallbackToReady === undefined ? undefined : fallbackToReady ? "fallback" : "fail"
  } as const
  // Written as 0, every call opens another until there are no more: all of them from the start.
  return watermark === 0
    ? { ...common, min: max, initial: max }
    : { ...common, min: minSize === undefined ? undefined : Math.max(1, minSize), maxLoad: watermark }
}

const read = PolicyJson.exact(File, camelCase)

const settingsOf = ({ channelPool, method }: typeof File.Type): ApiConfig => ({
  channelPool: channelPool === undefined ? {} : poolOf(channelPool),
  affinity: {
    onBind: channelPool?.bindPickStrategy === "ROUND_ROBIN" ? "round_robin" : undefined,
    methods: (method ?? []).flatMap(({ affinity, name }) =>
      affinity === undefined
        ? []
        : name.map((method) => ({ method, command: affinity.command, key: affinity.affinityKey }))
    )
  }
})

/**
 * Reads a configuration file from JSON, parsed or as text.
 *
 * @example
 * import { Result } from "effect"
 * import { ApiConfig } from "trunkline/google"
 *
 * const { affinity, channelPool } = Result.getOrThrow(
 *   ApiConfig.make({
 *     channelPool: { maxSize: 4 },
 *     method: [{ name: ["shop.Carts/Open"], affinity: { command: "BIND", affinityKey: "cart.name" } }]
 *   })
 * )
 * channelPool.max // => 4
 * affinity.methods // => [{ method: "shop.Carts/Open", command: "BIND", key: "cart.name" }]
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: unknown): Result.Result<ApiConfig, ApiConfigError> =>
  Result.mapBoth(read(input), {
    onSuccess: settingsOf,
    onFailure: (problems) => new ApiConfigError({ problems })
  })

/**
 * The channel pool and the affinity of a file, over the connector below this layer. `services` are those the methods of the
 * file belong to.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  input: unknown,
  services: ReadonlyArray<Affinity.ServiceDescriptor>
): Layer.Layer<
  Connector | ChannelPool.ChannelPool | Affinity.Affinity,
  ApiConfigError | Affinity.InvalidAffinity | ChannelPool.InvalidChannelPool,
  Connector
> =>
  Layer.unwrap(
    Effect.map(Effect.fromResult(make(input)), ({ affinity, channelPool }) =>
      ChannelPool.layer(channelPool).pipe(Layer.provideMerge(Affinity.layer({ ...affinity, services })))
    )
  )

/**
 * `layer` with the text of the file read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  config: Config.Config<string>,
  services: ReadonlyArray<Affinity.ServiceDescriptor>
): Layer.Layer<
  Connector | ChannelPool.ChannelPool | Affinity.Affinity,
  ApiConfigError | Config.ConfigError | Affinity.InvalidAffinity | ChannelPool.InvalidChannelPool,
  Connector
> => Layer.unwrap(Effect.map(config, (text) => layer(text, services)))
