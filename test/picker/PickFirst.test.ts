import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, PickFirst, StaticDiscovery, Transport } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { callWith, peerAt, picks, setOf, start } from "../support/peers.ts"

const asked = (peer: ReturnType<typeof peerAt>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(peer.connectRequested)
    yield* Effect.yieldNow
    const done = fiber.pollUnsafe() !== undefined
    yield* Fiber.interrupt(fiber)
    return done
  })

const allAsked = (peers: ReadonlyArray<ReturnType<typeof peerAt>>) =>
  Effect.map(Effect.forEach(peers, asked), (all) => peers.filter((_, i) => all[i]).map(({ id }) => id))

describe("PickFirst", () => {
  it.effect("asks the next one every 250 ms while nobody is ready", () =>
    Effect.gen(function* () {
      const peers = ["a", "b", "c"].map((name) => peerAt(name, "Idle"))
      yield* start(PickFirst.make(), setOf(...peers))
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1"])
      yield* TestClock.adjust(249)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1", "b:1"])
      yield* TestClock.adjust(250)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1", "b:1", "c:1"])
    })
  )

  it.effect("a change of status neither starts the wait again nor cuts it short; a failure ends it", () =>
    Effect.gen(function* () {
      const peers = ["a", "b", "c"].map((name) => peerAt(name, "Idle"))
      const { give } = yield* start(PickFirst.make(), setOf(...peers))
      yield* TestClock.adjust(100)
      peers[0]!.transition({ _tag: "ConnectStarted" }, 0)
      yield* give(setOf(...peers))
      yield* TestClock.adjust(149)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1"])
      peers[0]!.transition({ _tag: "ConnectFailed", cause: "refused" }, 0)
      yield* give(setOf(...peers))
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1", "b:1"])
      yield* TestClock.adjust(249)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1", "b:1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1", "b:1", "c:1"])
    })
  )

  it.effect("those that are down already cost no time", () =>
    Effect.gen(function* () {
      const [a, b, c] = [peerAt("a", "Down"), peerAt("b", "Idle"), peerAt("c", "Idle")]
      yield* start(PickFirst.make(), setOf(a, b, c))
      assert.deepStrictEqual(yield* allAsked([b, c]), ["b:1"])
    })
  )

  it.effect("families of addresses take turns", () =>
    Effect.gen(function* () {
      const peers = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"].map((name) => peerAt(name, "Idle"))
      yield* start(PickFirst.make(), setOf(...peers))
      const order: Array<string> = []
      for (let i = 0; i < 5; i++) {
        for (const id of yield* allAsked(peers)) if (!order.includes(id)) order.push(id)
        yield* TestClock.adjust(250)
      }
      assert.deepStrictEqual(order, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"])
    })
  )

  it.effect.each([
    [1, 100],
    [500, 500],
    [60_000, 2000]
  ] as const)("an attempt delay of %i ms is one of %i ms", ([given, taken]) =>
    Effect.gen(function* () {
      const peers = ["a", "b"].map((name) => peerAt(name, "Idle"))
      yield* start(PickFirst.make({ attemptDelay: given }), setOf(...peers))
      yield* TestClock.adjust(taken - 1)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* allAsked(peers), ["a:1", "b:1"])
    })
  )

  it.effect("stays with a peer while it is ready, even if an earlier one comes back", () =>
    Effect.gen(function* () {
      const [a, b] = [peerAt("a", "Down"), peerAt("b")]
      const { latest } = yield* start(PickFirst.make(), setOf(a, b), setOf(peerAt("a"), b))
      assert.deepStrictEqual(yield* picks(latest(), 1), ["b:1"])
    })
  )

  it.effect("a call that has failed on it goes to another ready one, if there is one", () =>
    Effect.gen(function* () {
      const { latest } = yield* start(PickFirst.make(), setOf(peerAt("a"), peerAt("b")))
      const call = callWith({})
      call.triedPeers = ["a:1"]
      assert.strictEqual((latest().pick(call, 0) as { id: string }).id, "b:1")
      call.triedPeers = ["a:1", "b:1"]
      assert.strictEqual((latest().pick(call, 0) as { id: string }).id, "a:1")
    })
  )

  it.effect("a first host that never answers costs 250 ms and no more, and is let go", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      for (const host of ["a:1", "b:1", "c:1"]) yield* network.serve(host, { handlers: [echoHandlers(host)] })
      yield* network.silence("a:1")
      const transport = yield* Balancer.make({
        discovery: StaticDiscovery.make(["a:1", "b:1", "c:1"]),
        picker: PickFirst.make()
      })
      const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, transport)
      const call = yield* Effect.forkChild(echo.lookup({}))
      yield* TestClock.adjust(0)
      yield* TestClock.adjust(249)
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(call)).server, "b:1")
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(["a:1", "b:1", "c:1"].map(network.connections), [0, 1, 0])
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
