/** A channel pool under a test's control. */
import { Context, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Affinity, Balancer, ChannelPool, Client, type Endpoint, RoundRobin, StaticDiscovery } from "trunkline"
import { Connector } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "./echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { settle } from "./multiEndpoints.ts"

/** The one endpoint of the pool. */
export const host = "a:1"

export interface Options {
  readonly pool?: ChannelPool.Options
  readonly affinity?: Affinity.Options
  /** Which host the n-th connection leads to, from 0. Default the endpoint itself. */
  readonly route?: (connection: number) => string
  /** What stands in front of the connector. */
  readonly connector?: (inner: Connector.Connector["Service"]) => Connector.Connector["Service"]
}

const routed =
  (route: (connection: number) => string) =>
  (inner: Connector.Connector["Service"]): Connector.Connector["Service"] => {
    let opened = 0
    return Connector.Connector.of({
      connect: (endpoint: Endpoint.Endpoint) => inner.connect({ ...endpoint, id: route(opened++) })
    })
  }

/** A client over a channel pool to one endpoint, in a scope of their own. */
export const open = Effect.fnUntraced(function* ({ affinity, connector, pool, route }: Options) {
  const network = yield* TestNetwork.TestNetwork
  const inner = yield* Connector.Connector
  for (const name of ["a:1", "b:1", "c:1", "d:1"]) yield* network.serve(name, { handlers: [echoHandlers(name)] })
  const scope = yield* Scope.make()
  // Calls that still run hold the close up until the drain timeout.
  yield* Effect.addFinalizer(() =>
    Effect.all([Scope.close(scope, Exit.void), Effect.andThen(settle, TestClock.adjust("10 seconds"))], {
      concurrency: "unbounded"
    })
  )
  const through = connector?.(inner) ?? (route === undefined ? inner : routed(route)(inner))
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make([host]),
    picker: RoundRobin.make(),
    eager: true,
    reconnect: Schedule.spaced("100 millis")
  }).pipe(
    Layer.provideMerge(ChannelPool.layer({ reconnect: Schedule.spaced("100 millis"), ...pool })),
    Layer.provideMerge(Affinity.layer(affinity)),
    Layer.provide(Layer.succeed(Connector.Connector, through))
  )
  const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
  yield* settle
  /** The one group there is. */
  const group = Effect.map(snapshot, (groups) => groups[0]!)
  /** So many calls that take so long. */
  const burst = (calls: number, delayMillis: number) =>
    Effect.tap(
      Effect.forEach(Array.from({ length: calls }), () => Effect.forkChild(Effect.exit(echo.echo({ delayMillis })))),
      () => settle
    )
  return {
    affinity: Context.get(context, Affinity.Affinity),
    burst,
    close: Scope.close(scope, Exit.void),
    echo,
    group,
    network,
    snapshot
  }
})

/** Time passes, in steps. */
export const pass = (millis: number, steps: number): Effect.Effect<void> =>
  Effect.forEach(Array.from({ length: steps }), () => Effect.andThen(TestClock.adjust(millis), settle), {
    discard: true
  })
