/** What a balancer does of which only the discovery is said. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, Handlers, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"
import { peerAt } from "../support/peers.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const hosts = ["a:1", "b:1", "c:1"]

/** A network whose hosts fail at once while they are named as broken, and otherwise answer in 20 ms. */
const open = Effect.fnUntraced(function* (names: ReadonlyArray<string>, options?: Partial<Balancer.Options>) {
  const network = yield* TestNetwork.TestNetwork
  const broken = new Set<string>()
  const served = new Map<string, number>()
  for (const host of names) {
    const echo = () =>
      Effect.gen(function* () {
        served.set(host, (served.get(host) ?? 0) + 1)
        if (broken.has(host)) return yield* RpcError.make("UNAVAILABLE", "broken")
        yield* Effect.sleep(20)
        return { server: host }
      })
    yield* network.serve(host, { handlers: [Handlers.partial(EchoService, { lookup: echo })] })
  }
  const layer = Balancer.layer({ discovery: StaticDiscovery.make(names), ...options })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  /** A call every 5 ms for so long; how many failed. */
  const load = Effect.fnUntraced(function* (millis: number) {
    const calls: Array<Fiber.Fiber<Exit.Exit<unknown, RpcError.RpcError>>> = []
    for (let at = 0; at < millis; at += 5) {
      calls.push(yield* Effect.forkChild(Effect.exit(echo.lookup({}))))
      yield* TestClock.adjust(5)
    }
    yield* TestClock.adjust("1 second")
    return (yield* Fiber.joinAll(calls)).filter(Exit.isFailure).length
  })
  return { broken, echo, load, pool: Context.get(context, PeerPool.PeerPool), served }
})

describe("Balancer.layer({ discovery })", () => {
  it.effect(
    "spreads calls, and leaves a peer that fails fast after 5 failures to one call per delay",
    () =>
      Effect.gen(function* () {
        const { broken, load, pool, served } = yield* open(hosts)
        assert.strictEqual(yield* load(3000), 0)
        for (const host of hosts) assert.isAbove(served.get(host)!, 120)
        broken.add("b:1")
        served.clear()
        const failed = yield* load(20_000)
        assert.strictEqual(failed, served.get("b:1"))
        // Of 4000 calls: one failure keeps others away for 5 s, and five in a row for longer.
        assert.isAtMost(failed, 5 + 4)
        assert.strictEqual(pool.stats.panicked, 0)
        broken.clear()
        yield* TestClock.adjust("1 minute")
        yield* load(500)
        served.clear()
        yield* load(3000)
        assert.isAbove(served.get("b:1")!, 120)
      }).pipe(inMemory, Random.withSeed("defaults")),
    60_000
  )

  it.effect("of a single peer never keeps calls from it, and counts the panic", () =>
    Effect.gen(function* () {
      const { broken, echo, pool, served } = yield* open(["a:1"])
      broken.add("a:1")
      for (let i = 0; i < 20; i++) yield* Effect.flip(echo.lookup({}))
      assert.strictEqual(served.get("a:1"), 20)
      assert.strictEqual(pool.stats.panicked, 15)
      broken.clear()
      const call = yield* Effect.forkChild(echo.lookup({}))
      yield* TestClock.adjust(20)
      assert.strictEqual((yield* Fiber.join(call)).server, "a:1")
    }).pipe(inMemory)
  )

  it.effect(
    "is back in one delay after everybody failed",
    () =>
      Effect.gen(function* () {
        const { broken, load, pool, served } = yield* open(hosts)
        yield* load(100)
        for (const host of hosts) broken.add(host)
        yield* load(1000)
        assert.isAbove(pool.stats.panicked, 0)
        broken.clear()
        assert.strictEqual(yield* load(100), 0)
        yield* load(12_000)
        const before = pool.stats.panicked
        served.clear()
        yield* load(2000)
        assert.strictEqual(pool.stats.panicked, before)
        for (const host of hosts) assert.isAbove(served.get(host)!, 60)
      }).pipe(inMemory, Random.withSeed("outage")),
    60_000
  )

  it("remembers latencies of its own, whatever other pools see", () => {
    const [slow, fast] = [Balancer.defaults.picker.load!.make(), Balancer.defaults.picker.load!.make()]
    const { stats } = peerAt("a")
    for (let i = 0; i < 100; i++) slow.observe(peerAt("b").stats, "success", 1000, 0)
    fast.observe(stats, "success", 10, 0)
    assert.strictEqual(fast.cost(stats, 60_000), 10)
  })

  it.effect("with a picker of one's own has no signals but those one names", () =>
    Effect.gen(function* () {
      const { broken, echo, pool, served } = yield* open(["a:1"], { picker: RoundRobin.make() })
      broken.add("a:1")
      for (let i = 0; i < 20; i++) yield* Effect.flip(echo.lookup({}))
      assert.strictEqual(pool.stats.panicked, 0)
      assert.strictEqual(served.get("a:1"), 20)
    }).pipe(inMemory)
  )

  it.effect("can be told to have none", () =>
    Effect.gen(function* () {
      const { broken, echo, pool, served } = yield* open(["a:1"], { signals: [] })
      broken.add("a:1")
      for (let i = 0; i < 20; i++) yield* Effect.flip(echo.lookup({}))
      assert.deepStrictEqual([served.get("a:1"), pool.stats.panicked], [20, 0])
    }).pipe(inMemory)
  )
})
