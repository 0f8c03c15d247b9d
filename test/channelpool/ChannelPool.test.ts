import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Random, Ref, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, ChannelPool, Client, RoundRobin, StaticDiscovery } from "trunkline"
import { Connector } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"
import { settle } from "../support/multiEndpoints.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const host = "a:1"

/** A client over a channel pool to one host, in a scope of its own. */
const open = Effect.fnUntraced(function* (options?: ChannelPool.Options) {
  const network = yield* TestNetwork.TestNetwork
  yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const scope = yield* Scope.make()
  // Calls that still run hold the close up until the drain timeout.
  yield* Effect.addFinalizer(() =>
    Effect.all([Scope.close(scope, Exit.void), Effect.andThen(settle, TestClock.adjust("10 seconds"))], {
      concurrency: "unbounded"
    })
  )
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make([host]),
    picker: RoundRobin.make(),
    eager: true,
    reconnect: Schedule.spaced("100 millis")
  }).pipe(Layer.provideMerge(ChannelPool.layer({ reconnect: Schedule.spaced("100 millis"), ...options })))
  const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
  yield* settle
  /** The one group there is. */
  const pool = Effect.map(snapshot, (groups) => {
    assert.lengthOf(groups, 1)
    return groups[0]!
  })
  /** So many calls that take so long. */
  const burst = (calls: number, delayMillis: number) =>
    Effect.tap(
      Effect.forEach(Array.from({ length: calls }), () => Effect.forkChild(Effect.exit(echo.echo({ delayMillis })))),
      () => settle
    )
  return { burst, close: Scope.close(scope, Exit.void), echo, network, pool, snapshot }
})

const size = <E>(pool: Effect.Effect<ChannelPool.Snapshot, E>) => Effect.map(pool, ({ size }) => size)

describe("one connection made of several", () => {
  it.effect("opens as many as it is told, and calls use all of them", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open({ min: 3, max: 5, initial: 4 })
      assert.strictEqual(network.connections(host), 4)
      yield* Effect.forEach(Array.from({ length: 200 }), () => echo.lookup({}))
      const { channels, load, succeeded } = yield* pool
      assert.deepStrictEqual([succeeded, load], [200, 0])
      for (const { calls } of channels) assert.isAbove(calls, 20)
    }).pipe(inMemory)
  )

  it.effect("is ready as soon as one is", () =>
    Effect.gen(function* () {
      const inner = yield* Connector.Connector
      const network = yield* TestNetwork.TestNetwork
      yield* network.silence("slow:1")
      yield* network.serve(host, { handlers: [echoHandlers(host)] })
      let opened = 0
      // Every connection but the first goes to a host that never answers.
      const first = Connector.Connector.of({
        connect: (endpoint) => inner.connect(opened++ === 0 ? endpoint : { ...endpoint, id: "slow:1" })
      })
      const layer = Balancer.layer({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make() }).pipe(
        Layer.provideMerge(ChannelPool.layer({ min: 3, initial: 3 })),
        Layer.provide(Layer.succeed(Connector.Connector, first))
      )
      const context = yield* Layer.build(Layer.orDie(layer))
      const echo = yield* Effect.provideContext(Client.make(EchoService), context)
      for (let i = 0; i < 20; i++) yield* echo.lookup({})
      const [group] = yield* Context.get(context, ChannelPool.ChannelPool).snapshot
      assert.deepStrictEqual([group!.ready, group!.channels[0]!.calls], [1, 20])
    }).pipe(inMemory)
  )

  it.effect("that is lost is opened again, and calls use the others meanwhile", () =>
    Effect.gen(function* () {
      const inner = yield* Connector.Connector
      const network = yield* TestNetwork.TestNetwork
      for (const name of [host, "b:1"]) yield* network.serve(name, { handlers: [echoHandlers(name)] })
      let opened = 0
      const both = Connector.Connector.of({
        connect: (endpoint) => inner.connect(opened++ === 0 ? endpoint : { ...endpoint, id: "b:1" })
      })
      const layer = Balancer.layer({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make() }).pipe(
        Layer.provideMerge(ChannelPool.layer({ min: 2, initial: 2, reconnect: Schedule.spaced("100 millis") })),
        Layer.provide(Layer.succeed(Connector.Connector, both))
      )
      const context = yield* Layer.build(Layer.orDie(layer))
      const echo = yield* Effect.provideContext(Client.make(EchoService), context)
      const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
      yield* echo.lookup({})
      yield* TestClock.adjust("2 seconds")
      yield* network.kill("b:1")
      yield* settle
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* echo.lookup({})).server, host)
      assert.deepStrictEqual(
        (yield* snapshot).map(({ ready, size }) => [size, ready]),
        [[2, 1]]
      )
      yield* network.restart("b:1")
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual(
        (yield* snapshot).map(({ ready, size }) => [size, ready]),
        [[2, 2]]
      )
    }).pipe(inMemory)
  )

  it.effect("when all are lost it is lost, and its peer opens another", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open({ min: 2, initial: 2 })
      yield* TestClock.adjust("2 seconds")
      yield* network.kill(host)
      yield* settle
      assert.strictEqual((yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))).code, "UNAVAILABLE")
      yield* network.restart(host)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.strictEqual((yield* echo.lookup({})).server, host)
      assert.deepStrictEqual([(yield* pool).ready, network.connections(host)], [2, 2])
    }).pipe(inMemory)
  )

  it.effect("that cannot be opened says why", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.kill(host)
      const layer = Balancer.layer({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make() }).pipe(
        Layer.provide(ChannelPool.layer())
      )
      const error = yield* Effect.flip(
        Effect.flatMap(Client.make(EchoService), (echo) => echo.lookup({})).pipe(
          Effect.provide(Layer.orDie(layer)),
          Effect.forkChild,
          Effect.tap(() => settle),
          Effect.tap(() => TestClock.adjust("1 second")),
          Effect.flatMap(Fiber.join)
        )
      )
      assert.include(error.message, `connection refused by ${host}`)
    }).pipe(inMemory)
  )

  it.effect("closes all of its connections when calls have drained", () =>
    Effect.gen(function* () {
      const { burst, close, network, snapshot } = yield* open({ min: 4, initial: 4 })
      const calls = yield* burst(8, 3000)
      const closing = yield* Effect.forkChild(close)
      yield* settle
      yield* TestClock.adjust(2999)
      assert.strictEqual(network.connections(host), 4)
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      for (const call of calls) assert.isTrue(Exit.isSuccess(yield* Fiber.join(call)))
      assert.deepStrictEqual([network.connections(host), (yield* snapshot).length], [0, 0])
    }).pipe(inMemory)
  )
})

for (const wire of wires) {
  wire.it(`calls share several connections ${wire.name}`, () =>
    Effect.gen(function* () {
      const address = yield* wire.serve([echoHandlers("served")])
      const layer = Balancer.layer({
        discovery: StaticDiscovery.make([address]),
        picker: RoundRobin.make(),
        eager: true
      }).pipe(Layer.provideMerge(ChannelPool.layer({ min: 4, initial: 4 })))
      const context = yield* Layer.build(Layer.orDie(layer))
      const echo = yield* Effect.provideContext(Client.make(EchoService), context)
      const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
      // All of them, so that calls find more than the first.
      const allReady = Effect.map(snapshot, ([group]) => group?.ready === 4)
      yield* Effect.andThen(wire.pass(10), allReady).pipe(Effect.repeat({ until: (ready) => ready }))
      yield* Effect.forEach(Array.from({ length: 100 }), (_, i) => echo.lookup({ text: `${i}` }), { concurrency: 20 })
      yield* Stream.runDrain(echo.expand({ count: 3 }))
      const [group] = yield* snapshot
      assert.deepStrictEqual([group!.size, group!.ready, group!.load, group!.succeeded], [4, 4, 0, 101])
      for (const { calls } of group!.channels) assert.isAbove(calls, 5)
    }).pipe(Effect.provide(wire.layer))
  )
}

describe("counting", () => {
  it.effect("a burst sees its own effect: 200 calls at once over two channels", () =>
    Effect.gen(function* () {
      const { burst, pool } = yield* open({ min: 2, max: 2, initial: 2, maxLoad: 1000 })
      // One channel has just answered; that does not make it better.
      const calls = yield* burst(200, 1000)
      const { channels, load } = yield* pool
      assert.strictEqual(load, 200)
      assert.strictEqual(
        channels.reduce((sum, channel) => sum + channel.load, 0),
        200
      )
      for (const channel of channels) assert.isAbove(channel.load, 60)
      yield* Fiber.interruptAll(calls.slice(0, 50))
      yield* TestClock.adjust(1000)
      yield* Fiber.awaitAll(calls)
      const after = yield* pool
      assert.deepStrictEqual([after.load, ...after.channels.map(({ load }) => load)], [0, 0, 0])
      assert.deepStrictEqual([after.succeeded, after.failed], [150, 0])
    }).pipe(inMemory)
  )

  it.effect("streams are counted until they end or are left", () =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open()
      const load = Effect.map(pool, ({ load }) => load)
      yield* Stream.runDrain(echo.expand({ count: 3 }))
      assert.strictEqual(yield* load, 0)
      yield* Stream.runForEach(Stream.take(echo.expand({ count: 3 }), 1), () =>
        Effect.map(load, (load) => assert.strictEqual(load, 1))
      )
      assert.strictEqual(yield* load, 0)
      yield* Effect.exit(Stream.runDrain(echo.expand({ count: 1, failCode: 13 })))
      assert.deepStrictEqual([yield* load, (yield* pool).failed], [0, 1])
    }).pipe(inMemory)
  )

  /** How much busier the hottest channel is than the one in the middle. */
  const heat = (numbers: ReadonlyArray<number>): number => {
    const sorted = numbers.toSorted((a, b) => a - b)
    return sorted.at(-1)! / sorted[Math.floor(sorted.length / 2)]!
  }

  /** 300 callers that make five calls each, of a length between the bounds. */
  const callers = (echo: Client.Client<typeof EchoService>, least: number, most: number) =>
    Effect.forEach(Array.from({ length: 300 }), () =>
      Effect.gen(function* () {
        const random = yield* Random.Random
        for (let i = 0; i < 5; i++) {
          yield* echo.echo({ delayMillis: least + Math.floor(random.nextDoubleUnsafe() * (most - least)) })
        }
      }).pipe(Effect.forkChild)
    )

  it.effect.each([2, 3, 8, 16, 48])("no channel is hot: 300 callers, five calls each, %i channels", (channels) =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open({ min: channels, max: channels, initial: channels, maxLoad: 1000 })
      const calling = yield* callers(echo, 50, 150)
      yield* settle
      const busy = yield* pool
      assert.strictEqual(busy.load, 300)
      assert.isAtMost(heat(busy.channels.map(({ load }) => load)), 1.5)
      for (let i = 0; i < 15; i++) yield* Effect.andThen(TestClock.adjust(50), settle)
      yield* Fiber.awaitAll(calling)
      const after = yield* pool
      assert.strictEqual(after.load, 0)
      assert.strictEqual(
        after.channels.reduce((sum, { calls }) => sum + calls, 0),
        1500
      )
      assert.isAtMost(heat(after.channels.map(({ calls }) => calls)), 1.5)
    }).pipe(Random.withSeed("channels"), inMemory)
  )

  it.effect("nor while the pool grows from 2 to what 300 callers want, once it is there", () =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open({ min: 2, max: 48, initial: 2, minLoad: 15, maxLoad: 25 })
      const calling = yield* callers(echo, 40_000, 80_000)
      for (let i = 0; i < 40; i++) {
        yield* TestClock.adjust(5000)
        yield* settle
        const { size } = yield* pool
        assert.isAtMost(size, 48)
      }
      const { channels, load, size } = yield* pool
      assert.strictEqual(load, 300)
      assert.isTrue(size >= 12 && size <= 20, `${size} channels`)
      assert.isAtMost(heat(channels.map(({ load }) => load)), 1.5)
      yield* Fiber.interruptAll(calling)
    }).pipe(Random.withSeed("growing"), inMemory)
  )
})

describe("scaling", () => {
  const small = { min: 1, max: 5, initial: 1, minLoad: 2, maxLoad: 5, coolDown: 10 } as const

  it.effect("a burst opens more, in steps with a pause between them, and what runs stays where it is", () =>
    Effect.gen(function* () {
      const { burst, pool } = yield* open({ ...small, max: 9 })
      yield* burst(10, 60_000)
      assert.strictEqual(yield* size(pool), 3)
      assert.deepStrictEqual(
        (yield* pool).channels.map(({ load }) => load),
        [10, 0, 0]
      )
      yield* burst(20, 60_000)
      assert.strictEqual(yield* size(pool), 3)
      yield* TestClock.adjust(9)
      yield* burst(1, 60_000)
      assert.strictEqual(yield* size(pool), 3)
      yield* TestClock.adjust(1)
      yield* burst(1, 60_000)
      assert.strictEqual(yield* size(pool), 5)
    }).pipe(inMemory)
  )

  it.effect("an added channel is seen by calls only when it is primed", () =>
    Effect.gen(function* () {
      const primed = yield* Ref.make(0)
      const { burst, network, pool } = yield* open({
        ...small,
        prime: Effect.andThen(
          Effect.sleep(5000),
          Ref.update(primed, (n) => n + 1)
        )
      })
      const calls = yield* burst(10, 60_000)
      assert.deepStrictEqual([yield* size(pool), network.connections(host), yield* Ref.get(primed)], [1, 3, 0])
      yield* TestClock.adjust(4999)
      yield* settle
      assert.strictEqual(yield* size(pool), 1)
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual([yield* size(pool), yield* Ref.get(primed)], [3, 2])
      yield* Fiber.interruptAll(calls)
    }).pipe(inMemory)
  )

  it.effect("priming is tried three times; what fails then is thrown away, and may be wanted again", () =>
    Effect.gen(function* () {
      const fails = yield* Ref.make(2)
      const prime = Effect.flatMap(
        Ref.getAndUpdate(fails, (n) => n - 1),
        (left) => (left > 0 ? Effect.fail("not yet") : Effect.void)
      )
      const { burst, network, pool } = yield* open({ ...small, max: 2, prime })
      yield* burst(10, 600_000)
      assert.strictEqual(yield* size(pool), 1)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual([yield* size(pool), (yield* pool).primeFailures], [2, 0])

      yield* Ref.set(fails, 3)
      const again = yield* open({ ...small, max: 2, prime })
      yield* again.burst(10, 600_000)
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual([yield* size(again.pool), (yield* again.pool).primeFailures], [1, 1])
      assert.strictEqual(network.connections(host), 3)
      yield* again.burst(1, 600_000)
      assert.strictEqual(yield* size(again.pool), 2)
    }).pipe(inMemory)
  )

  it.effect("a primer that hangs is given up at its limit", () =>
    Effect.gen(function* () {
      const { burst, network, pool } = yield* open({ ...small, max: 2, prime: Effect.never, primeTimeout: 20 })
      yield* burst(10, 600_000)
      for (let i = 0; i < 60; i++) yield* Effect.andThen(TestClock.adjust(10), settle)
      assert.deepStrictEqual([(yield* pool).primeFailures, network.connections(host)], [1, 1])
    }).pipe(inMemory)
  )

  it.effect(
    "three quiet checks take two away, the least busy and then the oldest; they close after their calls and the grace",
    () =>
      Effect.gen(function* () {
        const { burst, network, pool } = yield* open({
          min: 1,
          initial: 6,
          minLoad: 10,
          maxLoad: 25,
          checkInterval: "3 minutes",
          drainGrace: "1 minute"
        })
        const calls = yield* burst(1, 12 * 60_000)
        for (let i = 0; i < 2; i++) yield* Effect.andThen(TestClock.adjust("3 minutes"), settle)
        assert.strictEqual(yield* size(pool), 6)
        yield* TestClock.adjust("3 minutes")
        yield* settle
        const { channels } = yield* pool
        assert.strictEqual(yield* size(pool), 4)
        const gone = channels.filter(({ draining }) => draining)
        assert.deepStrictEqual(
          gone.map(({ load }) => load),
          [0, 0]
        )
        assert.strictEqual(network.connections(host), 6)
        yield* TestClock.adjust(59_999)
        assert.strictEqual(network.connections(host), 6)
        yield* TestClock.adjust(1)
        yield* settle
        assert.strictEqual(network.connections(host), 4)
        yield* TestClock.adjust("3 minutes")
        yield* Fiber.awaitAll(calls)
      }).pipe(inMemory)
  )

  it.effect("a channel that is taken away with a call on it closes when that has ended", () =>
    Effect.gen(function* () {
      const { burst, network, pool } = yield* open({
        min: 1,
        initial: 3,
        minLoad: 10,
        maxLoad: 25,
        checkInterval: 1000,
        drainGrace: 1000
      })
      const calls = yield* burst(12, 10_000)
      for (let i = 0; i < 3; i++) yield* Effect.andThen(TestClock.adjust(1000), settle)
      assert.strictEqual(yield* size(pool), 1)
      yield* TestClock.adjust(6999)
      assert.strictEqual(network.connections(host), 3)
      yield* TestClock.adjust(1)
      for (const call of calls) assert.isTrue(Exit.isSuccess(yield* Fiber.join(call)))
      yield* settle
      yield* TestClock.adjust(999)
      assert.strictEqual(network.connections(host), 3)
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(network.connections(host), 1)
    }).pipe(inMemory)
  )

  it.effect("one that drains is taken back before another is opened, and its timer does nothing any more", () =>
    Effect.gen(function* () {
      const { burst, network, pool } = yield* open({
        ...small,
        min: 1,
        max: 3,
        initial: 3,
        checkInterval: 1000,
        drainGrace: 10_000
      })
      for (let i = 0; i < 3; i++) yield* Effect.andThen(TestClock.adjust(1000), settle)
      assert.strictEqual(yield* size(pool), 1)
      yield* burst(10, 600_000)
      const { opened, reused, size: now } = yield* pool
      assert.deepStrictEqual([now, reused, opened, network.connections(host)], [3, 2, 3, 3])
      yield* TestClock.adjust(60_000)
      yield* settle
      assert.strictEqual(network.connections(host), 3)
    }).pipe(inMemory)
  )
})

describe("failures", () => {
  it.effect("a channel that fails calls gets fewer of them, for a while", () =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open({ min: 2, max: 2, initial: 2 })
      for (let i = 0; i < 4; i++) yield* Effect.exit(echo.lookup({ failCode: 14 }))
      const penalties = Effect.map(pool, ({ channels }) => channels.map(({ penalty }) => penalty))
      // A failure weighs 5, so failures alternate.
      assert.deepStrictEqual((yield* penalties).toSorted(), [10, 10])
      yield* TestClock.adjust(2500)
      assert.deepStrictEqual(yield* penalties, [5, 5])
      yield* TestClock.adjust(2500)
      assert.deepStrictEqual(yield* penalties, [0, 0])
    }).pipe(Random.withSeed("penalties"), inMemory)
  )

  it.effect.each([5, 13, 4, 1])("code %i is no fault of the channel", (failCode) =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open({ min: 2, max: 2, initial: 2 })
      yield* Effect.exit(echo.lookup({ failCode }))
      assert.deepStrictEqual(
        (yield* pool).channels.map(({ penalty }) => penalty),
        [0, 0]
      )
    }).pipe(inMemory)
  )

  it.effect("a connection on which nothing is heard is exchanged, and calls on it go on", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open({
        min: 1,
        max: 1,
        initial: 1,
        unresponsive: { failures: 3, silence: 100 }
      })
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 5000 }))
      yield* settle
      const late = Effect.gen(function* () {
        const call = yield* Effect.forkChild(
          Effect.exit(echo.echo({ delayMillis: 60_000 }).pipe(CallOptions.withDeadline(40)))
        )
        yield* settle
        yield* TestClock.adjust(40)
        yield* Fiber.join(call)
        yield* settle
      })
      yield* late
      yield* late
      assert.strictEqual((yield* pool).replaced, 0)
      yield* late
      assert.deepStrictEqual([(yield* pool).replaced, network.connections(host)], [1, 2])
      // Now the silence must be twice as long.
      for (let i = 0; i < 4; i++) yield* late
      assert.strictEqual((yield* pool).replaced, 1)
      yield* late
      assert.strictEqual((yield* pool).replaced, 2)
      yield* TestClock.adjust(5000)
      yield* settle
      assert.strictEqual((yield* Fiber.join(slow)).server, host)
      yield* settle
      assert.strictEqual(network.connections(host), 1)
    }).pipe(inMemory)
  )

  it.effect("an answer in between is a sign of life", () =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open({ min: 1, max: 1, initial: 1, unresponsive: { failures: 1, silence: 100 } })
      for (let i = 0; i < 5; i++) {
        const call = yield* Effect.forkChild(
          Effect.exit(echo.echo({ delayMillis: 60_000 }).pipe(CallOptions.withDeadline(99)))
        )
        yield* settle
        yield* TestClock.adjust(99)
        yield* Fiber.join(call)
        yield* Effect.exit(echo.lookup({ failCode: 5 }))
      }
      yield* settle
      assert.strictEqual((yield* pool).replaced, 0)
    }).pipe(inMemory)
  )
})

describe("keys", () => {
  it.effect("calls with one key use one channel; keys spread", () =>
    Effect.gen(function* () {
      const { echo, pool } = yield* open({ min: 4, max: 4, initial: 4 })
      for (let i = 0; i < 20; i++) yield* echo.lookup({}).pipe(CallOptions.withAffinityKey("one"))
      const { channels, keys } = yield* pool
      assert.strictEqual(keys, 1)
      assert.deepStrictEqual(
        channels.map(({ calls }) => calls).toSorted((a, b) => b - a),
        [20, 0, 0, 0]
      )
    }).pipe(inMemory)
  )

  it.effect("while its channel is not ready a key goes to one other, is counted, and comes home", () =>
    Effect.gen(function* () {
      const inner = yield* Connector.Connector
      const network = yield* TestNetwork.TestNetwork
      const hosts = [host, "b:1", "c:1"]
      for (const name of hosts) yield* network.serve(name, { handlers: [echoHandlers(name)] })
      let opened = 0
      const places = new Map<number, string>()
      // The n-th connection leads to the n-th host; those that are opened again go to the host that was lost.
      const spread = Connector.Connector.of({
        connect: (endpoint) => {
          const id = opened < hosts.length ? hosts[opened]! : hosts[0]!
          places.set(opened++, id)
          return inner.connect({ ...endpoint, id })
        }
      })
      const build = (whenHomeNotReady: "fallback" | "fail") =>
        Layer.build(
          Balancer.layer({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make() }).pipe(
            Layer.provideMerge(
              ChannelPool.layer({
                min: 3,
                max: 3,
                initial: 3,
                whenHomeNotReady,
                reconnect: Schedule.spaced("100 millis")
              })
            ),
            Layer.provide(Layer.succeed(Connector.Connector, spread)),
            Layer.orDie
          )
        )
      const context = yield* build("fallback")
      const echo = yield* Effect.provideContext(Client.make(EchoService), context)
      const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
      const keyed = Effect.map(echo.lookup({}).pipe(CallOptions.withAffinityKey("one")), ({ server }) => server)
      assert.strictEqual(yield* keyed, host)
      yield* TestClock.adjust("2 seconds")
      yield* network.kill(host)
      yield* settle
      const stand = yield* keyed
      assert.notStrictEqual(stand, host)
      // Others make it busy; the key stays with it.
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 1000 }).pipe(CallOptions.withAffinityKey("one")))
      yield* settle
      for (let i = 0; i < 5; i++) assert.strictEqual(yield* keyed, stand)
      const [group] = yield* snapshot
      assert.deepStrictEqual([group!.fallbacks, group!.failedFallbacks], [7, 0])
      yield* network.restart(host)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(slow)
      yield* settle
      assert.strictEqual(yield* keyed, host)
      assert.strictEqual((yield* snapshot)[0]!.fallbacks, 7)

      opened = 0
      const strict = yield* build("fail")
      const proud = yield* Effect.provideContext(Client.make(EchoService), strict)
      const mine = proud.lookup({}).pipe(CallOptions.withAffinityKey("one"))
      yield* mine
      yield* TestClock.adjust("2 seconds")
      yield* network.kill(host)
      yield* settle
      const error = yield* Effect.flip(mine)
      assert.deepStrictEqual([error.code, error.progress], ["UNAVAILABLE", "not_started"])
      assert.notStrictEqual((yield* proud.lookup({})).server, host)
    }).pipe(inMemory)
  )
})
