/**
 * Failover between endpoints of a service, and groups of endpoints for different kinds of calls.
 *
 * A multi-endpoint is a named list of endpoints in order of priority. A call goes to the list it names, or to the first, and
 * there to the current endpoint: the available one of the highest priority, with time to recover before another takes over
 * and a delay before going back, so that one flap does not move every call twice. When nothing is available calls stay with
 * the endpoint they last used. Each endpoint is a pool of its own, shared by the lists that name it.
 *
 * `MultiEndpointState` is the rules; this module gives them time, pools and an ear.
 */
import {
  Clock,
  Config,
  Context,
  Duration,
  Effect,
  Exit,
  FiberSet,
  Layer,
  PubSub,
  Random,
  Scope,
  Semaphore,
  Stream
} from "effect"
import type { Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import * as DnsDiscovery from "../discovery/DnsDiscovery.ts"
import { authorityOf, type Endpoint } from "../discovery/Endpoint.ts"
import * as StaticDiscovery from "../discovery/StaticDiscovery.ts"
import type { PickerPolicy } from "../picker/Picker.ts"
import * as Introspection from "../observe/Introspection.ts"
import * as PowerOfTwo from "../picker/PowerOfTwo.ts"
import type { Code } from "../status/Code.ts"
import type { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import * as Arrows from "./MultiEndpointArrows.ts"
import { type InvalidMultiEndpoints, UnknownMultiEndpoint } from "./MultiEndpointError.ts"
import { type List, read, type ReadList } from "./MultiEndpointList.ts"
import * as MultiEndpointMetrics from "./MultiEndpointMetrics.ts"
import * as Pools from "./MultiEndpointPools.ts"
import * as Probe from "./MultiEndpointProbe.ts"
import * as Reading from "./MultiEndpointReading.ts"
import { Running, type Surroundings } from "./MultiEndpointRunning.ts"
import * as Snapshot from "./MultiEndpointSnapshot.ts"
import * as State from "./MultiEndpointState.ts"
import * as Tallies from "./MultiEndpointTally.ts"

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
  /** Asks an endpoint that was left for its error rate whether it is well; succeeds if so. Default a health check. */
  readonly probe?: Effect.Effect<unknown, unknown, Transport> | undefined
}

/**
 * Another endpoint has become current. `at` is in milliseconds of the wall clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Switch {
  readonly multiEndpoint: string
  /** The id of the endpoint left, `host:port`. */
  readonly from: string
  readonly to: string
  /** The authority of the endpoint that is current now. */
  readonly authority: string
  readonly reason: State.Reason
  readonly at: number
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
    readonly switches: Stream.Stream<Switch>
    readonly snapshot: Effect.Effect<Snapshot.Snapshot>
  }
>()("trunkline/pool/MultiEndpoint") {}

/** How many switches wait for a slow reader. */
const remembered = 256

const codes: ReadonlyArray<Code> = ["UNAVAILABLE", "DEADLINE_EXCEEDED", "UNAUTHENTICATED"]

const peersOf = (endpoint: Endpoint): Discovery =>
  endpoint.address._tag === "Unix" ? StaticDiscovery.make([endpoint]) : DnsDiscovery.make(endpoint.id)

const build = Effect.fnUntraced(function* <R>(
  options: Options<R>
): Effect.fn.Return<
  Context.Context<Transport | MultiEndpoint>,
  InvalidMultiEndpoints | DiscoveryError,
  R | Connector | Scope.Scope
> {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const context = yield* Effect.context<R | Connector>()
  const outer = yield* Effect.scope
  // Pools drain at the same time.
  const poolScope = yield* Scope.fork(outer, "parallel")
  const listScope = yield* Scope.fork(outer)
  const run = yield* Scope.provide(FiberSet.makeRuntime<never, void, never>(), listScope)
  const warmUp = Duration.toMillis(options.warmUp ?? "5 seconds")
  const port = options.port ?? 443
  const switches = yield* PubSub.sliding<Switch>(remembered)
  const history = new Reading.SwitchHistory()
  const updating = Semaphore.makeUnsafe(1)
  const tallies = Tallies.make(options.failureCodes ?? codes)
  const probe = options.probe ?? Probe.health

  const lists = new Map<string, Running>()
  let defaultList: Running | undefined
  let reported = yield* Scope.fork(listScope)

  const pools = new Pools.EndpointPools<R>(
    {
      ...options,
      discovery: options.discovery ?? peersOf,
      picker: options.picker ?? PowerOfTwo.make()
    },
    context,
    poolScope,
    (pool) => {
      if (pools.byId.get(pool.endpoint.id) === pool) tell(pool)
    }
  )

  const around: Surroundings = {
    clock,
    random,
    tally: tallies.of,
    fork: run,
    probe: (endpoint) =>
      Effect.suspend(() => {
        const pool = pools.byId.get(endpoint)
        return pool === undefined ? Effect.interrupt : Effect.provideService(probe, Transport, pool.arrows)
      }),
    switched: ({ name }, { from, reason, to }) => {
      const authority = authorityOf(pools.byId.get(to)!.endpoint)
      const next = { multiEndpoint: name, from, to, authority, reason, at: clock.currentTimeMillisUnsafe() }
      history.add(next)
      PubSub.publishUnsafe(switches, next)
    }
  }

  /** Tells every list how an endpoint is. */
  const tell = ({ endpoint, ready }: Pools.EndpointPool): void => {
    for (const list of lists.values()) list.see(endpoint.id, ready.current())
  }

  // ------------------------------------------------------------------------------------------------------------------
  // Updating
  // ------------------------------------------------------------------------------------------------------------------

  const start = Effect.fnUntraced(function* ({ endpoints, name, settings }: ReadList) {
    const scope = yield* Scope.fork(listScope)
    const list = new Running(name, scope, around, (moment) => State.make(endpoints, settings, pools.ready, moment))
    yield* Effect.forkIn(list.ticking, scope)
    return list
  })

  /** What is reported of lists as they were gives way to what there is to report now. */
  const report = Effect.gen(function* () {
    yield* Scope.close(reported, Exit.void)
    reported = yield* Scope.fork(listScope)
    yield* MultiEndpointMetrics.report(lists.values()).pipe(Scope.provide(reported), Effect.provideContext(context))
  })

  const apply = Effect.fnUntraced(function* (next: ReadonlyArray<ReadList>) {
    const removed = [...lists.values()].filter(({ name }) => next.every((list) => list.name !== name))
    for (const list of removed) {
      lists.delete(list.name)
      list.closed = true
    }
    for (const list of next) {
      const running = lists.get(list.name)
      if (running === undefined) lists.set(list.name, yield* start(list))
      else {
        const { endpoints, settings } = list
        running.happen({ _tag: "Updated", endpoints, settings, available: pools.ready })
      }
    }
    tallies.counting = next.some(({ settings }) => settings.errorRate !== undefined)
    defaultList = lists.get(next[0]!.name)
    for (const pool of pools.byId.values()) tell(pool)
    for (const list of [...removed, ...lists.values()]) list.moved.set()
    yield* report
    yield* Effect.forEach(removed, ({ scope }) => Scope.close(scope, Exit.void))
  })

  const update = (input: ReadonlyArray<List>, warmUp: number) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const { backends, lists } = yield* Effect.fromResult(read(input, port))
        const opened = yield* restore(pools.prepare(backends, warmUp))
        const retired = pools.publish(opened)
        yield* apply(lists)
        yield* retired
        const grace = Math.max(...lists.map(({ settings }) => settings.switchingMillis))
        yield* pools.retain(new Set(backends.keys()), grace)
        tallies.retain(backends)
      })
    ).pipe((self) => updating.withPermit(self))

  yield* update(options.multiEndpoints, 0)

  // ------------------------------------------------------------------------------------------------------------------
  // Calling
  // ------------------------------------------------------------------------------------------------------------------

  const find = (name: string | undefined): Running | undefined => (name === undefined ? defaultList : lists.get(name))

  const unknown = (name: string) => new UnknownMultiEndpoint({ name, known: [...lists.keys()] })

  const poolOf = ({ state }: Running): Pools.EndpointPool => pools.byId.get(state.current)!

  const fallsBack = options.unknownName === "default"

  const arrows = Arrows.make({
    listOf: ({ options }) => find(options.multiEndpoint) ?? (fallsBack ? defaultList : undefined),
    poolOf,
    arrowsOf: ({ arrows, endpoint }) => (tallies.counting ? tallies.counted(endpoint.id, arrows) : arrows),
    unknown
  })

  // ------------------------------------------------------------------------------------------------------------------
  // Looking
  // ------------------------------------------------------------------------------------------------------------------

  const listed = (name: string | undefined) =>
    Effect.suspend(() => {
      const list = find(name)
      return list === undefined ? Effect.fail(unknown(name!)) : Effect.succeed(list)
    })

  const authorityIn = (list: Running): string => authorityOf(poolOf(list).endpoint)

  const service = MultiEndpoint.of({
    update: (lists) => update(lists, warmUp),
    names: Effect.sync(() => [...lists.keys()]),
    current: (name) => Effect.map(listed(name), ({ state }) => state.current),
    authority: Effect.sync(() => authorityIn(defaultList!)),
    authorityFor: (name) => Effect.map(listed(name), authorityIn),
    switches: Stream.fromPubSub(switches),
    snapshot: Effect.sync(() => ({
      multiEndpoints: [...lists.values()].map(Snapshot.ofList),
      pools: [...pools.byId.values()].map((pool) => Snapshot.ofPool(pool, tallies.of(pool.endpoint.id)))
    }))
  })
  const shown = Effect.map(service.snapshot, ({ multiEndpoints }) =>
    Reading.make(multiEndpoints, history, clock.currentTimeMillisUnsafe())
  )
  yield* Introspection.register({ _tag: "MultiEndpoint", read: shown })
  return Context.make(MultiEndpoint, service).pipe(Context.add(Transport, arrows))
})

/**
 * Provides the transport of the clients above it, over named lists of endpoints, and the service that shows and replaces
 * the lists. Connects at once, because whether an endpoint is available must be known before a call needs it.
 *
 * @example
 * import { Effect, Layer } from "effect"
 * import { CallOptions, GrpcJsConnector, MultiEndpoint } from "trunkline"
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
  Layer.effectContext(build(options))

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
