/**
 * Load reports apart from calls: the service `xds.service.orca.v3.OpenRcaService`, on both sides.
 *
 * What a server says with its calls is only heard by who calls it, and late where calls are long. So it may also be asked
 * for a report at an interval. Reports are always whole: the load now, changed or not, and a report that is lost costs
 * nothing. The client names the interval and the server has a minimum, so that no client makes it work.
 *
 * What a single call cost has no place here; `LoadReport.record` says it with the call.
 *
 * @see https://github.com/grpc/proposal/blob/master/A51-custom-backend-metrics.md
 */
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt"
import { Context, Deferred, Duration, Effect, Layer, type Scope, Stream } from "effect"
import * as Client from "../client/Client.ts"
import * as Handlers from "../server/Handlers.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Transport } from "../transport/Transport.ts"
import { OpenRcaService } from "./gen/xds/service/orca/v3/orca_pb.ts"
import * as LoadReport from "./LoadReport.ts"

/**
 * The service `xds.service.orca.v3.OpenRcaService`, for clients and servers of your own, and for reflection.
 *
 * @category descriptions
 * @since 0.1.0
 */
export { OpenRcaService as v3 } from "./gen/xds/service/orca/v3/orca_pb.ts"

/**
 * Metrics of a server as a whole.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = Omit<LoadReport.Input, "requestCost">

/**
 * The load of a server.
 *
 * @category services
 * @since 0.1.0
 */
export class ServerLoad extends Context.Service<
  ServerLoad,
  {
    readonly report: Effect.Effect<LoadReport.LoadReport>
    /** Says some metrics anew; the others stay. */
    readonly update: (input: Input) => Effect.Effect<void, LoadReport.MetricError>
    /** Says all that is known; what is left out is not known any more. */
    readonly replace: (input: Input) => Effect.Effect<void, LoadReport.MetricError>
    /** The report now and after each interval. Ends with `shutdown`. */
    readonly watch: (interval: Duration.Input) => Stream.Stream<LoadReport.LoadReport>
    /** Ends every watch, so that none of them holds up a server that waits for its calls. */
    readonly shutdown: Effect.Effect<void>
  }
>()("trunkline/services/ServerLoad") {}

/**
 * Makes the load of a server. When the scope closes, it shuts down.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  input: Input = {}
): Effect.fn.Return<ServerLoad["Service"], LoadReport.MetricError, Scope.Scope> {
  let current = yield* Effect.fromResult(LoadReport.make(input))
  const stopped = yield* Deferred.make<void>()
  const shutdown = Effect.asVoid(Deferred.succeed(stopped, undefined))
  yield* Effect.addFinalizer(() => shutdown)

  const change = (from: () => LoadReport.LoadReport) => (input: Input) =>
    Effect.suspend(() =>
      Effect.map(Effect.fromResult(LoadReport.update(from(), input)), (report) => {
        current = report
      })
    )
  return ServerLoad.of({
    report: Effect.sync(() => current),
    update: change(() => current),
    replace: change(() => LoadReport.empty),
    watch: (interval) =>
      Stream.tick(interval).pipe(
        Stream.map(() => current),
        Stream.interruptWhen(Deferred.await(stopped))
      ),
    shutdown
  })
})

/**
 * Provides the load of a server.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input?: Input): Layer.Layer<ServerLoad, LoadReport.MetricError> =>
  Layer.effect(ServerLoad, make(input))

/**
 * Answers `StreamCoreMetrics` from the `ServerLoad` of the context. After `shutdown`, and so when the server drains, a
 * watch ends with `UNAVAILABLE`.
 *
 * @example
 * import { Layer } from "effect"
 * import { ServerLoad } from "trunkline"
 * import { Http2Server } from "trunkline/http2"
 *
 * const Server = Http2Server.layer({ handlers: [ServerLoad.handlers({ minInterval: "10 seconds" })] }).pipe(
 *   Layer.provide(ServerLoad.layer({ cpuUtilization: 0.5 }))
 * )
 *
 * @category handlers
 * @since 0.1.0
 */
export const handlers = (options?: {
  /** Who asks for less, or for nothing, gets a report this often. Default 30 seconds. */
  readonly minInterval?: Duration.Input | undefined
}): Handlers.Handlers<ServerLoad> => {
  const minMillis = Duration.toMillis(options?.minInterval ?? "30 seconds")
  return Handlers.make(
    OpenRcaService,
    {
      streamCoreMetrics: ({ reportInterval }) =>
        Stream.unwrap(
          Effect.map(ServerLoad, (load) =>
            load
              .watch(Math.max(minMillis, reportInterval === undefined ? 0 : durationMs(reportInterval)))
              .pipe(
                Stream.map(LoadReport.toMessage),
                Stream.concat(Stream.fail(RpcError.make("UNAVAILABLE", "the server is shutting down")))
              )
          )
        )
    },
    { drain: ServerLoad.use((load) => load.shutdown) }
  )
}

/** Ten thousand years, the longest protobuf has. */
const maxMillis = 315_576_000_000_000

/**
 * Watches the load of a server: the report now, and one after each interval, which the server may make longer. Ends only by
 * failing: with `UNIMPLEMENTED` by a server that does not report, which should not be asked again.
 *
 * @example
 * import { Stream } from "effect"
 * import { ServerLoad } from "trunkline"
 *
 * const cpu = ServerLoad.watch("10 seconds").pipe(Stream.map((report) => report.cpuUtilization))
 *
 * @category client
 * @since 0.1.0
 */
export const watch = (interval: Duration.Input): Stream.Stream<LoadReport.LoadReport, RpcError.RpcError, Transport> => {
  const reportInterval = durationFromMs(Math.min(maxMillis, Math.ceil(Duration.toMillis(interval))))
  return Stream.unwrap(
    Effect.map(Client.make(OpenRcaService), (client) =>
      Stream.map(client.streamCoreMetrics({ reportInterval }), LoadReport.fromMessage)
    )
  )
}
