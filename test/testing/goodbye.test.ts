/** How connections of the network in memory end: with a goodbye, without a word, and with their server. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  Handlers,
  RoundRobin,
  type RpcError,
  Service,
  StaticDiscovery,
  Transport
} from "trunkline"
import { TestNetwork } from "trunkline/testing"

const Slow = Service.make("test.Slow", {
  one: Service.unary(Schema.Number, Schema.String),
  many: Service.serverStreaming(Schema.Number, Schema.String)
})

const hosts = ["a:1", "b:1", "c:1"]

/** Hosts whose calls take as long as they ask for, and a client of them that tries nothing again. */
const world = Effect.fnUntraced(function* (options?: Partial<TestNetwork.ServeOptions<never>>) {
  const network = yield* TestNetwork.TestNetwork
  const servers = yield* Scope.make()
  for (const host of hosts) {
    const handlers = Handlers.make(Slow, {
      one: (millis) => Effect.as(Effect.sleep(millis), host),
      many: (millis) => Stream.fromEffect(Effect.as(Effect.sleep(millis), host))
    })
    yield* Scope.provide(network.serve(host, { ...options, handlers: [handlers] }), servers)
  }
  const transport = yield* Balancer.make({
    discovery: StaticDiscovery.make(hosts),
    picker: RoundRobin.make(),
    eager: true
  })
  const client = yield* Effect.provideService(Client.make(Slow), Transport.Transport, transport)
  const calls = {
    one: client.one,
    many: (millis: number) => Effect.map(Stream.runCollect(client.many(millis)), ([first]) => first!)
  }
  yield* TestClock.adjust("5 seconds")
  return { network, servers, calls }
})

const inMemory = Effect.provide(TestNetwork.layer)
const kinds = ["one", "many"] as const

describe("a goodbye", () => {
  it.effect.each(kinds)("lets a started call end, and no other begin: %s", (kind) =>
    Effect.gen(function* () {
      const { calls, network } = yield* world()
      const started = yield* Effect.forEach(hosts, () => Effect.forkChild(calls[kind](1000)))
      yield* TestClock.adjust(500)
      for (const host of hosts) yield* network.disconnect(host)
      // What ends its calls, and what was opened in its place.
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(hosts.map(network.connections), [2, 2, 2])
      assert.include(hosts, yield* calls[kind](0))
      yield* TestClock.adjust(499)
      assert.sameMembers(yield* Fiber.joinAll(started), hosts)
      assert.deepStrictEqual(hosts.map(network.connections), [1, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("with every connection, each 50 ms, costs no call", () =>
    Effect.gen(function* () {
      const { calls, network } = yield* world()
      const storm = Effect.forEach(hosts, network.disconnect).pipe(Effect.repeat(Schedule.spaced("50 millis")))
      for (const host of hosts) yield* network.setLatency(host, 5)
      yield* Effect.forkScoped(storm)
      const all: Array<Fiber.Fiber<string, RpcError.RpcError>> = []
      for (let n = 0; n < 200; n++) {
        all.push(yield* Effect.forkChild(calls[kinds[n % 2]!](n % 90)))
        yield* TestClock.adjust(10)
      }
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.joinAll(all)).length, 200)
    }).pipe(Effect.scoped, inMemory)
  )
})

describe("a connection that breaks", () => {
  it.effect.each(kinds)("fails its calls, which may have run: %s", (kind) =>
    Effect.gen(function* () {
      const { calls, network } = yield* world()
      const started = yield* Effect.forEach(hosts, () => Effect.forkChild(Effect.flip(calls[kind](1000))))
      yield* TestClock.adjust(500)
      // Also those on a connection that has been told goodbye.
      yield* network.disconnect("a:1")
      for (const host of hosts) yield* network.reset(host)
      for (const { code, origin, progress } of yield* Fiber.joinAll(started)) {
        assert.deepStrictEqual([code, origin, progress], ["UNAVAILABLE", "local", "processed"])
      }
      // The hosts serve on.
      assert.include(hosts, yield* calls[kind](0))
    }).pipe(inMemory)
  )
})

describe("a server that stops", () => {
  it.effect.each(kinds)("waits for its calls, and tells the rest UNAVAILABLE: %s", (kind) =>
    Effect.gen(function* () {
      const { calls, network, servers } = yield* world({ drainTimeout: "1 second" })
      const start = yield* Clock.currentTimeMillis
      const ended = (millis: number) =>
        Effect.match(calls[kind](millis), {
          onFailure: ({ code, origin, progress }) => `${code} ${origin} ${progress}`,
          onSuccess: () => "OK"
        }).pipe(Effect.flatMap((how) => Effect.map(Clock.currentTimeMillis, (now) => `${how} at ${now - start}`)))
      const fibers = yield* Effect.forEach([600, 2000], (millis) => Effect.forkChild(ended(millis)))
      yield* TestClock.adjust(100)
      const stopped = yield* Effect.forkChild(Scope.close(servers, Exit.void))
      yield* TestClock.adjust("1 minute")
      const [short, long] = yield* Fiber.joinAll(fibers)
      assert.strictEqual(short, "OK at 600")
      // The servers stop one after the other, each with its own second.
      assert.match(long!, /^UNAVAILABLE remote processed at (11|16|21)00$/)
      assert.isDefined(stopped.pollUnsafe())
      assert.deepStrictEqual(hosts.map(network.connections), [0, 0, 0])
    }).pipe(inMemory)
  )
})

describe("what the network refuses", () => {
  it.effect.each([-1, NaN, Infinity, "-5 seconds", "Infinity"] as const)("a latency of %s, by its name", (latency) =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const error = yield* Effect.flip(network.setLatency("a:1", latency))
      assert.deepStrictEqual([error._tag, error.field], ["InvalidTestNetwork", "latency"])
    }).pipe(inMemory)
  )

  it.effect("metadata over the bound, before anything is sent", () =>
    Effect.gen(function* () {
      const { calls } = yield* world()
      const call = calls.one(0).pipe(CallOptions.withMetadata({ "x-large": "x".repeat(3000) }))
      const { code, message, origin, progress } = yield* Effect.flip(call)
      assert.deepStrictEqual([code, origin, progress], ["RESOURCE_EXHAUSTED", "local", "not_started"])
      assert.include(message, "x-large")
    }).pipe(Effect.provide(TestNetwork.layerWith({ maxMetadataBytes: 2000 })))
  )
})
