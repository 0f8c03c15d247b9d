/**
 * What backends report of their load, for a picker that goes by it.
 *
 * A report comes with the answer of a call (`perCall`), or apart from calls at an interval (`outOfBand`). Either way it is
 * boiled down to what a weight is made of, and given to a `Sink`, such as the `Weights` of a `Weighted` picker.
 *
 * With each answer costs nothing more on the wire, and says little of a peer that has few calls; out of band is a stream
 * on every connection, and is independent of calls. One of them is enough.
 *
 * @see https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md
 * @see https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md
 */
import { Cause, Clock, type Duration, Effect, Exit, Schedule, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as CallObserver from "../call/CallObserver.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import type * as Metadata from "../call/Metadata.ts"
import { connectionBackoff, type Peer } from "../peer/Peer.ts"
import type * as Signal from "../signals/Signal.ts"
import type { RpcError } from "../status/RpcError.ts"
import * as LoadReport from "./LoadReport.ts"
import * as PerConnection from "./PerConnection.ts"
import * as ServerLoad from "./ServerLoad.ts"

/**
 * A report in three numbers: queries and errors per second, and how much of the backend that takes; 1 is all of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Summary {
  readonly queriesPerSecond: number
  readonly errorsPerSecond: number
  readonly utilization: number
}

/**
 * Who wants to know: of a peer by its id, at an instant in milliseconds of the monotonic clock. `Weights` is one.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sink {
  readonly report: (peer: string, summary: Summary, now: number) => void
}

/**
 * How reports are read.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The metrics whose largest is the utilization of a backend that does not reckon its own: `cpu_utilization`,
   * `mem_utilization`, `utilization.<name>`, `named_metrics.<name>`. Default `cpu_utilization`, which is also what counts
   * if a report has none of them.
   */
  readonly metrics?: ReadonlyArray<string> | undefined
}

const valueOf = (report: LoadReport.LoadReport, metric: string): number => {
  if (metric === "cpu_utilization") return report.cpuUtilization
  if (metric === "mem_utilization") return report.memoryUtilization
  if (metric === "application_utilization") return report.applicationUtilization
  const dot = metric.indexOf(".")
  const [map, name] = [metric.slice(0, dot), metric.slice(dot + 1)]
  const values = map === "utilization" ? report.utilization : map === "named_metrics" ? report.namedMetrics : undefined
  return values !== undefined && Object.hasOwn(values, name) ? values[name]! : 0
}

/**
 * Boils a report down: its application utilization if it has one, or else the largest of the metrics.
 *
 * @example
 * import { LoadReport, ReportedLoad } from "trunkline"
 *
 * const report = { ...LoadReport.empty, cpuUtilization: 0.2, utilization: { disk: 0.7 } }
 * ReportedLoad.summarize(report).utilization // => 0.2
 * ReportedLoad.summarize(report, { metrics: ["cpu_utilization", "utilization.disk"] }).utilization // => 0.7
 *
 * @see https://github.com/grpc/proposal/blob/master/A114-weighted-round-robin-custom-metrics.md
 * @category getters
 * @since 0.1.0
 */
export const summarize = (report: LoadReport.LoadReport, options?: Options): Summary => {
  const largest = Math.max(0, ...(options?.metrics ?? []).map((metric) => valueOf(report, metric)))
  return {
    queriesPerSecond: report.requestsPerSecond,
    errorsPerSecond: report.errorsPerSecond,
    utilization: report.applicationUtilization || largest || report.cpuUtilization
  }
}

/**
 * Hears the reports that come with answers, of calls that succeed and of calls that fail. It belongs in front of the
 * pool, where attempts are seen (`Transport.intercept`).
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, ReportedLoad, StaticDiscovery, Transport, Weighted } from "trunkline"
 * import { Weights } from "trunkline/extend"
 *
 * const weights = Weights.make()
 * const Backends = Transport.intercept(ReportedLoad.perCall(weights)).pipe(
 *   Layer.provide(
 *     Balancer.layer({
 *       discovery: StaticDiscovery.make(["a:50051", "b:50051"]),
 *       picker: Weighted.make({ reports: weights })
 *     })
 *   )
 * )
 *
 * @category interceptors
 * @since 0.1.0
 */
export const perCall = (sink: Sink, options?: Options): Interceptor => {
  const hear = (call: Call, trailers: Metadata.Metadata): void => {
    const report = LoadReport.get(trailers)
    if (report === undefined || call.peer === undefined) return
    sink.report(call.peer, summarize(report, options), Deadline.nowUnsafe(call.clock))
  }
  const hearFailure = (call: Call, cause: Cause.Cause<RpcError>): void => {
    const failure = cause.reasons.find(Cause.isFailReason)
    if (failure !== undefined) hear(call, failure.error.trailers)
  }
  return {
    unary: (next) => (method, request, call) =>
      Effect.onExitPrimitive(next(method, request, call), (exit) => {
        if (Exit.isSuccess(exit)) hear(call, exit.value.trailers)
        else hearFailure(call, exit.cause)
        return undefined
      }),
    stream: (next) => (method, requests, call) =>
      CallObserver.onStreamEnd(next(method, requests, call), (exit) =>
        Exit.isSuccess(exit)
          ? Effect.ignore(Effect.map(exit.value.trailers, (trailers) => hear(call, trailers)))
          : Effect.sync(() => hearFailure(call, exit.cause))
      )
  }
}

/**
 * Asks each server for its load at an interval (default 10 seconds; the server may make it longer), on each connection.
 * A signal that speaks against nobody. A server that does not report is not asked again before it has a new connection; a
 * watch that broke is taken up again with the backoff of connections.
 *
 * @example
 * import { Balancer, ReportedLoad, StaticDiscovery, Weighted } from "trunkline"
 * import { Weights } from "trunkline/extend"
 *
 * const weights = Weights.make()
 * const Backends = Balancer.layer({
 *   discovery: StaticDiscovery.make(["a:50051", "b:50051"]),
 *   picker: Weighted.make({ reports: weights }),
 *   signals: [ReportedLoad.outOfBand(weights, { interval: "5 seconds" })]
 * })
 *
 * @category signals
 * @since 0.1.0
 */
export const outOfBand = (
  sink: Sink,
  options?: Options & {
    readonly interval?: Duration.Input | undefined
    /** Delays between tries to watch again. Default `Peer.connectionBackoff`. */
    readonly backoff?: Schedule.Schedule<unknown, RpcError> | undefined
  }
): Signal.Signal => ({
  name: "reported load",
  make: Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const hear = (peer: Peer) => (report: LoadReport.LoadReport) =>
      Effect.sync(() => sink.report(peer.id, summarize(report, options), Deadline.nowUnsafe(clock)))

    const watches = yield* PerConnection.make((peer) =>
      ServerLoad.watch(options?.interval ?? "10 seconds").pipe(
        Stream.tap(hear(peer)),
        Stream.retry(
          Schedule.while(options?.backoff ?? connectionBackoff, ({ input }) => input.code !== "UNIMPLEMENTED")
        ),
        Stream.runDrain,
        Effect.ignore
      )
    )
    return {
      observe: undefined,
      verdicts: (peers) =>
        Stream.drain(Stream.mapEffect(peers, (now) => Effect.andThen(watches.forget(now), watches.begin(now))))
    }
  })
})
