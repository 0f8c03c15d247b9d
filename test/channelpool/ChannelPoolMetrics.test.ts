import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, ChannelPool, Client, type Endpoint, Introspection, Metrics, Transport } from "trunkline"
import { Connector, Snapshot } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { measured, numbers, sumOf, total } from "../support/numbers.ts"
import { host, open, pass } from "../support/channels.ts"
import { settle } from "../support/multiEndpoints.ts"

const onNetwork = Layer.merge(TestNetwork.layer, measured())

const name = (rest: string): string => `trunkline.channel_pool.${rest}`

/** The least and the most of something, which starts them again. */
const between = Effect.fnUntraced(function* (what: string, labels: Readonly<Record<string, string>> = {}) {
  const all = (yield* numbers).filter(({ id }) => id === name(`${what}_between`))
  const one = (extreme: string) =>
    all.find(
      (series) =>
        series.labels["trunkline.extreme"] === extreme &&
        Object.entries(labels).every(([key, value]) => series.labels[key] === value)
    )?.number
  return [one("least"), one("most")]
})

describe("a channel pool", () => {
  it.effect("says how many channels there are, may be, come and go", () =>
    Effect.gen(function* () {
      const { burst } = yield* open({
        pool: { min: 1, max: 5, initial: 1, minLoad: 2, maxLoad: 5, checkInterval: 1000, drainGrace: 100 }
      })
      const scaled = (direction: string) => total(name("scaled"), { "trunkline.direction": direction })
      yield* between("channels")
      const calls = yield* burst(10, 500)
      assert.strictEqual(yield* total(name("channels"), { "grpc.target": host }), 3)
      assert.strictEqual(yield* total(name("channels_allowed")), 5)
      assert.deepStrictEqual([yield* scaled("up"), yield* scaled("down")], [2, 0])
      yield* pass(1000, 3)
      yield* Fiber.awaitAll(calls)
      assert.deepStrictEqual([yield* scaled("up"), yield* scaled("down")], [2, 2])
      // Whoever reads any of it reads all of it.
      assert.deepStrictEqual(yield* between("channels"), [1, 1])
      yield* pass(1000, 1)
      assert.strictEqual(yield* total(name("connects")), 3)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("keeps the least and the most between two readings", () =>
    Effect.gen(function* () {
      const { burst, echo } = yield* open({ pool: { min: 2, max: 2, initial: 2, maxLoad: 1000 } })
      yield* numbers
      const calls = yield* burst(30, 100)
      yield* pass(100, 1)
      yield* Fiber.awaitAll(calls)
      const seen = yield* numbers
      const of = (what: string, extreme: string) =>
        seen.find(({ id, labels }) => id === name(`${what}_between`) && labels["trunkline.extreme"] === extreme)!.number
      assert.deepStrictEqual([of("load", "least"), of("load", "most")], [0, 30])
      assert.strictEqual(of("channel_load", "least"), 0)
      // The fuller of the two had half or more of them; what they were sent adds up.
      assert.isTrue(of("channel_load", "most") >= 15 && of("channel_load", "most") < 30)
      assert.strictEqual(of("channel_calls", "least") + of("channel_calls", "most"), 30)
      assert.strictEqual(of("channel_calls", "most"), of("channel_load", "most"))
      assert.deepStrictEqual([of("ready", "least"), of("ready", "most")], [2, 2])

      assert.deepStrictEqual(yield* between("load"), [0, 0])
      yield* echo.lookup({})
      assert.deepStrictEqual(yield* between("channel_calls"), [0, 1])
      const slow = yield* burst(3, 100)
      yield* numbers
      assert.deepStrictEqual(yield* between("load"), [3, 3])
      yield* pass(100, 1)
      yield* Fiber.awaitAll(slow)
    }).pipe(Random.withSeed("extremes"), Effect.provide(onNetwork))
  )

  it.effect("counts connections, and how long channels were without one", () =>
    Effect.gen(function* () {
      const { network } = yield* open({
        pool: { min: 2, max: 2, initial: 2 },
        route: (connection) => (connection === 0 ? "a:1" : "b:1")
      })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([yield* total(name("connects")), yield* total(name("disconnects"))], [2, 0])
      assert.deepStrictEqual([yield* total(name("connect_duration")), yield* sumOf(name("connect_duration"))], [2, 0])
      yield* between("ready")
      yield* network.kill("b:1")
      yield* settle
      yield* TestClock.adjust(450)
      yield* network.restart("b:1")
      yield* pass(50, 4)
      assert.deepStrictEqual([yield* total(name("connects")), yield* total(name("disconnects"))], [3, 1])
      assert.strictEqual(yield* sumOf(name("connect_duration")), 0.5)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("counts calls by how they ended, keys and where they went", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open({
        pool: { min: 2, max: 2, initial: 2 },
        route: (connection) => (connection === 1 ? "b:1" : "a:1")
      })
      const keyed = (key: string) => echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey(key))
      yield* TestClock.adjust("2 seconds")
      yield* Effect.forEach(["a", "b", "c"], keyed)
      yield* Effect.exit(echo.lookup({ failCode: 13 }))
      const calls = (result: string) => total(name("calls"), { "trunkline.result": result })
      assert.deepStrictEqual([yield* calls("ok"), yield* calls("error")], [3, 1])
      assert.strictEqual(yield* total(name("keys")), 3)
      assert.deepStrictEqual(yield* between("channel_keys"), [1, 2])
      yield* network.kill("a:1")
      yield* settle
      yield* keyed("a")
      const fallbacks = (result: string) => total(name("fallbacks"), { "trunkline.result": result })
      assert.deepStrictEqual([yield* fallbacks("ok"), yield* fallbacks("error")], [1, 0])
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("counts what did not answer, for how long, and what did not get ready", () =>
    Effect.gen(function* () {
      const { echo } = yield* open({
        pool: { min: 1, max: 1, unresponsive: { failures: 2, silence: 100 }, prime: Effect.fail("not well") }
      })
      for (let i = 0; i < 3; i++) {
        const call = yield* Effect.forkChild(
          Effect.exit(echo.echo({ delayMillis: 60_000 }).pipe(CallOptions.withDeadline(40)))
        )
        yield* pass(40, 1)
        yield* Fiber.join(call)
      }
      yield* pass(500, 2)
      assert.strictEqual(yield* total(name("silences")), 1)
      assert.strictEqual(yield* sumOf(name("silence_duration")), 0.12)
      assert.strictEqual(yield* sumOf(name("silent_calls")), 3)
      assert.strictEqual(yield* total(name("prime_failures")), 1)
    }).pipe(Effect.provide(onNetwork))
  )
})

/** Two endpoints of one channel pool, each with a scope of its own. */
const two = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  for (const name of ["a:1", "b:1"]) yield* network.serve(name, { handlers: [echoHandlers(name)] })
  const connector = yield* Effect.provide(Connector.Connector, ChannelPool.layer({ min: 1, max: 3, initial: 2 }))
  const connect = Effect.fnUntraced(function* (at: Endpoint.Endpoint) {
    const connection = yield* connector.connect(at)
    yield* connection.connect
    yield* settle
    return yield* Effect.provideService(Client.make(EchoService), Transport.Transport, connection.transport)
  })
  return connect
})

describe("endpoints", () => {
  it.effect("are told apart by their labels, and each is reported for as long as it is there", () =>
    Effect.gen(function* () {
      const connect = yield* two
      yield* connect(endpoint("a:1"))
      yield* Effect.scoped(connect(endpoint("b:1")))
      assert.strictEqual(yield* total(name("channels"), { "grpc.target": "a:1" }), 2)
      assert.isFalse(
        (yield* numbers).some(({ id, labels }) => id === name("channels") && labels["grpc.target"] === "b:1")
      )
    }).pipe(Effect.scoped, Effect.provide(onNetwork))
  )

  it.effect("with one label are one: counted together, and what has left stays counted", () =>
    Effect.gen(function* () {
      const connect = yield* two
      const a = yield* connect(endpoint("a:1"))
      yield* a.lookup({})
      yield* Effect.scoped(
        Effect.gen(function* () {
          const b = yield* connect(endpoint("b:1"))
          yield* b.lookup({})
          assert.deepStrictEqual(yield* between("channels"), [0, 4])
          assert.strictEqual(yield* total(name("channels")), 4)
          assert.strictEqual(yield* total(name("calls")), 2)
        })
      )
      assert.strictEqual(yield* total(name("channels"), { "grpc.target": "all" }), 2)
      assert.strictEqual(yield* total(name("calls")), 2)
      assert.strictEqual(yield* total(name("channels_allowed")), 3)
    }).pipe(Effect.scoped, Effect.provide(Layer.merge(TestNetwork.layer, measured({ target: () => "all" }))))
  )

  it.effect("are not reported at all if nobody measures", () =>
    Effect.gen(function* () {
      const { echo } = yield* open({})
      yield* echo.lookup({})
      assert.deepStrictEqual(
        (yield* numbers).filter(({ id }) => id.startsWith("trunkline.channel_pool")),
        []
      )
    }).pipe(Effect.provideService(Metrics.Current, undefined), Effect.provide(onNetwork))
  )
})

it.effect("the page of the program shows each endpoint and its channels", () =>
  Effect.gen(function* () {
    const { echo } = yield* open({ pool: { min: 2, max: 7, initial: 2 } })
    yield* echo.lookup({}).pipe(CallOptions.withAffinityKey("k"))
    const seen = yield* Effect.flatMap(Introspection.Introspection, ({ snapshot }) => snapshot)
    const { channelPools, ...older } = seen
    assert.lengthOf(channelPools!, 1)
    const { channels, endpoint, keys, max, ready } = channelPools![0]!
    assert.deepStrictEqual([endpoint, ready, max, keys], [host, 2, 7, 1])
    assert.deepStrictEqual(
      channels.map(({ calls, draining, keys, ready }) => [calls, keys, ready, draining]),
      [
        [1, 1, true, false],
        [0, 0, true, false]
      ]
    )
    assert.deepStrictEqual((yield* Snapshot.fromJson(JSON.stringify(seen))).channelPools, channelPools)
    // What was written before there were any is still read.
    assert.isUndefined((yield* Snapshot.fromJson(JSON.stringify(older))).channelPools)
  }).pipe(Effect.provide(Layer.merge(TestNetwork.layer, Introspection.layer())))
)
