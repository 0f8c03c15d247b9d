/** Where good parts make a bad whole: signals, weights and panic together. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  type Code,
  Client,
  FailureAccrual,
  Handlers,
  LeastPending,
  OutlierDetection,
  Panic,
  PowerOfTwo,
  Priority,
  RoundRobin,
  RpcError,
  SlowStart,
  Endpoint
} from "trunkline"
import { PeerPool, Discovery } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"

const inMemory = Effect.provide(TestNetwork.layer)

interface Host {
  fails?: Code.Code | undefined
  millis: number
  served: number
}

/** A network of hosts that do as the test says, and a pool over them. */
const open = Effect.fnUntraced(function* (
  endpoints: ReadonlyArray<Endpoint.Endpoint>,
  options: Partial<Balancer.Options>
) {
  const network = yield* TestNetwork.TestNetwork
  const hosts: Record<string, Host> = {}
  for (const { id } of endpoints) {
    const host: Host = (hosts[id] = { millis: 0, served: 0 })
    const lookup = Effect.fnUntraced(function* () {
      host.served++
      if (host.millis > 0) yield* Effect.sleep(host.millis)
      if (host.fails !== undefined) return yield* RpcError.make(host.fails, "as told")
      return { server: id }
    })
    yield* network.serve(id, { handlers: [Handlers.partial(EchoService, { lookup })] })
  }
  const discovery = Discovery.make("hosts", Stream.concat(Stream.make(endpoints), Stream.never))
  const layer = Balancer.layer({ discovery, eager: true, ...options })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  yield* Effect.repeat(TestClock.adjust(0), { times: 5 })
  const calls = Effect.fnUntraced(function* (count: number) {
    for (const host of Object.values(hosts)) host.served = 0
    let failed = 0
    for (let i = 0; i < count; i++) {
      const call = yield* Effect.forkChild(Effect.exit(echo.lookup({})))
      yield* TestClock.adjust(10)
      failed += Exit.isFailure(yield* Fiber.join(call)) ? 1 : 0
    }
    return failed
  })
  return { calls, echo, hosts, network, pool: Context.get(context, PeerPool.PeerPool) }
})

const five = ["a:1", "b:1", "c:1", "d:1", "e:1"].map(endpoint)

describe("interplay", () => {
  it.effect("(1) two detectors and panic agree on one verdict, and panic does not let anybody back in silence", () =>
    Effect.gen(function* () {
      const { calls, hosts, pool } = yield* open(five, {
        picker: Panic.below(RoundRobin.make(), 0.5),
        signals: [
          FailureAccrual.make({ policy: FailureAccrual.consecutive(3) }),
          OutlierDetection.make({ comparisons: [OutlierDetection.failurePercentage({ requestVolume: 3 })] })
        ]
      })
      hosts["a:1"]!.fails = "UNAVAILABLE"
      hosts["b:1"]!.fails = "UNAVAILABLE"
      assert.strictEqual(yield* calls(100), 6)
      assert.strictEqual(pool.stats.panicked, 0)
      hosts["c:1"]!.fails = "UNAVAILABLE"
      yield* calls(100)
      // Three of five are out: all are used again, and each such call is counted.
      const { served } = hosts["a:1"]!
      assert.isAbove(served, 10)
      assert.isAtLeast(pool.stats.panicked, served)
    }).pipe(inMemory, Random.withSeed("one"))
  )

  it.effect("(3) being told to ask for less is no success: it trips a share of failures, and not a row", () =>
    Effect.gen(function* () {
      for (const [policy, trips] of [
        [FailureAccrual.successRate(), true],
        [FailureAccrual.consecutive(5), false]
      ] as const) {
        const { calls, hosts } = yield* open(five, {
          picker: RoundRobin.make(),
          signals: [FailureAccrual.make({ policy, delay: "1 hour" })]
        })
        hosts["a:1"]!.fails = "RESOURCE_EXHAUSTED"
        const failed = yield* calls(100)
        assert.strictEqual(failed, trips ? 5 : 20)
      }
    }).pipe(inMemory)
  )

  it.effect(
    "(4) a new peer is warmed up slowly, though it has the fewest calls",
    () =>
      Effect.gen(function* () {
        for (const [picker, most] of [
          [PowerOfTwo.make(), 0.08],
          [Priority.failover(PowerOfTwo.make()), 0.08]
        ] as const) {
          const { echo, hosts, network } = yield* open(five, { picker, signals: [SlowStart.make()] })
          for (const host of Object.values(hosts)) host.millis = 100
          yield* TestClock.adjust("1 minute")
          yield* network.disconnect("a:1")
          yield* Effect.repeat(TestClock.adjust(0), { times: 5 })
          const served = Effect.fnUntraced(function* (calls: number) {
            for (const host of Object.values(hosts)) host.served = 0
            for (let i = 0; i < calls; i++) {
              yield* Effect.forkChild(echo.lookup({}))
              yield* TestClock.adjust(4)
            }
            return hosts["a:1"]!.served / calls
          })
          assert.isBelow(yield* served(250), most)
          assert.isAbove(hosts["a:1"]!.served, 0)
          yield* TestClock.adjust("1 minute")
          assert.approximately(yield* served(250), 0.2, 0.06)
          yield* TestClock.adjust("1 second")
        }
      }).pipe(inMemory, Random.withSeed("four")),
    30_000
  )

  it.effect("(6) an attempt that runs out of its own time is a failure of the peer", () =>
    Effect.gen(function* () {
      const { echo, hosts, pool } = yield* open(five.slice(0, 1), {
        picker: RoundRobin.make(),
        signals: [FailureAccrual.make({ delay: "1 hour" })]
      })
      hosts["a:1"]!.millis = 10_000
      for (let i = 0; i < 5; i++) {
        const call = yield* Effect.forkChild(Effect.flip(echo.lookup({}).pipe(CallOptions.withTimeout("1 second"))))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(call)).code, "DEADLINE_EXCEEDED")
      }
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      assert.include(error.message, "a:1 Ejected (5 failures in a row)")
      assert.strictEqual(pool.peers()[0]!.stats.started, 5)
    }).pipe(inMemory)
  )

  it.effect("(10) a peer that is well again comes back through one call, and then slowly", () =>
    Effect.gen(function* () {
      const { calls, hosts, pool } = yield* open(five, {
        picker: PowerOfTwo.make(),
        signals: [FailureAccrual.make({ delay: "10 seconds" }), SlowStart.make({ window: "20 seconds" })]
      })
      yield* TestClock.adjust("1 minute")
      hosts["a:1"]!.fails = "UNAVAILABLE"
      assert.strictEqual(yield* calls(100), 5)
      hosts["a:1"]!.fails = undefined
      yield* TestClock.adjust("20 seconds")
      yield* calls(60)
      assert.strictEqual(pool.stats.probes, 1)
      assert.isBelow(hosts["a:1"]!.served, 8)
      yield* TestClock.adjust("20 seconds")
      yield* calls(500)
      assert.approximately(hosts["a:1"]!.served / 500, 0.2, 0.06)
    }).pipe(inMemory, Random.withSeed("ten"))
  )

  it.effect("a lower group takes over from one whose every peer is ejected, and gives back by one call", () =>
    Effect.gen(function* () {
      const first = Endpoint.make(endpoint("a:1").address)
      const second = Endpoint.make(endpoint("b:1").address, { priority: 1 })
      const { calls, hosts, pool } = yield* open([first, second], {
        picker: Priority.failover(LeastPending.make()),
        signals: [FailureAccrual.make()]
      })
      hosts["a:1"]!.fails = "UNAVAILABLE"
      assert.strictEqual(yield* calls(50), 5)
      assert.strictEqual(hosts["b:1"]!.served, 45)
      hosts["a:1"]!.fails = undefined
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* calls(50), 0)
      assert.deepStrictEqual([hosts["a:1"]!.served, pool.stats.probes], [50, 1])
    }).pipe(inMemory)
  )
})
