/**
 * Several connections to one endpoint behind one peer.
 *
 * A server limits the calls on one HTTP/2 connection, and often serves one connection on one core. A channel pool is a
 * connector around a connector. Each connection it makes is a group of channels that grows and shrinks with the load. Peers,
 * pools and pickers see one connection, so any balancer works over it.
 *
 * The HTTP/2 connector can open further connections by itself (gRFC A105): it fills a connection up to the server's limit
 * before it opens the next, and calls wait meanwhile. A channel pool spreads calls over all connections by power of two
 * choices, opens connections before a limit is reached, and closes idle ones. A connection that fails gets fewer calls, an
 * unresponsive one is replaced, and a key can bind calls to one. It works over any connector.
 */
import { Clock, Config, Context, Effect, Layer, Option, Random, Scope } from "effect"
import * as Introspection from "../introspection/Introspection.ts"
import { Connector } from "../transport/Connector.ts"
import * as Affinity from "../affinity/Affinity.ts"
import * as ChannelGroupInvoker from "./ChannelGroupInvoker.ts"
import type { Channel } from "./Channel.ts"
import { ChannelGroup } from "./ChannelGroup.ts"
import * as ChannelPoolMetrics from "./ChannelPoolMetrics.ts"
import { type InvalidChannelPool, type Options, read } from "./ChannelPoolOptions.ts"
import * as Penalty from "./Penalty.ts"
import * as ChannelPoolSnapshot from "./ChannelPoolSnapshot.ts"
import type { ChannelSnapshot, Snapshot } from "./ChannelPoolSnapshot.ts"

/**
 * How many connections one endpoint has, and how calls are spread over them.
 *
 * @category models
 * @since 0.1.0
 */
export type { Options } from "./ChannelPoolOptions.ts"

/**
 * Invalid options; `field` names the option.
 *
 * @category errors
 * @since 0.1.0
 */
export { InvalidChannelPool } from "./ChannelPoolOptions.ts"

/**
 * The connections of one endpoint as they are now, and their counts.
 *
 * @category models
 * @since 0.1.0
 */
export type { ChannelSnapshot, Snapshot } from "./ChannelPoolSnapshot.ts"

/**
 * Shows the groups of connections.
 *
 * @category services
 * @since 0.1.0
 */
export class ChannelPool extends Context.Service<
  ChannelPool,
  { readonly snapshot: Effect.Effect<ReadonlyArray<Snapshot>> }
>()("trunkline/channelpool/ChannelPool") {}

const snapshotChannel = (group: ChannelGroup, channel: Channel): ChannelSnapshot => ({
  id: channel.id,
  ready: channel.isReady,
  draining: channel.draining,
  load: channel.load,
  calls: channel.calls,
  keys: channel.keys,
  penalty: Penalty.forPick(channel.penalty, group.settings.penalty, group.now)
})

const snapshot = (group: ChannelGroup): Snapshot => ({
  ...group.stats.totals,
  endpoint: group.endpoint.id,
  channels: [...group.active, ...group.draining.channels].map((channel) => snapshotChannel(group, channel)),
  size: group.active.length,
  max: group.settings.max,
  ready: group.active.filter((channel) => channel.isReady).length,
  load: group.load,
  keys: group.keys.size,
  fallbacks: group.keys.fallbacks,
  failedFallbacks: group.keys.failedFallbacks
})

/**
 * Makes a connector whose connections are groups of connections of the connector in the context, and the service that
 * shows them. An `Affinity` in the context binds the calls of a key to one connection of a group.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options?: Options
): Effect.fn.Return<
  { readonly connector: Connector["Service"]; readonly channelPool: ChannelPool["Service"] },
  InvalidChannelPool,
  Connector | Scope.Scope
> {
  const settings = yield* Effect.fromResult(read(options))
  const connector = yield* Connector
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const affinity = Option.getOrElse(yield* Effect.serviceOption(Affinity.Affinity), () => Affinity.none)
  const metrics = yield* ChannelPoolMetrics.make
  const groups = new Set<ChannelGroup>()

  const grouped = Connector.of({
    connect: Effect.fnUntraced(function* (endpoint) {
      // Connections close in parallel.
      const scope = yield* Scope.fork(yield* Effect.scope, "parallel")
      const recorder = metrics.recorderOf(endpoint)
      const { isHeld } = affinity
      const group = new ChannelGroup(endpoint, settings, { connector, clock, random, scope, isHeld, recorder })
      yield* Effect.acquireRelease(
        Effect.sync(() => groups.add(group)),
        () => Effect.sync(() => groups.delete(group))
      )
      yield* metrics.report(group)
      yield* affinity.join(group.keys)
      yield* group.run
      return {
        transport: ChannelGroupInvoker.make(group, affinity),
        connectivity: group.states,
        connect: group.connect
      }
    })
  })
  const service = ChannelPool.of({ snapshot: Effect.sync(() => [...groups].map(snapshot)) })
  const shown = Effect.map(service.snapshot, (groups) => groups.map(ChannelPoolSnapshot.make))
  yield* Introspection.register({ _tag: "ChannelPool", read: shown })
  return { connector: grouped, channelPool: service }
})

/**
 * Makes every connection of the connector below this layer a group of connections. An `Affinity` in the context binds the
 * calls of a key to one of them.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, ChannelPool, RoundRobin, StaticDiscovery } from "trunkline"
 * import { GrpcJsConnector } from "trunkline/grpc-js"
 *
 * const Backends = Balancer.layer({ discovery: StaticDiscovery.make(["10.0.0.1:50051"]), picker: RoundRobin.make() }).pipe(
 *   Layer.provide(ChannelPool.layer({ min: 2, max: 10, maxLoad: 25 })),
 *   Layer.provide(GrpcJsConnector.layer())
 * )
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Connector | ChannelPool, InvalidChannelPool, Connector> =>
  // Fresh, because it wraps the connector of the place where it is provided.
  Layer.fresh(
    Layer.effectContext(
      Effect.map(make(options), ({ channelPool, connector }) =>
        Context.make(Connector, connector).pipe(Context.add(ChannelPool, channelPool))
      )
    )
  )

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Connector | ChannelPool, InvalidChannelPool | Config.ConfigError, Connector> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
