/**
 * How loaded a server is, in its own words: the report of ORCA (Open Request Cost Aggregation).
 *
 * A client sees latency and its own calls; only the server knows its processors, its memory and what a call cost it. So a
 * server may say it, in the trailers of each call (`record`, read with `get`) or apart from calls (`ServerLoad`), and a
 * balancer may give less to who has less to spare.
 *
 * Every metric is optional, and on the wire 0 is the same as not said. What a program reports is checked and an error names
 * the metric; what another process reported is read without failing, and a metric out of its range is not there.
 *
 * @see https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md
 */
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf"
import { Data, Effect, Function, Option, Result } from "effect"
import * as Metadata from "../call/Metadata.ts"
import * as MetadataKey from "../call/MetadataKey.ts"
import type { ServerCall } from "../server/ServerCall.ts"
import * as RpcError from "../status/RpcError.ts"
import { type OrcaLoadReport, OrcaLoadReportSchema } from "./gen/xds/data/orca/v3/orca_load_report_pb.ts"

/**
 * What a server says of its load.
 *
 * @category models
 * @since 0.1.0
 */
export interface LoadReport {
  /** A share of the processors there are; above 1 when there is more to do than they can. */
  readonly cpuUtilization: number
  /** A share of the memory there is, at most 1. */
  readonly memoryUtilization: number
  /** A share of what the server can do, by its own reckoning; may be above 1. */
  readonly applicationUtilization: number
  /** Calls it serves each second, of every client. */
  readonly requestsPerSecond: number
  /** Calls that fail each second. */
  readonly errorsPerSecond: number
  /** What one call cost, by a name and in a unit of the server's own. */
  readonly requestCost: Readonly<Record<string, number>>
  /** Shares of other resources, at most 1 each. */
  readonly utilization: Readonly<Record<string, number>>
  /** Anything else. */
  readonly namedMetrics: Readonly<Record<string, number>>
}

/**
 * Some metrics of a report. Those left out are not said, or stay as they are.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = { readonly [K in keyof LoadReport]?: LoadReport[K] | undefined }

/**
 * A metric that cannot be what it is said to be.
 *
 * @category errors
 * @since 0.1.0
 */
export class MetricError extends Data.TaggedError("MetricError")<{
  /** As in `memoryUtilization` or `requestCost.disk`. */
  readonly metric: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.metric}: ${this.problem}`
  }
}

interface Range {
  readonly name: string
  readonly has: (value: number) => boolean
}

const amount: Range = { name: "0 or more", has: (value) => value >= 0 && value < Infinity }
const share: Range = { name: "between 0 and 1", has: (value) => value >= 0 && value <= 1 }
const any: Range = { name: "finite", has: Number.isFinite }

const single = {
  cpuUtilization: amount,
  memoryUtilization: share,
  applicationUtilization: amount,
  requestsPerSecond: amount,
  errorsPerSecond: amount
} as const

const named = { requestCost: any, utilization: share, namedMetrics: any } as const

const singles = Object.entries(single) as ReadonlyArray<[keyof typeof single, Range]>
const nameds = Object.entries(named) as ReadonlyArray<[keyof typeof named, Range]>

/** Each metric that is said: its name, its value and what it may be. */
const metricsOf = (input: Input): ReadonlyArray<readonly [metric: string, value: number, range: Range]> => [
  ...singles.flatMap(([key, range]) => (input[key] === undefined ? [] : [[key, input[key], range] as const])),
  ...nameds.flatMap(([key, range]) =>
    Object.entries(input[key] ?? {}).map(([name, value]) => [`${key}.${name}`, value, range] as const)
  )
]

/**
 * A report of nothing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: LoadReport = {
  cpuUtilization: 0,
  memoryUtilization: 0,
  applicationUtilization: 0,
  requestsPerSecond: 0,
  errorsPerSecond: 0,
  requestCost: {},
  utilization: {},
  namedMetrics: {}
}

const changed = (self: LoadReport, input: Input): LoadReport => {
  const said = Object.fromEntries(
    Object.entries(input).filter(([, value]) => value !== undefined)
  ) as Partial<LoadReport>
  return {
    ...self,
    ...said,
    requestCost: { ...self.requestCost, ...input.requestCost },
    utilization: { ...self.utilization, ...input.utilization },
    namedMetrics: { ...self.namedMetrics, ...input.namedMetrics }
  }
}

/**
 * A report with some metrics said anew. A named one replaces that of the same name.
 *
 * @category combinators
 * @since 0.1.0
 */
export const update: {
  (input: Input): (self: LoadReport) => Result.Result<LoadReport, MetricError>
  (self: LoadReport, input: Input): Result.Result<LoadReport, MetricError>
} = Function.dual(2, (self: LoadReport, input: Input): Result.Result<LoadReport, MetricError> => {
  const wrong = metricsOf(input).find(([, value, range]) => !range.has(value))
  if (wrong === undefined) return Result.succeed(changed(self, input))
  const [metric, value, range] = wrong
  return Result.fail(new MetricError({ metric, problem: `${value} is not ${range.name}` }))
})

/**
 * Makes a report, checking every metric.
 *
 * @example
 * import { Result } from "effect"
 * import { LoadReport } from "trunkline"
 *
 * const report = Result.getOrThrow(LoadReport.make({ cpuUtilization: 0.8, requestCost: { rows: 3456 } }))
 * report.cpuUtilization // => 0.8
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: Input): Result.Result<LoadReport, MetricError> => update(empty, input)

/** The report as it travels. @internal */
export const toMessage = (self: LoadReport): MessageInitShape<typeof OrcaLoadReportSchema> => ({
  cpuUtilization: self.cpuUtilization,
  memUtilization: self.memoryUtilization,
  applicationUtilization: self.applicationUtilization,
  rpsFractional: self.requestsPerSecond,
  eps: self.errorsPerSecond,
  requestCost: self.requestCost,
  utilization: self.utilization,
  namedMetrics: self.namedMetrics
})

const within = (range: Range, values: Readonly<Record<string, number>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => range.has(value)))

/** A report that travelled, without the metrics that cannot be. @internal */
export const fromMessage = (message: OrcaLoadReport): LoadReport => {
  const one = (range: Range, value: number): number => (range.has(value) ? value : 0)
  return {
    cpuUtilization: one(single.cpuUtilization, message.cpuUtilization),
    memoryUtilization: one(single.memoryUtilization, message.memUtilization),
    applicationUtilization: one(single.applicationUtilization, message.applicationUtilization),
    // Servers from before the fraction say whole requests.
    requestsPerSecond: one(single.requestsPerSecond, message.rpsFractional || Number(message.rps)),
    errorsPerSecond: one(single.errorsPerSecond, message.eps),
    requestCost: within(named.requestCost, message.requestCost),
    utilization: within(named.utilization, message.utilization),
    namedMetrics: within(named.namedMetrics, message.namedMetrics)
  }
}

/**
 * The trailer a call's report travels in.
 *
 * @category keys
 * @since 0.1.0
 */
export const key: MetadataKey.MetadataKey<LoadReport> = MetadataKey.make("endpoint-load-metrics-bin", {
  expected: OrcaLoadReportSchema.typeName,
  encode: (report: LoadReport) => toBinary(OrcaLoadReportSchema, create(OrcaLoadReportSchema, toMessage(report))),
  decode: (value) => [fromMessage(fromBinary(OrcaLoadReportSchema, value as Uint8Array))]
})

/**
 * The report in the trailers of a call, whether it succeeded or not; `undefined` if there is none, or none that can be
 * read.
 *
 * @example
 * import { Metadata, LoadReport } from "trunkline"
 *
 * const trailers = Metadata.of(LoadReport.key, { ...LoadReport.empty, cpuUtilization: 0.8 })
 * LoadReport.get(trailers)?.cpuUtilization // => 0.8
 *
 * @category getters
 * @since 0.1.0
 */
export const get = (trailers: Metadata.Metadata): LoadReport | undefined =>
  Option.getOrUndefined(Result.getOrElse(Metadata.last(trailers, key), () => Option.none()))

/**
 * Reports metrics with the call that is being served, at any time before it ends. What is recorded again replaces. A
 * metric that cannot be fails as `INTERNAL` and names it.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Handlers, LoadReport, Service } from "trunkline"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * const EchoHandlers = Handlers.make(Echo, {
 *   say: (text, call) => Effect.as(LoadReport.record(call, { requestCost: { letters: text.length } }), text)
 * })
 *
 * @category recording
 * @since 0.1.0
 */
export const record = (call: ServerCall, input: Input): Effect.Effect<void, RpcError.RpcError> =>
  Effect.suspend(() =>
    Result.match(update(get(call.trailers) ?? empty, input), {
      onFailure: (cause) => Effect.fail(RpcError.make("INTERNAL", cause.message, { cause })),
      onSuccess: (report) => call.setTrailers(Metadata.of(key, report))
    })
  )
