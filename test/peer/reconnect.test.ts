/** When a peer connects again whose connection was lost. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, RoundRobin, StaticDiscovery } from "trunkline"
import { Peer, PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"

const host = "backend:1"
const inMemory = Effect.provide(TestNetwork.layer)
const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

/** A peer with a connection. */
const connected = Effect.fnUntraced(function* (options?: Peer.Options) {
  const network = yield* TestNetwork.TestNetwork
  yield* network.serve(host, { handlers: [echoHandlers("a")] })
  const peer = yield* Peer.make(endpoint(host), options)
  peer.requestConnect()
  yield* settle
  assert.strictEqual(peer.status.state, "Ready")
  return { network, peer }
})

/** Loses the connection, asks for another, and says after how many milliseconds there is one. */
const again = Effect.fnUntraced(function* (network: TestNetwork.TestNetwork["Service"], peer: Peer.Peer, most = 3000) {
  yield* network.disconnect(host)
  yield* settle
  peer.requestConnect()
  yield* settle
  for (let millis = 0; millis <= most; millis++) {
    if (peer.status.state === "Ready") return millis
    yield* TestClock.adjust(1)
  }
  return Infinity
})

describe("a lost connection", () => {
  it.effect("that has carried a call is opened again at once, however short it was, again and again", () =>
    Effect.gen(function* () {
      const { network, peer } = yield* connected()
      for (let i = 0; i < 20; i++) {
        peer.connection!.enter()
        peer.connection!.leave()
        assert.strictEqual(yield* again(network, peer), 0)
      }
    }).pipe(inMemory)
  )

  it.effect("that has lasted a second is opened again at once, though it carried no call", () =>
    Effect.gen(function* () {
      const { network, peer } = yield* connected()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* again(network, peer), 0)
    }).pipe(inMemory)
  )

  it.effect("that did neither waits for the first delay of the schedule, and no more than a second", () =>
    Effect.gen(function* () {
      const quick = yield* connected({ reconnect: Schedule.exponential("10 millis", 10) })
      for (let i = 0; i < 4; i++) assert.strictEqual(yield* again(quick.network, quick.peer), 10)
      const slow = yield* connected({ reconnect: Schedule.spaced("1 hour") })
      assert.strictEqual(yield* again(slow.network, slow.peer), 1000)
      const once = yield* connected({ reconnect: Schedule.recurs(0) })
      assert.strictEqual(yield* again(once.network, once.peer), 1000)
    }).pipe(inMemory)
  )

  it.effect("is opened as often as the server hangs up, where there is no limit", () =>
    Effect.gen(function* () {
      const { network, peer } = yield* connected({ shortestSession: 0 })
      for (let i = 0; i < 20; i++) assert.strictEqual(yield* again(network, peer), 0)
    }).pipe(inMemory)
  )

  it.effect("after which a connect fails begins backoff anew", () =>
    Effect.gen(function* () {
      const { network, peer } = yield* connected({ reconnect: Schedule.exponential("1 second", 10) })
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("5 seconds")
        yield* network.kill(host)
        yield* settle
        peer.requestConnect()
        yield* settle
        assert.strictEqual(peer.status.state, "Down")
        yield* network.restart(host)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(peer.status.state, "Ready")
      }
    }).pipe(inMemory)
  )
})

describe("a pool", () => {
  it.effect("whose backends all hang up between calls loses none of them, and waits for none", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const hosts = ["a:1", "b:1", "c:1"]
      for (const id of hosts) yield* network.serve(id, { handlers: [echoHandlers(id)] })
      const layer = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make() })
      const context = yield* Layer.build(Layer.orDie(layer))
      const echo = yield* Effect.provideContext(Client.make(EchoService), context)
      yield* echo.lookup({})
      yield* settle
      for (let i = 0; i < 100; i++) {
        // Every peer carries a call, and then all of them say goodbye in one turn.
        for (let j = 0; j < 3; j++) yield* echo.lookup({})
        for (const id of hosts) yield* network.disconnect(id)
        const calls = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.forkChild(Effect.exit(echo.lookup({}))))
        yield* settle
        for (const call of calls) assert.isTrue(Exit.isSuccess(yield* Fiber.join(call)))
      }
      const { peers } = Context.get(context, PeerPool.PeerPool)
      for (const { stats } of peers()) assert.strictEqual(stats.connections.made, 101)
    }).pipe(inMemory)
  )
})
