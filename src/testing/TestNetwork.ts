/**
 * A network in memory.
 *
 * It is a `Connector` for clients and a place to serve handlers, with no socket and no real time: under `TestClock` every
 * deadline, backoff, timeout and latency happens exactly when the test says. One `TestClock.adjust` over an hour is the same
 * course of events as many over a millisecond: with the network comes a clock that moves only when everything that can be
 * done without time has been done. Hosts can be killed, frozen, silenced and made slow, as real ones are.
 *
 * @example
 * import { Effect, Layer, Schema } from "effect"
 * import { Balancer, Client, Handlers, RoundRobin, Service, StaticDiscovery } from "trunkline"
 * import { TestNetwork } from "trunkline/testing"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 *
 * const program = Effect.gen(function*() {
 *   const network = yield* TestNetwork.TestNetwork
 *   yield* network.serve("backend:1", { handlers: [Handlers.make(Echo, { say: (text) => Effect.succeed(text) })] })
 *   const echo = yield* Client.make(Echo)
 *   return yield* echo.say("hello")
 * }).pipe(
 *   Effect.provide(
 *     Balancer.layer({ discovery: StaticDiscovery.make(["backend:1"]), picker: RoundRobin.make() }).pipe(
 *       Layer.provideMerge(TestNetwork.layer)
 *     )
 *   ),
 *   Effect.scoped
 * )
 * await Effect.runPromise(program) // => "hello"
 */
import { Context, Duration, Effect, Layer, type Scope } from "effect"
import * as Server from "../server/Server.ts"
import { Connector } from "../transport/Connector.ts"
import * as Loss from "../transport/Loss.ts"
import * as SettledClock from "./SettledClock.ts"
import * as TestConnection from "./TestConnection.ts"
import { TestHost } from "./TestHost.ts"

/**
 * The hosts of an in-memory network. Addresses are endpoint ids, such as `backend:1`.
 *
 * @category services
 * @since 0.1.0
 */
export class TestNetwork extends Context.Service<
  TestNetwork,
  {
    /** Serves handlers at an address until the scope closes. */
    readonly serve: <R>(
      address: string,
      options: Server.Options<R>
    ) => Effect.Effect<void, Server.MethodCollision, R | Scope.Scope>
    /** Breaks every connection to a host, fails the calls on them, and refuses new connections until `restart`. */
    readonly kill: (address: string) => Effect.Effect<void>
    /** Serves again what was served before `kill`. */
    readonly restart: (address: string) => Effect.Effect<void>
    /** Stops everything to and from a host without breaking a connection, as SIGSTOP does. */
    readonly freeze: (address: string) => Effect.Effect<void>
    readonly thaw: (address: string) => Effect.Effect<void>
    /** Makes a host accept connections and never answer on new ones. */
    readonly silence: (address: string) => Effect.Effect<void>
    readonly unsilence: (address: string) => Effect.Effect<void>
    /** Closes the connections to a host in good order, as a server going away does. Nothing else changes. */
    readonly disconnect: (address: string) => Effect.Effect<void>
    /** How long each way to and from a host takes. */
    readonly setLatency: (address: string, latency: Duration.Input) => Effect.Effect<void>
    /** How many connections a host has now. */
    readonly connections: (address: string) => number
  }
>()("trunkline/testing/TestNetwork") {}

/**
 * Makes an empty network and the connector into it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.sync(() => {
  const hosts = new Map<string, TestHost>()
  const applications = new Map<string, Server.Application>()

  const hostAt = (address: string): TestHost => {
    let host = hosts.get(address)
    if (host === undefined) hosts.set(address, (host = new TestHost(address)))
    return host
  }

  const change = (f: (host: TestHost) => void) => (address: string) => Effect.sync(() => f(hostAt(address)))

  const network = TestNetwork.of({
    serve: Effect.fnUntraced(function* (address, options) {
      const application = yield* Server.build(options)
      yield* Effect.acquireRelease(
        Effect.suspend(() => {
          applications.set(address, application)
          return hostAt(address).start(application)
        }),
        () => {
          applications.delete(address)
          const loss = { error: Loss.fromGoaway(0), cause: "the server has stopped" }
          return Effect.andThen(application.drain, hostAt(address).stop(loss))
        }
      )
    }),
    kill: (address) => hostAt(address).stop({ error: "connection reset", cause: `${address} was killed` }),
    restart: (address) => {
      const application = applications.get(address)
      return application === undefined ? Effect.void : hostAt(address).start(application)
    },
    freeze: change((host) => host.thawed.closeUnsafe()),
    thaw: change((host) => host.thawed.openUnsafe()),
    silence: change((host) => void (host.silent = true)),
    unsilence: change((host) => void (host.silent = false)),
    disconnect: change((host) => {
      const loss = { error: Loss.fromGoaway(0), cause: "the server went away" }
      for (const connection of [...host.attached]) connection.drop(loss)
    }),
    setLatency: (address, latency) =>
      Effect.sync(() => void (hostAt(address).latency = Duration.fromInputUnsafe(latency))),
    connections: (address) => hostAt(address).attached.size
  })
  const connector = Connector.of({ connect: (endpoint) => TestConnection.open(hostAt(endpoint.id)) })
  return { connector, network }
})

/**
 * Provides an empty network and the connector into it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TestNetwork | Connector> = Layer.effectContext(
  Effect.zipWith(make, SettledClock.context, ({ connector, network }, time) =>
    Context.merge(time, Context.make(TestNetwork, network).pipe(Context.add(Connector, connector)))
  )
)
