/**
 * Failover between endpoints of a service, and groups of endpoints for different kinds of calls.
 *
 * A multi-endpoint is a named list of endpoints in order of priority. A call goes to the list it names, or to the first, and
 * there to the current endpoint: the available one of the highest priority, with time to recover before another takes over
 * and a delay before going back, so that one flap does not move every call twice. When nothing is available calls stay with
 * the endpoint they last used. Each endpoint is a pool of its own, shared by the lists that name it.
 *
 * `MultiEndpointState` is the state machine of a list, `Driver` runs it, and `Lists` replaces lists and pools.
 */
import { Clock, Config, Context, Duration, Effect, FiberSet, Layer, PubSub, Random, Scope, Stream } from "effect"
import type { Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import { authorityOf, type Endpoint } from "../discovery/Endpoint.ts"
import * as Target from "../discovery/Target.ts"
import type { PickerPolicy } from "../picker/Picker.ts"
import * as Introspection from "../introspection/Introspection.ts"
import * as PowerOfTwo from "../picker/PowerOfTwo.ts"
import type * as Interceptor from "../call/Interceptor.ts"
import type { Code } from "../status/Code.ts"
import type { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import * as MultiEndpointInvoker from "./MultiEndpointInvoker.ts"
import type { InvalidMultiEndpoints, UnknownMultiEndpoint } from "./MultiEndpointError.ts"
import type { List } from "./PriorityList.ts"
import { Lists } from "./Lists.ts"
import type * as Pools from "./EndpointPools.ts"
import * as Probe from "./Probe.ts"
import * as Reading from "./SnapshotSource.ts"
import type { Driver } from "./Driver.ts"
import * as Snapshot from "./MultiEndpointSnapshot.ts"

/**
 * How the pools of endpoints are made.
 *
 * @category models
 * @since 0.1.0
 */
export type { Options as PoolOptions } from "./EndpointPools.ts"

/**
 * A named list of endpoints, an endpoint of it, and the error rate at which it is left.
 *
 * @category models
 * @since 0.1.0
 */
export type { Backend, ErrorRateOptions, List } from "./PriorityList.ts"

/**
 * The lists and pools as they are now, and a switch from one endpoint to another.
 *
 * @category models
 * @since 0.1.0
 */
export type { ListSnapshot, PoolSnapshot, Snapshot, Switch } from "./MultiEndpointSnapshot.ts"

/**
 * The availability of an endpoint, and the reason of a switch.
 *
 * @category models
 * @since 0.1.0
 */
export type { Availability, Reason } from "./MultiEndpointState.ts"

/**
 * Lists that cannot be used, and a name that no list has.
 *
 * @category errors
 * @since 0.1.0
 */
export { InvalidMultiEndpoints, UnknownMultiEndpoint } from "./MultiEndpointError.ts"

/**
 * What a multi-endpoint transport is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R = never> extends Omit<Pools.Options<R>, "discovery" | "picker"> {
  /** The first is the default. */
  readonly multiEndpoints: ReadonlyArray<List>
  /** What becomes of a call that names no list there is: it fails, or goes to the default list. Default `fail`. */
  readonly unknownName?: "fail" | "default" | undefined
  /** The port of addresses that name none. Default 443. */
  readonly port?: number | undefined
  /** The peers of an endpoint. Default every address of its name; a Unix socket is itself the peer. */
  readonly discovery?: ((endpoint: Endpoint) => Discovery<R>) | undefined
  /** Picks among the peers of one endpoint. Default power of two choices. */
  readonly picker?: PickerPolicy | undefined
  /** How long an update waits for new endpoints to be ready before it takes effect without them. Default 5 seconds. */
  readonly warmUp?: Duration.Input | undefined
  /** The codes that count as failures for error rates. Default unavailable, deadline exceeded, unauthenticated. */
  readonly failureCodes?: ReadonlyArray<Code> | undefined
  /** Probes an endpoint that was left for its error rate; succeeds if it serves. Default a health check. */
  readonly probe?: Effect.Effect<unknown, unknown, Transport> | undefined
}

/**
 * The lists of a transport, to be looked at, followed and replaced.
 *
 * @category services
 * @since 0.1.0
 */
export class MultiEndpoint extends Context.Service<
  MultiEndpoint,
  {
    /**
     * Replaces the lists. Lists are matched by name and endpoints by address: what is in both goes on untouched, with its
     * new timings and credentials; what is new is ready, or has had its time to become so, before it is used; what is gone
     * drains, then closes. Lists that are wrong change nothing. Updates take effect one after another.
     */
    readonly update: (lists: ReadonlyArray<List>) => Effect.Effect<void, InvalidMultiEndpoints | DiscoveryError>
    /** The names of the lists, the default first. */
    readonly names: Effect.Effect<ReadonlyArray<string>>
    /** The id of the current endpoint, `host:port`, of a list or of the default one. */
    readonly current: (name?: string) => Effect.Effect<string, UnknownMultiEndpoint>
    /** The authority of the current endpoint of the default list. */
    readonly authority: Effect.Effect<string>
    /** The authority of the current endpoint of a list. */
    readonly authorityFor: (name: string) => Effect.Effect<string, UnknownMultiEndpoint>
    /** Every switch from now on. A reader that falls far behind misses the oldest. */
    readonly switches: Stream.Stream<Snapshot.Switch>
    readonly snapshot: Effect.Effect<Snapshot.Snapshot>
  }
>()("trunkline/multiendpoint/MultiEndpoint") {}

/** The number of switches buffered for a slow reader. */
const switchBuffer = 256

const codes: ReadonlyArray<Code> = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAUTHENTICATED"]

const peersOf = (endpoint: Endpoint): Discovery => Target.discovery(endpoint.id)

/**
 * Makes the invoker of named lists of endpoints, and the service that shows and replaces the lists. Connects at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: Options<R>
): Effect.fn.Return<
  { readonly invoker: Interceptor.Invoker; readonly multiEndpoint: MultiEndpoint["Service"] },
  InvalidMultiEndpoints | DiscoveryError,
  R | Connector | Scope.Scope
> {
  const clock = yield* Clock.Clock
  const outer = yield* Effect.scope
  const poolScope = yield* Scope.fork(outer, "parallel")
  const listScope = yield* Scope.fork(outer)
  const switches = yield* PubSub.sliding<Snapshot.Switch>(switchBuffer)
  const history = new Reading.SwitchHistory()

  const lists = new Lists<R>(
    {
      ...options,
      port: options.port ?? 443,
      discovery: options.discovery ?? peersOf,
      picker: options.picker ?? PowerOfTwo.make(),
      failureCodes: options.failureCodes ?? codes,
      probe: options.probe ?? Probe.health
    },
    {
      clock,
      random: yield* Random.Random,
      context: yield* Effect.context<R | Connector>(),
      poolScope,
      listScope,
      fork: yield* Scope.provide(FiberSet.makeRuntime<never, void, never>(), listScope),
      switched: (multiEndpoint, { from, reason, to }, authority) => {
        const next = { multiEndpoint, from, to, authority, reason, at: clock.currentTimeMillisUnsafe() }
        history.add(next)
        PubSub.publishUnsafe(switches, next)
      }
    }
  )
  yield* lists.update(options.multiEndpoints, 0)

  const service = serviceOf(lists, switches, Duration.toMillis(options.warmUp ?? "5 seconds"))
  const shown = Effect.map(service.snapshot, ({ multiEndpoints }) =>
    Reading.make(multiEndpoints, history, clock.currentTimeMillisUnsafe())
  )
  yield* Introspection.register({ _tag: "MultiEndpoint", read: shown })
  return { invoker: MultiEndpointInvoker.make(lists, options.unknownName === "default"), multiEndpoint: service }
})

/** The lists as a program sees and replaces them. */
const serviceOf = <R>(
  lists: Lists<R>,
  switches: PubSub.PubSub<Snapshot.Switch>,
  warmUp: number
): MultiEndpoint["Service"] => {
  const listed = (name: string | undefined) =>
    Effect.suspend(() => {
      const list = lists.find(name)
      return list === undefined ? Effect.fail(lists.unknown(name!)) : Effect.succeed(list)
    })
  const authorityIn = (list: Driver): string => authorityOf(lists.poolOf(list).endpoint)

  return MultiEndpoint.of({
    update: (next) => lists.update(next, warmUp),
    names: Effect.sync(() => lists.all.map(({ name }) => name)),
    current: (name) => Effect.map(listed(name), ({ state }) => state.current),
    authority: Effect.sync(() => authorityIn(lists.find(undefined)!)),
    authorityFor: (name) => Effect.map(listed(name), authorityIn),
    switches: Stream.fromPubSub(switches),
    snapshot: Effect.sync(() => ({
      multiEndpoints: lists.all.map(Snapshot.ofList),
      pools: [...lists.pools.byId.values()].map((pool) => Snapshot.ofPool(pool, lists.callCounts.of(pool.endpoint.id)))
    }))
  })
}

/**
 * Provides the transport of the clients above it, over named lists of endpoints, and the service that shows and replaces
 * the lists. Connects at once, because whether an endpoint is available must be known before a call needs it.
 *
 * A call waits as `CallOptions` says, and what counts is the current endpoint of its list: when every peer of that one is
 * down it fails as `UNAVAILABLE`, also while another endpoint still connects or the current one has time to recover. A retry
 * goes where calls go by then.
 *
 * @example
 * import { Effect, Layer } from "effect"
 * import { CallOptions, MultiEndpoint } from "trunkline"
 * import { GrpcJsConnector } from "trunkline/grpc-js"
 *
 * const Backends = MultiEndpoint.layer({
 *   multiEndpoints: [
 *     { name: "default", endpoints: ["service:443", "service-fallback:443"], recoveryTimeout: "1 second" },
 *     { name: "read", endpoints: ["ro-service:443", "service-fallback:443", "service:443"] }
 *   ]
 * }).pipe(Layer.provide(GrpcJsConnector.layer()))
 *
 * const fromReplica = CallOptions.withMultiEndpoint("read")(Effect.succeed("a call"))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<Transport | MultiEndpoint, InvalidMultiEndpoints | DiscoveryError, R | Connector> =>
  Layer.effectContext(
    Effect.map(make(options), ({ invoker, multiEndpoint }) =>
      Context.make(MultiEndpoint, multiEndpoint).pipe(Context.add(Transport, invoker))
    )
  )

/**
 * `layer` with its options read from configuration; `MultiEndpointConfig` reads the lists from JSON.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <R = never>(
  options: Config.Wrap<Options<R>>
): Layer.Layer<Transport | MultiEndpoint, InvalidMultiEndpoints | DiscoveryError | Config.ConfigError, R | Connector> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))
