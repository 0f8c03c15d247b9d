/** How long a call waits for a peer, by what it asks for and by what is known of the peers. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Fiber, Layer, Option, Schedule, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  PickError,
  PickFirst,
  Priority,
  RoundRobin,
  type RpcError,
  StaticDiscovery,
  Subset
} from "trunkline"
import {
  Connectivity,
  Connector,
  Discovery,
  PeerPool,
  PeerRegistry,
  Picker,
  type Signal,
  HealthVerdict,
  StateRef
} from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const settle = Effect.repeat(TestClock.adjust(0), { times: 5 })

/** Hosts a to d are served; a pool over those the test names. */
const open = Effect.fnUntraced(function* (options: Partial<Balancer.Options>) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of ["a:1", "b:1", "c:1", "d:1"]) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make(["a:1", "b:1"]),
    picker: RoundRobin.make(),
    ...options
  })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  return { echo, network, pool: Context.get(context, PeerPool.PeerPool) }
})

type Echo = Client.Client<typeof EchoService>
type How = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
const plain: How = (self) => self
const within: How = CallOptions.withDeadline("1 hour")
const modes: ReadonlyArray<[name: string, how: How]> = [
  ["a call", plain],
  ["a call with a deadline", within],
  ["a fail-fast call", (self) => within(CallOptions.failFast(self))]
]

/** Starts a call; what it has come to when asked, and after how long. */
const start = Effect.fnUntraced(function* (echo: Echo, how: How) {
  const clock = yield* Clock.Clock
  const begun = clock.currentTimeMillisUnsafe()
  const fiber = yield* Effect.forkChild(
    how(echo.lookup({})).pipe(
      Effect.exit,
      Effect.map((exit) => ({ exit, after: clock.currentTimeMillisUnsafe() - begun }))
    )
  )
  yield* settle
  return () => Option.fromUndefinedOr(fiber.pollUnsafe()).pipe(Option.map((exit) => Exit.isSuccess(exit) && exit.value))
})

const errorOf = Effect.fnUntraced(function* (echo: Echo, how: How): Effect.fn.Return<RpcError.RpcError, unknown> {
  const clock = yield* Clock.Clock
  const begun = clock.currentTimeMillisUnsafe()
  const call = yield* Effect.forkChild(Effect.flip(how(echo.lookup({}))))
  yield* settle
  const done = call.pollUnsafe()
  assert.isDefined(done, "the call still waits")
  assert.strictEqual(clock.currentTimeMillisUnsafe(), begun)
  return yield* Fiber.join(call)
})

describe("when every peer is down", () => {
  it.effect.each(modes)("%s fails at once, and says what is wrong with each peer", ([, how]) =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({})
      yield* network.kill("a:1")
      yield* network.kill("b:1")
      // The first call of the pool, which connects, and those after it.
      for (let i = 0; i < 3; i++) {
        const error = yield* errorOf(echo, how)
        assert.strictEqual(error.code, "UNAVAILABLE")
        assert(error.cause instanceof PickError.NoPeerReady)
        assert.deepStrictEqual(error.cause.peers, [
          { peer: "a:1", state: "Down", cause: "connection refused by a:1" },
          { peer: "b:1", state: "Down", cause: "connection refused by b:1" }
        ])
      }
    }).pipe(inMemory)
  )

  it.effect.each(modes)("%s fails also while they try again", ([, how]) =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open({ eager: true, reconnect: Schedule.spaced("1 second") })
      yield* network.kill("a:1")
      yield* network.kill("b:1")
      yield* settle
      yield* network.silence("a:1")
      yield* network.silence("b:1")
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(
        pool.peers().map(({ status }) => status.state),
        ["Connecting", "Connecting"]
      )
      assert.strictEqual((yield* errorOf(echo, how)).code, "UNAVAILABLE")
    }).pipe(inMemory)
  )

  it.effect("a call that waits for ready waits, is served as soon as one is back, and ends with its deadline", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({ reconnect: Schedule.spaced("1 second") })
      yield* network.kill("a:1")
      yield* network.kill("b:1")
      const call = yield* start(echo, CallOptions.waitForReady)
      const late = yield* start(echo, (self) => CallOptions.waitForReady(CallOptions.withDeadline("5 seconds")(self)))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Option.isNone(call()))
      const ended = Option.getOrThrow(late())
      assert(ended !== false && Exit.isFailure(ended.exit))
      assert.include(String(ended.exit.cause), "[DEADLINE_EXCEEDED] a:1, b:1 has 2 peers, none ready; waited 5000 ms")
      assert.strictEqual(ended.after, 5000)
      yield* network.restart("b:1")
      yield* TestClock.adjust("1 second")
      const served = Option.getOrThrow(call())
      assert(served !== false && Exit.isSuccess(served.exit))
    }).pipe(inMemory)
  )
})

describe("while somebody may soon be ready", () => {
  it.effect.each(modes)("%s waits for the first connect of a pool, though others refuse", ([, how]) =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({})
      yield* network.kill("a:1")
      yield* network.setLatency("b:1", "3 seconds")
      const call = yield* start(echo, how)
      assert.isTrue(Option.isNone(call()))
      yield* TestClock.adjust("3 seconds")
      yield* network.setLatency("b:1", 0)
      yield* TestClock.adjust("6 seconds")
      const ended = Option.getOrThrow(call())
      assert(ended !== false && Exit.isSuccess(ended.exit))
      assert.strictEqual(ended.exit.value.server, "b:1")
    }).pipe(inMemory)
  )

  it.effect("a call waits for a lost connection to be opened again; a fail-fast one does not", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({ eager: true })
      yield* TestClock.adjust("10 seconds")
      for (const host of ["a:1", "b:1"]) {
        yield* network.setLatency(host, "1 second")
        yield* network.disconnect(host)
      }
      const call = yield* start(echo, plain)
      const error = yield* errorOf(echo, CallOptions.failFast)
      assert.match(error.message, /did not wait; a:1 (Idle|Connecting)/)
      yield* TestClock.adjust("3 seconds")
      const ended = Option.getOrThrow(call())
      assert(ended !== false && Exit.isSuccess(ended.exit))
    }).pipe(inMemory)
  )

  it.effect("one that waits fails as soon as the last hope is gone", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({ connectTimeout: "7 seconds" })
      yield* network.kill("a:1")
      yield* network.silence("b:1")
      const calls = [yield* start(echo, plain), yield* start(echo, within), yield* start(echo, CallOptions.failFast)]
      yield* TestClock.adjust("10 seconds")
      for (const call of calls) {
        const ended = Option.getOrThrow(call())
        assert(ended !== false && Exit.isFailure(ended.exit))
        assert.strictEqual(ended.after, 7000)
        assert.include(String(ended.exit.cause), "[UNAVAILABLE] a:1, b:1 has 2 peers, none ready; waited 7000 ms")
      }
    }).pipe(inMemory)
  )

  it.effect("a call that was late for a peer that other pools connected fails or succeeds as they would", () =>
    Effect.gen(function* () {
      const registry = yield* PeerRegistry.make()
      const shared = Effect.provideService(PeerRegistry.PeerRegistry, registry)
      const first = yield* shared(open({ eager: true, discovery: StaticDiscovery.make(["a:1"]) }))
      yield* settle
      const second = yield* shared(open({ discovery: StaticDiscovery.make(["a:1"]) }))
      const served = yield* second.echo.lookup({}).pipe(CallOptions.failFast)
      assert.strictEqual(served.server, "a:1")
      const third = yield* shared(open({ discovery: StaticDiscovery.make(["a:1"]) }))
      yield* first.network.kill("a:1")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* errorOf(third.echo, plain)).code, "UNAVAILABLE")
    }).pipe(inMemory)
  )
})

describe("what discovery says", () => {
  it.effect.each(modes)("%s fails at once when the list is empty, and waits before there is one", ([, how]) =>
    Effect.gen(function* () {
      const sets = yield* SubscriptionRef.make<ReadonlyArray<string> | undefined>(undefined)
      const listed = SubscriptionRef.changes(sets).pipe(
        Stream.filter((names) => names !== undefined),
        Stream.map((names) => names.map(endpoint))
      )
      const { echo } = yield* open({ discovery: Discovery.make("names", listed) })
      const early = yield* start(echo, how)
      assert.isTrue(Option.isNone(early()))
      yield* SubscriptionRef.set(sets, [])
      yield* settle
      const ended = Option.getOrThrow(early())
      assert(ended !== false && Exit.isFailure(ended.exit))
      assert.include((yield* errorOf(echo, how)).message, "[UNAVAILABLE] names has no peers; did not wait")
      yield* SubscriptionRef.set(sets, ["c:1"])
      yield* settle
      assert.strictEqual((yield* how(echo.lookup({}))).server, "c:1")
    }).pipe(inMemory)
  )

  it.effect.each(modes)("%s fails with its error when there was never a list, and not when there was", ([, how]) =>
    Effect.gen(function* () {
      const broken = Stream.fail(new Discovery.DiscoveryError({ target: "names", problem: "NotFound" }))
      const { echo } = yield* open({ discovery: Discovery.make("names", broken) })
      const error = yield* errorOf(echo, how)
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.include(error.message, 'discovery of "names": NotFound')
      const once = Stream.concat(Stream.make([endpoint("a:1")]), broken)
      const good = yield* open({ discovery: Discovery.make("names", once) })
      yield* settle
      assert.strictEqual((yield* how(good.echo.lookup({}))).server, "a:1")
    }).pipe(inMemory)
  )
})

describe("a policy that uses part of the peers", () => {
  it.effect("fails calls when its part is down, whatever the others are", () =>
    Effect.gen(function* () {
      const hosts = ["a:1", "b:1", "c:1", "d:1"]
      const picker = Subset.rendezvous(RoundRobin.make(), { size: 2, seed: "seed" })
      const { echo, network, pool } = yield* open({ discovery: StaticDiscovery.make(hosts), picker })
      yield* echo.lookup({})
      yield* settle
      const used = pool.peers().filter(({ status }) => status.state === "Ready")
      assert.strictEqual(used.length, 2)
      for (const { id } of used) yield* network.kill(id)
      yield* settle
      yield* TestClock.adjust("5 seconds")
      for (const [, how] of modes) assert.strictEqual((yield* errorOf(echo, how)).code, "UNAVAILABLE")
    }).pipe(inMemory)
  )

  it.effect("waits for the peers it turns to next", () =>
    Effect.gen(function* () {
      for (const picker of [PickFirst.make(), Priority.failover(RoundRobin.make())]) {
        const discovery = Discovery.make(
          "ranked",
          Stream.concat(
            Stream.make(["a:1", "b:1", "c:1"].map((id, priority) => ({ ...endpoint(id), priority }))),
            Stream.never
          )
        )
        const { echo, network } = yield* open({ discovery, picker })
        yield* network.kill("a:1")
        yield* network.kill("b:1")
        yield* network.setLatency("c:1", "40 millis")
        const call = yield* start(echo, plain)
        const quick = yield* start(echo, CallOptions.failFast)
        yield* TestClock.adjust("1 second")
        for (const ended of [Option.getOrThrow(call()), Option.getOrThrow(quick())]) {
          assert(ended !== false && Exit.isSuccess(ended.exit))
          assert.strictEqual(ended.exit.value.server, "c:1")
        }
        yield* network.setLatency("c:1", 0)
      }
    }).pipe(inMemory)
  )

  it.effect("of one's own that never says that it has nobody fails calls by what the pool knows", () =>
    Effect.gen(function* () {
      const mine: Picker.PickerPolicy = {
        load: undefined,
        pickers: (sets) =>
          Stream.map(sets, (set) => {
            for (const peer of set.peers) peer.requestConnect()
            return { pick: () => set.ready[0] ?? Picker.queue }
          })
      }
      const { echo, network } = yield* open({ picker: mine })
      yield* network.kill("a:1")
      yield* network.kill("b:1")
      assert.strictEqual((yield* errorOf(echo, plain)).code, "UNAVAILABLE")
    }).pipe(inMemory)
  )
})

describe("what signals say", () => {
  const saying = (verdict: HealthVerdict.HealthVerdict): Signal.Signal => ({
    name: "saying",
    make: Effect.succeed({
      observe: undefined,
      verdicts: (peers) => Stream.map(peers, (all) => new Map(all.map((peer) => [peer, verdict])))
    })
  })

  it.effect.each(modes)("%s fails when every connected peer is ejected", ([, how]) =>
    Effect.gen(function* () {
      const { echo } = yield* open({ eager: true, signals: [saying(HealthVerdict.ejected("ill"))] })
      yield* settle
      assert.include((yield* errorOf(echo, how)).message, "a:1 Ejected (ill); b:1 Ejected (ill)")
    }).pipe(inMemory)
  )

  it.effect("a call waits while a probe is under way", () =>
    Effect.gen(function* () {
      const { echo } = yield* open({
        discovery: StaticDiscovery.make(["a:1"]),
        eager: true,
        signals: [saying(HealthVerdict.probe("was ill"))]
      })
      yield* settle
      const probe = yield* Effect.forkChild(echo.echo({ delayMillis: 1000 }))
      yield* settle
      const call = yield* start(echo, plain)
      assert.isTrue(Option.isNone(call()))
      assert.include((yield* errorOf(echo, CallOptions.failFast)).message, "a:1 Probe (was ill)")
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(probe)
    }).pipe(inMemory)
  )
})

describe("chooseTimeout", () => {
  it.effect("bounds the wait of calls that do not wait for ready, whatever their deadline", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({ chooseTimeout: "2 seconds" })
      yield* network.silence("a:1")
      yield* network.silence("b:1")
      const calls = [yield* start(echo, plain), yield* start(echo, within), yield* start(echo, CallOptions.failFast)]
      const hasty = yield* start(echo, CallOptions.withDeadline("1 second"))
      const patient = yield* start(echo, CallOptions.waitForReady)
      yield* TestClock.adjust("2 seconds")
      for (const call of calls) {
        const ended = Option.getOrThrow(call())
        assert(ended !== false && Exit.isFailure(ended.exit))
        assert.include(String(ended.exit.cause), "[UNAVAILABLE]")
        assert.include(String(ended.exit.cause), "waited 2000 ms")
      }
      const late = Option.getOrThrow(hasty())
      assert(late !== false && Exit.isFailure(late.exit))
      assert.include(String(late.exit.cause), "[DEADLINE_EXCEEDED]")
      assert.isTrue(Option.isNone(patient()))
    }).pipe(inMemory)
  )
})

describe("a server that hangs up before anybody has seen it ready", () => {
  it.effect("is asked again by every policy, and the call gets through when it stays", () =>
    Effect.gen(function* () {
      for (const picker of [PickFirst.make(), RoundRobin.make(), Priority.failover(PickFirst.make())]) {
        const { connector } = yield* TestNetwork.make
        const network = yield* TestNetwork.TestNetwork
        yield* network.serve("a:1", { handlers: [echoHandlers("a:1")] })
        const own = yield* Connector.Connector
        let hangsUp = 3
        const fickle = Connector.Connector.of({
          connect: (to) =>
            Effect.map(hangsUp-- > 0 ? connector.connect(to) : own.connect(to), (connection) => {
              if (hangsUp < 0) return connection
              const states = StateRef.make<Connectivity.Connectivity>(Connectivity.Connectivity.Idle())
              const hangUp = Effect.sync(() => {
                states.set(Connectivity.Connectivity.Ready())
                states.set(Connectivity.Connectivity.Idle())
              })
              const connect = Effect.suspend(() => {
                states.set(Connectivity.Connectivity.Connecting())
                return Effect.asVoid(Effect.forkDetach(hangUp))
              })
              return { ...connection, connectivity: states, connect }
            })
        })
        const layer = Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker })
        const context = yield* Layer.build(Layer.orDie(layer)).pipe(Effect.provideService(Connector.Connector, fickle))
        const echo = yield* Effect.provideContext(Client.make(EchoService), context)
        const call = yield* start(echo, plain)
        yield* TestClock.adjust("30 seconds")
        const ended = Option.getOrThrow(call())
        assert(ended !== false && Exit.isSuccess(ended.exit))
      }
    }).pipe(inMemory)
  )
})
