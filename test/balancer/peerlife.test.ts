/**
 * The concepts of YARPC's peer lists, each with what it is here, and its known defects, each with why it cannot happen.
 *
 * Some of its errors have no counterpart because there is nothing left to get wrong: a peer is held by a scope, so nothing
 * is released twice or by a stranger; a pool is acquired, so nothing starts twice or is used before it has started; types
 * say what a peer is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Result, Schedule, Scope, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  RoutePicker,
  Endpoint,
  EndpointList,
  LeastPending,
  PickError,
  PickFirst,
  RoundRobin,
  StaticDiscovery
} from "trunkline"
import { type Connector, Discovery, PeerPool, PeerRegistry, PeerStatus, Picker } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"

const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

/** Three hosts, and a pool over those that the test lists. */
const open = Effect.fnUntraced(function* (listed: ReadonlyArray<string>, options?: Partial<Balancer.Options>) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of ["a:1", "b:1", "c:1"]) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const sets = yield* SubscriptionRef.make(listed.map(endpoint))
  const scope = yield* Scope.make()
  const layer = Balancer.layer({
    discovery: Discovery.make("hosts", SubscriptionRef.changes(sets)),
    picker: RoundRobin.make(),
    ...options
  })
  const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const pool = Context.get(context, PeerPool.PeerPool)
  yield* settle
  return {
    close: Scope.close(scope, Exit.void),
    echo,
    ids: () => pool.peers().map(({ id }) => id),
    network,
    pool,
    update: (names: ReadonlyArray<string>) => Effect.andThen(SubscriptionRef.set(sets, names.map(endpoint)), settle)
  }
})

type Check = Effect.Effect<void, unknown, TestNetwork.TestNetwork | Connector.Connector | Scope.Scope>
const check = (body: () => Generator<Effect.Effect<unknown, unknown, unknown>, void, never>): Check =>
  Effect.gen(body as never) as Check

const cause = (error: { readonly cause?: unknown }) => error.cause

const concepts: ReadonlyArray<[theirs: string, ours: string, check: Check]> = [
  [
    "status: Unavailable < Connecting < Available",
    "PeerStatus, ordered by byState",
    check(function* () {
      const at = (state: PeerStatus.State) => ({ ...PeerStatus.initial(0), state })
      const order = (["Ready", "Down", "Connecting"] as const).map(at).sort(PeerStatus.byState)
      assert.deepStrictEqual(
        order.map(({ state }) => state),
        ["Down", "Connecting", "Ready"]
      )
    })
  ],
  [
    "pending request count",
    "Peer.stats.pending, counted by the lease",
    Effect.gen(function* () {
      const { echo, pool } = yield* open(["a:1"], { eager: true })
      const call = yield* Effect.forkChild(echo.echo({ delayMillis: 100 }))
      yield* settle
      assert.strictEqual(pool.peers()[0]!.stats.pending, 1)
      yield* TestClock.adjust(100)
      yield* Fiber.join(call)
      assert.strictEqual(pool.peers()[0]!.stats.pending, 0)
    })
  ],
  [
    "why and since when",
    "PeerStatus.cause and .since",
    Effect.gen(function* () {
      const { network, pool } = yield* open(["a:1"], { eager: true, reconnect: Schedule.spaced("1 hour") })
      yield* TestClock.adjust(5000)
      yield* network.kill("a:1")
      yield* settle
      assert.deepStrictEqual(pool.peers()[0]!.status, {
        state: "Down",
        since: 5000,
        cause: "connection refused by a:1",
        lastConnect: "failed",
        version: 5
      })
    })
  ],
  [
    "Transport.RetainPeer, ReleasePeer",
    "PeerRegistry.retain, in a scope; two pools share, two registries do not",
    Effect.gen(function* () {
      const { network } = yield* open([])
      const share = yield* PeerRegistry.make()
      const both = yield* Effect.all([share.retain(endpoint("a:1")), share.retain(endpoint("a:1"))])
      const other = yield* (yield* PeerRegistry.make()).retain(endpoint("a:1"))
      assert.strictEqual(both[0], both[1])
      assert.notStrictEqual(both[0], other)
      for (const peer of [...both, other]) peer.requestConnect()
      yield* settle
      assert.strictEqual(network.connections("a:1"), 2)
    })
  ],
  [
    "Subscriber.NotifyStatusChanged",
    "Peer.changes: the status now and every later one, in order, conflated",
    Effect.gen(function* () {
      const { pool, network } = yield* open(["a:1"], { eager: true })
      const seen: Array<string> = []
      const peer = pool.peers()[0]!
      yield* Effect.forkScoped(Stream.runForEach(peer.changes, ({ state }) => Effect.sync(() => seen.push(state))))
      yield* TestClock.adjust("10 seconds")
      yield* network.disconnect("a:1")
      yield* settle
      assert.strictEqual(seen[0], "Ready")
      assert.strictEqual(seen.at(-1), "Ready")
      // A slow reader sees the newest and nothing twice.
      assert.isAtMost(seen.length, 4)
    })
  ],
  [
    "List.Update while it runs: removals and additions",
    "a new set: who stays keeps its connection",
    Effect.gen(function* () {
      const { ids, network, update } = yield* open(["a:1", "b:1"], { eager: true })
      yield* update(["b:1", "c:1"])
      assert.deepStrictEqual([ids(), network.connections("a:1"), network.connections("b:1")], [["b:1", "c:1"], 0, 1])
    })
  ],
  [
    "List.Update while it is stopped",
    "a pool without calls follows discovery and connects to nobody",
    Effect.gen(function* () {
      const { echo, ids, network, update } = yield* open(["a:1"])
      yield* update(["b:1"])
      yield* update(["b:1", "c:1"])
      assert.deepStrictEqual(ids(), ["b:1", "c:1"])
      assert.deepStrictEqual(["a:1", "b:1", "c:1"].map(network.connections), [0, 0, 0])
      assert.include(["b:1", "c:1"], (yield* echo.lookup({})).server)
    })
  ],
  [
    "a list that stopped cannot be started again",
    "a pool that went idle starts over with the next call, with what discovery said meanwhile",
    Effect.gen(function* () {
      const { echo, network, update } = yield* open(["a:1"], { idleTimeout: "1 minute" })
      yield* echo.lookup({})
      yield* TestClock.adjust("1 minute")
      yield* settle
      yield* update(["b:1"])
      assert.deepStrictEqual(["a:1", "b:1"].map(network.connections), [0, 0])
      assert.strictEqual((yield* echo.lookup({})).server, "b:1")
    })
  ],
  [
    "one addition that fails does not stop the others",
    "an endpoint nobody serves leaves the rest to be used",
    Effect.gen(function* () {
      const { echo, ids } = yield* open(["nobody:1", "b:1"], { eager: true })
      assert.deepStrictEqual(ids(), ["nobody:1", "b:1"])
      assert.strictEqual((yield* echo.lookup({})).server, "b:1")
    })
  ],
  [
    "Chooser.Choose, and onFinish",
    "PeerPool.lease; the lease ends once however the call ends, and its outcome counts",
    Effect.gen(function* () {
      const { echo, pool } = yield* open(["a:1"], { eager: true })
      yield* echo.lookup({})
      yield* Effect.flip(echo.lookup({ failCode: 14 }))
      const { failed, pending, started, succeeded } = pool.peers()[0]!.stats
      assert.deepStrictEqual([started, pending, succeeded, failed], [2, 0, 1, 1])
    })
  ],
  [
    "Choose blocks until a peer is available",
    "a call waits for the peer that is added while it waits",
    Effect.gen(function* () {
      const { echo, update } = yield* open([])
      const call = yield* Effect.forkChild(echo.lookup({}).pipe(CallOptions.waitForReady))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* update(["a:1"])
      assert.strictEqual((yield* Fiber.join(call)).server, "a:1")
    })
  ],
  [
    "Binder: a list bound to who updates it",
    "Discovery, subscribed to by the pool and left when it closes",
    Effect.gen(function* () {
      const life: Array<string> = []
      const sets = Stream.unwrap(
        Effect.as(
          Effect.acquireRelease(
            Effect.sync(() => life.push("starts")),
            () => Effect.sync(() => life.push("stops"))
          ),
          Stream.concat(Stream.make([endpoint("a:1")]), Stream.never)
        )
      )
      const { close, ids } = yield* open([], { discovery: Discovery.make("bound", sets) })
      assert.deepStrictEqual([ids(), life], [["a:1"], ["starts"]])
      yield* close
      assert.deepStrictEqual(life, ["starts", "stops"])
    })
  ],
  [
    "ChooserList.Update({ additions, removals })",
    "EndpointList.update, of a discovery like any other",
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const { echo, ids } = yield* open([], { discovery: list, eager: true })
      yield* list.update({ additions: ["b:1"], removals: ["a:1"] })
      yield* settle
      assert.deepStrictEqual(ids(), ["b:1"])
      assert.strictEqual((yield* echo.lookup({})).server, "b:1")
    })
  ],
  [
    "Identifier",
    "Endpoint.id, the same for every form of one address",
    check(function* () {
      const ids = ["a:1", "dns:///A:1", "dns:a:1"].map((text) => Result.getOrThrow(Endpoint.parse(text)).id)
      assert.deepStrictEqual(ids, ["a:1", "a:1", "a:1"])
    })
  ],
  [
    "StatusPeer, Status.String",
    "PeerPool.peers, and the report of a call that found nobody, for people",
    Effect.gen(function* () {
      const { pool } = yield* open(["a:1"], { eager: true })
      const [peer] = pool.peers()
      assert.deepStrictEqual([peer!.id, peer!.status.state, peer!.stats.pending], ["a:1", "Ready", 0])
    })
  ],
  [
    "ListImplementation: a way of choosing of one's own",
    "Picker.overReady",
    Effect.gen(function* () {
      const last = Picker.overReady((ready) => ({ pick: () => ready.at(-1)! }))
      const { echo } = yield* open(["a:1", "b:1", "c:1"], { eager: true, picker: last })
      assert.strictEqual((yield* echo.lookup({})).server, "c:1")
    })
  ],
  [
    "the chooser `direct`: the caller names the peer",
    "Dispatch and CallOptions.withPeer; one that is not there is an error that names it",
    Effect.gen(function* () {
      const picker = RoutePicker.make({ otherwise: RoundRobin.make() })
      const { echo } = yield* open(["a:1", "b:1"], { eager: true, picker })
      for (let i = 0; i < 3; i++)
        assert.strictEqual((yield* echo.lookup({}).pipe(CallOptions.withPeer("b:1"))).server, "b:1")
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.withPeer("x:1")))
      assert(cause(error) instanceof PickError.UnknownPeer)
      assert.include(error.message, '"x:1"')
    })
  ],
  [
    "error ChooseContextHasNoDeadline",
    "a call needs none: it waits while somebody may soon be ready, and fails when there is nobody",
    Effect.gen(function* () {
      const { echo, network, update } = yield* open(["a:1"])
      yield* network.silence("a:1")
      const call = yield* Effect.forkChild(Effect.flip(echo.lookup({})))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* update([])
      assert.include((yield* Fiber.join(call)).message, "hosts has no peers; waited 1000 ms")
    })
  ],
  [
    "error AddAlreadyInList",
    "EndpointList.AlreadyListed, naming the list and the peer",
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const error = yield* Effect.flip(list.update({ additions: ["a:1"] }))
      assert.deepStrictEqual(error.problems, [new EndpointList.AlreadyListed({ list: "hosts", peer: "a:1" })])
    })
  ],
  [
    "error RemoveNotInList",
    "EndpointList.NotListed, naming the list and the peer",
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const error = yield* Effect.flip(list.update({ removals: ["b:1"] }))
      assert.deepStrictEqual(error.problems, [new EndpointList.NotListed({ list: "hosts", peer: "b:1" })])
    })
  ],
  [
    "AddAlreadyInList, of a discovery of whole sets",
    "an id named twice in a set is one peer",
    Effect.gen(function* () {
      const { ids, update } = yield* open(["a:1", "a:1"], { eager: true })
      assert.deepStrictEqual(ids(), ["a:1"])
      yield* update(["a:1", "b:1", "a:1"])
      assert.deepStrictEqual(ids(), ["a:1", "b:1"])
    })
  ],
  [
    "RemoveNotInList, of a discovery of whole sets",
    "a set says who is there, not who goes",
    Effect.gen(function* () {
      const { ids, update } = yield* open(["a:1"])
      yield* update(["b:1"])
      yield* update(["b:1"])
      yield* update([])
      assert.deepStrictEqual(ids(), [])
    })
  ],
  [
    "errors TransportHasNoReferenceToPeer, PeerHasNoReferenceToSubscriber",
    "a hold ends with its scope, once however often that is closed",
    Effect.gen(function* () {
      const registry = yield* PeerRegistry.make()
      const [one, two] = [yield* Scope.make(), yield* Scope.make()]
      const peer = yield* Scope.provide(registry.retain(endpoint("a:1")), one)
      yield* Scope.provide(registry.retain(endpoint("a:1")), two)
      yield* Scope.close(one, Exit.void)
      yield* Scope.close(one, Exit.void)
      assert.strictEqual(peer.status.state, "Idle")
      yield* Scope.close(two, Exit.void)
      assert.strictEqual(peer.status.state, "Gone")
    })
  ],
  [
    "errors NotStarted, AlreadyStarted, not running",
    "PoolClosed, naming the target; there is no way to hold a pool that has not started",
    Effect.gen(function* () {
      const { close, echo } = yield* open(["a:1"], { eager: true })
      yield* close
      const error = yield* Effect.flip(echo.lookup({}))
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert(cause(error) instanceof PickError.PoolClosed)
      assert.include(error.message, "the pool of hosts is closed")
    })
  ],
  [
    "errors InvalidPeerType, InvalidTransportConversion",
    "AddressError, for text that is no address; types rule out the rest",
    check(function* () {
      const parsed = Endpoint.parse("http://x")
      assert.strictEqual(parsed._tag, "Failure")
      assert(parsed._tag === "Failure" && parsed.failure instanceof Endpoint.AddressError)
    })
  ],
  [
    "Unavailable: has no peers",
    "NoPeerReady with none",
    Effect.gen(function* () {
      const { echo } = yield* open([])
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      assert(cause(error) instanceof PickError.NoPeerReady)
      assert.include(error.message, "hosts has no peers; did not wait")
    })
  ],
  [
    "Unavailable: has N peers but none are responsive",
    "NoPeerReady, naming each peer, its state and why",
    Effect.gen(function* () {
      const { echo } = yield* open(["x:1", "y:1"])
      const error = yield* Effect.flip(echo.lookup({}))
      assert.include(error.message, "hosts has 2 peers, none ready; did not wait; x:1 Down (connection refused by x:1)")
    })
  ]
]

const defects: ReadonlyArray<[defect: string, check: Check]> = [
  [
    "(a) the default wait for a peer is 0",
    Effect.gen(function* () {
      const { echo, network } = yield* open(["x:1"], { chooseTimeout: "70 millis" })
      yield* network.silence("x:1")
      const call = yield* Effect.forkChild(Effect.flip(echo.lookup({})))
      yield* TestClock.adjust(69)
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.include((yield* Fiber.join(call)).message, "waited 70 ms")
    })
  ],
  [
    "(b) Connecting counts as leaving Available, and counters drift",
    Effect.gen(function* () {
      const { network, pool } = yield* open(["a:1", "b:1"], { eager: true, reconnect: Schedule.spaced("1 second") })
      for (let i = 0; i < 5; i++) {
        yield* network.kill("a:1")
        yield* TestClock.adjust("3 seconds")
        yield* network.restart("a:1")
        yield* TestClock.adjust("1 second")
      }
      yield* settle
      const [set] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
      assert.deepStrictEqual([set!.peers.length, set!.connected.length, set!.ready.length], [2, 2, 2])
    })
  ],
  [
    "(c) news of a released peer brings it back",
    Effect.gen(function* () {
      const { echo, ids, pool, update } = yield* open(["a:1", "b:1"], { eager: true })
      const peer = pool.peers()[0]!
      yield* update(["b:1"])
      peer.transition({ _tag: "ConnectStarted" }, 1)
      peer.transition({ _tag: "Connected" }, 2)
      yield* settle
      assert.deepStrictEqual([ids(), peer.status.state], [["b:1"], "Gone"])
      for (let i = 0; i < 5; i++) assert.strictEqual((yield* echo.lookup({})).server, "b:1")
    })
  ],
  [
    "(d) a peer that reconnects looks idle while its calls run",
    Effect.gen(function* () {
      const { pool } = yield* open(["a:1"], { eager: true })
      const { stats } = pool.peers()[0]!
      stats.pending = 3
      stats.forget()
      assert.strictEqual(stats.pending, 3)
      stats.pending = 0
    })
  ],
  [
    "(g) a single peer that cannot be had is used all the same",
    Effect.gen(function* () {
      const { echo } = yield* open(["x:1"], { picker: PickFirst.make() })
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      assert(cause(error) instanceof PickError.NoPeerReady)
    })
  ],
  [
    "(i) a connection for every call",
    Effect.gen(function* () {
      const { echo, network } = yield* open(["a:1"])
      for (let i = 0; i < 5; i++) yield* echo.lookup({})
      assert.strictEqual(network.connections("a:1"), 1)
    })
  ],
  [
    "(j) a dead connection has the fewest calls and draws all of them",
    Effect.gen(function* () {
      const { echo, network } = yield* open(["a:1", "b:1"], { eager: true, picker: LeastPending.make() })
      yield* network.kill("a:1")
      yield* settle
      const calls = yield* Effect.forEach(Array.from({ length: 10 }), () =>
        Effect.forkChild(Effect.exit(echo.echo({ delayMillis: 50 })))
      )
      yield* TestClock.adjust(50)
      assert.isTrue((yield* Fiber.joinAll(calls)).every(Exit.isSuccess))
    })
  ],
  [
    "releasing waits for I/O, and a lock is held meanwhile",
    Effect.gen(function* () {
      const { echo, ids, network, update } = yield* open(["a:1", "b:1"], { eager: true })
      const slow = yield* Effect.forEach([1, 2], () => Effect.forkChild(echo.echo({ delayMillis: 5000 })))
      yield* settle
      yield* update(["b:1", "c:1"])
      // The old one still has its call; the update is done and the new one is used.
      assert.deepStrictEqual([ids(), network.connections("a:1"), network.connections("c:1")], [["b:1", "c:1"], 1, 1])
      yield* TestClock.adjust(5000)
      yield* Fiber.joinAll(slow)
      yield* settle
      assert.strictEqual(network.connections("a:1"), 0)
    })
  ]
]

const run = (body: Check) => body.pipe(Effect.provide(TestNetwork.layer))

describe("what YARPC has", () => {
  it.effect.each(concepts)("%s: %s", ([, , body]) => run(body))
})

describe("what YARPC does wrong", () => {
  it.effect.each(defects)("%s", ([, body]) => run(body))
})

describe("a static list", () => {
  it.effect("is a discovery like any other", () =>
    Effect.gen(function* () {
      const { echo } = yield* open([], { discovery: StaticDiscovery.make(["a:1"]) })
      assert.strictEqual((yield* echo.lookup({})).server, "a:1")
    }).pipe(run)
  )
})
