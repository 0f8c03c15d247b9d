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
import { Context, Data, Duration, Effect, Layer, Option, type Scope } from "effect"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import * as Server from "../server/Server.ts"
import { Connector } from "../transport/Connector.ts"
import * as Disconnect from "../transport/Disconnect.ts"
import * as SettledClock from "./SettledClock.ts"
import * as TestConnection from "./TestConnection.ts"
import { TestHost } from "./TestHost.ts"

/**
 * What the network was told cannot be. The message names what.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidTestNetwork extends Data.TaggedError("InvalidTestNetwork")<{
  /** Such as `latency`. */
  readonly field: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.field}: ${this.problem}`
  }
}

/**
 * What to serve on the network, and how.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServeOptions<R> extends Server.Options<R> {
  /** The most metadata a header block of an answer may have, in bytes as RFC 9113, 6.5.2 counts them. Default 60,000. */
  readonly maxMetadataBytes?: number | undefined
  /**
   * How long calls may go on when the server has stopped accepting; then it ends them as `UNAVAILABLE`. Default 0: a test
   * that stops a server need not move the clock for it.
   */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * What holds for the connections of a network.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The most metadata a call may send, in bytes as RFC 9113, 6.5.2 counts them. Default 60,000. */
  readonly maxMetadataBytes?: number | undefined
}

/**
 * The hosts of an in-memory network. Addresses are endpoint ids, such as `backend:1`.
 *
 * @category services
 * @since 0.1.0
 */
export class TestNetwork extends Context.Service<
  TestNetwork,
  {
    /**
     * Serves handlers at an address until the scope closes. Then the server drains: new connections are refused, and those
     * there are take no new call. Whoever serves at the address later takes it over, with the connections there are.
     */
    readonly serve: <R>(
      address: string,
      options: ServeOptions<R>
    ) => Effect.Effect<void, Server.BindError | Server.MethodCollision, R | Scope.Scope>
    /** Breaks every connection to a host, fails the calls on them, and refuses new connections until `restart`. */
    readonly kill: (address: string) => Effect.Effect<void>
    /** Serves again what was served before `kill`; a host that serves is left alone. */
    readonly restart: (address: string) => Effect.Effect<void>
    /** Breaks every connection to a host without a word and fails the calls on them. The host goes on serving. */
    readonly reset: (address: string) => Effect.Effect<void>
    /** Stops everything to and from a host without breaking a connection, as SIGSTOP does. */
    readonly freeze: (address: string) => Effect.Effect<void>
    readonly thaw: (address: string) => Effect.Effect<void>
    /** Makes a host accept connections and never answer on new ones. */
    readonly silence: (address: string) => Effect.Effect<void>
    readonly unsilence: (address: string) => Effect.Effect<void>
    /**
     * Closes the connections to a host in good order, as a server does whose connections have come to their maximal age
     * (GOAWAY): no new call begins on them, calls under way go on to their end, and the host goes on serving.
     * `disconnect(address).pipe(Effect.repeat(Schedule.spaced("50 millis")))` is a storm of it.
     */
    readonly disconnect: (address: string) => Effect.Effect<void>
    /** How long each way to and from a host takes, from now on; not less than nothing, and an end to it. */
    readonly setLatency: (address: string, latency: Duration.Input) => Effect.Effect<void, InvalidTestNetwork>
    /** How many connections a host has now, those included that only end their calls. */
    readonly connections: (address: string) => number
  }
>()("trunkline/testing/TestNetwork") {}

/** A time that has an end, of an option. */
const finite = (field: string, input: Duration.Input): Effect.Effect<Duration.Duration, InvalidTestNetwork> => {
  const given = Duration.fromInput(input)
  const isNumber = typeof input !== "number" || input >= 0
  return isNumber && Option.isSome(given) && Duration.isFinite(given.value) && !Duration.isNegative(given.value)
    ? Effect.succeed(given.value)
    : Effect.fail(new InvalidTestNetwork({ field, problem: `a time from 0 on is needed, and not ${String(input)}` }))
}

/** Bytes of metadata, of an option. */
const bytes = (input: number | undefined): Effect.Effect<number, InvalidTestNetwork> =>
  input === undefined || input >= 0
    ? Effect.succeed(input ?? MetadataLimit.defaultMaxBytes)
    : Effect.fail(
        new InvalidTestNetwork({ field: "maxMetadataBytes", problem: `0 or more is needed, and not ${input}` })
      )

/** Goodbye, with no fault. */
const goodbye = (cause: string): Disconnect.Disconnect => ({ error: Disconnect.fromGoaway(0), cause })

/**
 * Makes an empty network and the connector into it, as `make` does, with options.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeWith = Effect.fnUntraced(function* (options: Options) {
  const maxMetadataBytes = yield* bytes(options.maxMetadataBytes)
  const hosts = new Map<string, TestHost>()
  /** How to start what is served at an address. */
  const starts = new Map<string, Effect.Effect<void>>()

  const hostAt = (address: string): TestHost => {
    let host = hosts.get(address)
    if (host === undefined) hosts.set(address, (host = new TestHost(address)))
    return host
  }

  const change = (f: (host: TestHost) => void) => (address: string) => Effect.sync(() => f(hostAt(address)))

  const network = TestNetwork.of({
    serve: Effect.fnUntraced(function* (address, options) {
      const refuse = ({ message }: InvalidTestNetwork) => new Server.BindError({ address, problem: message })
      const drainTimeout = yield* Effect.mapError(finite("drainTimeout", options.drainTimeout ?? 0), refuse)
      const most = yield* Effect.mapError(bytes(options.maxMetadataBytes), refuse)
      const application = yield* Server.build(options)
      const host = hostAt(address)
      yield* Effect.acquireRelease(
        Effect.suspend(() => {
          const start = host.start(application, most)
          starts.set(address, start)
          return start
        }),
        () => {
          starts.delete(address)
          return Effect.andThen(application.drain, host.stop(goodbye("the server has stopped"), drainTimeout))
        }
      )
    }),
    kill: (address) => hostAt(address).die({ error: "connection reset", cause: `${address} was killed` }),
    restart: (address) =>
      Effect.suspend(() =>
        hostAt(address).serving === undefined ? (starts.get(address) ?? Effect.void) : Effect.void
      ),
    reset: change((host) => host.drop({ error: "connection reset", cause: `${host.address} reset the connection` })),
    freeze: change((host) => host.thawed.closeUnsafe()),
    thaw: change((host) => host.thawed.openUnsafe()),
    silence: change((host) => void (host.silent = true)),
    unsilence: change((host) => void (host.silent = false)),
    disconnect: change((host) => host.retire(goodbye("the server went away"))),
    setLatency: (address, latency) =>
      Effect.map(finite("latency", latency), (latency) => void (hostAt(address).latency = latency)),
    connections: (address) => hostAt(address).connections
  })
  const connector = Connector.of({ connect: (endpoint) => TestConnection.open(hostAt(endpoint.id), maxMetadataBytes) })
  return { connector, network }
})

/**
 * Makes an empty network and the connector into it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.orDie(makeWith({}))

const layerOf = <E>(network: Effect.Effect<Effect.Success<typeof make>, E>): Layer.Layer<TestNetwork | Connector, E> =>
  Layer.effectContext(
    Effect.zipWith(network, SettledClock.context, ({ connector, network }, time) =>
      Context.merge(time, Context.make(TestNetwork, network).pipe(Context.add(Connector, connector)))
    )
  )

/**
 * Provides an empty network and the connector into it. With them comes a clock of the test that waits, before it moves, until
 * everything has been done that takes no time.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<TestNetwork | Connector> = layerOf(make)

/**
 * `layer` with options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerWith = (options: Options): Layer.Layer<TestNetwork | Connector, InvalidTestNetwork> =>
  layerOf(makeWith(options))
