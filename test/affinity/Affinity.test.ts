import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Affinity,
  Balancer,
  CallOptions,
  ChannelPool,
  Client,
  Handlers,
  RoundRobin,
  Service,
  StaticDiscovery
} from "trunkline"
import { ApiConfig } from "trunkline/google"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { settle } from "../support/multiEndpoints.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const host = "a:1"
const path = (method: string): string => `trunkline.test.EchoService/${method}`

/** Lookup makes a session, Echo and Expand use it, Collect and Chat end it; its name is their text. */
const methods: ReadonlyArray<Affinity.MethodAffinity> = [
  { method: path("Lookup"), command: "BIND", key: "text" },
  { method: path("Echo"), command: "BOUND", key: "text" },
  { method: path("Expand"), command: "BOUND", key: "text" },
  { method: path("Chat"), command: "UNBIND", key: "text" }
]

const open = Effect.fnUntraced(function* (options?: Affinity.Options, pool?: ChannelPool.Options) {
  const network = yield* TestNetwork.TestNetwork
  yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make([host]),
    picker: RoundRobin.make(),
    eager: true,
    drainTimeout: 0
  }).pipe(
    Layer.provideMerge(ChannelPool.layer({ min: 4, max: 4, initial: 4, ...pool })),
    Layer.provideMerge(Affinity.layer({ services: [EchoService], methods, ...options }))
  )
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const affinity = Context.get(context, Affinity.Affinity)
  const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
  yield* settle
  const group = Effect.map(snapshot, (groups) => groups[0]!)
  const keys = Effect.map(group, ({ keys }) => keys)
  /** The ids of the channels that calls inside an effect went to. */
  const used = <A, E, R>(calls: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const before = yield* group
      yield* calls
      const after = yield* group
      return after.channels.flatMap(({ calls, id }) =>
        calls > (before.channels.find((channel) => channel.id === id)?.calls ?? 0) ? [id] : []
      )
    })
  return { affinity, context, echo, group, keys, network, used }
})

const times = (n: number) => Array.from({ length: n }, (_, i) => i)

describe("rules", () => {
  it.effect("a key of a response is bound where the call went, and calls with it go there", () =>
    Effect.gen(function* () {
      const { echo, keys, used } = yield* open()
      const home = yield* used(echo.lookup({ text: "s" }))
      assert.strictEqual(yield* keys, 1)
      assert.deepStrictEqual(yield* used(Effect.forEach(times(20), () => echo.echo({ text: "s" }))), home)
      assert.deepStrictEqual(yield* used(Stream.runDrain(echo.expand({ text: "s", count: 3 }))), home)
      assert.isAbove((yield* used(Effect.forEach(times(40), () => echo.collect(Stream.empty)))).length, 1)
    }).pipe(inMemory)
  )

  it.effect("many sessions share the channels, and none moves", () =>
    Effect.gen(function* () {
      const { echo, group, used } = yield* open({ onBind: "round_robin" })
      const homes = yield* Effect.forEach(times(8), (i) => used(echo.lookup({ text: `s${i}` })))
      assert.deepStrictEqual(
        (yield* group).channels.map(({ keys }) => keys),
        [2, 2, 2, 2]
      )
      for (const i of times(8)) assert.deepStrictEqual(yield* used(echo.echo({ text: `s${i}` })), homes[i])
    }).pipe(inMemory)
  )

  it.effect("a call that unbinds goes where the key is bound and unbinds it when it has succeeded", () =>
    Effect.gen(function* () {
      const { echo, keys, used } = yield* open()
      const home = yield* used(echo.lookup({ text: "s" }))
      yield* Effect.exit(Stream.runDrain(echo.chat(Stream.make({ text: "s", failCode: 9 }))))
      assert.strictEqual(yield* keys, 1)
      const messages: Array<string> = []
      const chat = Stream.runForEach(echo.chat(Stream.make({ text: "s" }, { text: "more" })), ({ text }) =>
        Effect.sync(() => messages.push(text))
      )
      assert.deepStrictEqual(yield* used(chat), home)
      // What was looked at for the key is sent all the same.
      assert.deepStrictEqual(messages, ["S", "MORE"])
      assert.strictEqual(yield* keys, 0)
    }).pipe(inMemory)
  )

  it.effect("a call that fails binds nothing, and a request without a key is like any other", () =>
    Effect.gen(function* () {
      const { echo, keys, used } = yield* open()
      yield* Effect.exit(echo.lookup({ text: "s", failCode: 5 }))
      assert.strictEqual(yield* keys, 0)
      assert.isAbove((yield* used(Effect.forEach(times(40), () => echo.echo({})))).length, 1)
      yield* Stream.runDrain(echo.chat(Stream.empty))
      assert.strictEqual(yield* keys, 0)
    }).pipe(inMemory)
  )

  it.effect("a request with more than one key is refused before it is sent", () =>
    Effect.gen(function* () {
      const Names = Schema.Struct({ names: Schema.Array(Schema.String) })
      const NamesService = Service.make("demo.Names", { use: Service.unary(Names, Schema.Void) })
      // A descriptor is what it looks like, so that of a service written with schemas can be written too.
      const names = { name: "names", localName: "names", fieldKind: "list", listKind: "scalar", scalar: 9 }
      const message = { typeName: "demo.Names", fields: [names] }
      const services = [{ typeName: "demo.Names", methods: [{ name: "Use", input: message, output: message }] }]
      const { context, group, network } = yield* open({
        services,
        methods: [{ method: "demo.Names/Use", command: "BOUND", key: "names" }]
      })
      yield* network.serve(host, { handlers: [Handlers.make(NamesService, { use: () => Effect.void })] })
      const client = yield* Effect.provideContext(Client.make(NamesService), context)
      const error = yield* Effect.flip(client.use({ names: ["a", "b"] }))
      assert.deepStrictEqual([error.code, error.progress], ["INVALID_ARGUMENT", "not_started"])
      yield* client.use({ names: ["a"] })
      yield* client.use({ names: [] })
      assert.deepStrictEqual([(yield* group).keys, (yield* group).succeeded], [1, 2])
    }).pipe(inMemory)
  )

  it.effect("what the caller names goes before what the message says", () =>
    Effect.gen(function* () {
      const { echo, keys } = yield* open()
      yield* echo.echo({ text: "s" }).pipe(CallOptions.withAffinityKey("mine"))
      yield* echo.echo({ text: "t" }).pipe(CallOptions.withAffinityKey("mine"))
      assert.strictEqual(yield* keys, 1)
    }).pipe(inMemory)
  )

  it.effect("a rule that does not fit its message fails the layer, and says why", () =>
    Effect.gen(function* () {
      const layer = Affinity.layer({
        services: [EchoService],
        methods: [{ method: path("Echo"), command: "BOUND", key: "session" }]
      })
      const error = yield* Effect.flip(Layer.build(layer))
      assert(error instanceof Affinity.InvalidAffinity)
      assert.include(error.message, `trunkline.test.EchoRequest has no field "session"`)
    })
  )
})

describe("by hand", () => {
  it.effect("a key is bound for as long as it is held, however that ends", () =>
    Effect.gen(function* () {
      const { affinity, context, echo, keys, used } = yield* open()
      const call = echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey("s"))
      const held = Effect.scoped(
        Effect.gen(function* () {
          yield* Affinity.bind("s")
          const home = yield* used(call)
          assert.deepStrictEqual(yield* used(Effect.forEach(times(10), () => call)), home)
          assert.deepStrictEqual([yield* keys, yield* affinity.held], [1, 1])
        })
      ).pipe(Effect.provideContext(context))
      yield* held
      assert.deepStrictEqual([yield* keys, yield* affinity.held], [0, 0])

      const stuck = yield* Effect.forkChild(
        Effect.scoped(affinity.bind("s").pipe(Effect.andThen(call), Effect.andThen(Effect.never)))
      )
      yield* settle
      assert.strictEqual(yield* keys, 1)
      yield* Fiber.interrupt(stuck)
      assert.deepStrictEqual([yield* keys, yield* affinity.held], [0, 0])
    }).pipe(inMemory)
  )

  it.effect("a key that is held twice is unbound by the last", () =>
    Effect.gen(function* () {
      const { affinity, echo, keys } = yield* open()
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.provide(affinity.bind("s"), first)
      yield* Scope.provide(affinity.bind("s"), second)
      yield* echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey("s"))
      yield* Scope.close(first, Exit.void)
      assert.strictEqual(yield* keys, 1)
      yield* Scope.close(second, Exit.void)
      assert.strictEqual(yield* keys, 0)
    }).pipe(inMemory)
  )
})

describe("how long keys are kept", () => {
  it.effect("a key that was not used for its lifetime is forgotten; use and a lease keep it", () =>
    Effect.gen(function* () {
      const { affinity, echo, keys } = yield* open({ keyLifetime: 200 })
      const use = (key: string) => echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey(key))
      yield* Effect.forEach(["live", "expiring", "held"], use)
      yield* affinity.bind("held")
      yield* TestClock.adjust(100)
      yield* use("live")
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(yield* keys, 3)
      yield* TestClock.adjust(20)
      yield* settle
      assert.strictEqual(yield* keys, 2)
      for (let i = 0; i < 5; i++) yield* Effect.andThen(TestClock.adjust(20), settle)
      assert.strictEqual(yield* keys, 1)
      yield* use("expiring")
      assert.strictEqual(yield* keys, 2)
    }).pipe(inMemory)
  )

  it.effect("a channel that goes away keeps the keys that are held, and closes after the last of them", () =>
    Effect.gen(function* () {
      const { affinity, echo, group, keys, network, used } = yield* open(
        { onBind: "round_robin" },
        { min: 1, checkInterval: 1000, drainGrace: 1000 }
      )
      const scope = yield* Scope.make()
      const use = (i: number) => echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey(`s${i}`))
      // Every channel has a key that is held and one that is not.
      for (const i of times(4)) yield* Scope.provide(affinity.bind(`s${i}`), scope)
      const homes = yield* Effect.forEach(times(4), (i) => used(echo.lookup({ text: `s${i}` })))
      for (const i of times(4)) yield* echo.lookup({ text: `free${i}` })
      assert.strictEqual(yield* keys, 8)
      for (let i = 0; i < 6; i++) yield* Effect.andThen(TestClock.adjust(1000), settle)
      assert.deepStrictEqual([(yield* group).size, yield* keys, network.connections(host)], [1, 5, 4])
      for (const i of times(4)) assert.deepStrictEqual(yield* used(use(i)), homes[i])
      yield* TestClock.adjust(60_000)
      assert.strictEqual(network.connections(host), 4)
      yield* Scope.close(scope, Exit.void)
      for (let i = 0; i < 3; i++) yield* Effect.andThen(TestClock.adjust(1000), settle)
      assert.deepStrictEqual([yield* keys, network.connections(host)], [1, 1])
    }).pipe(inMemory)
  )

  it.effect("a lifetime or an interval of nothing is refused", () =>
    Effect.gen(function* () {
      for (const options of [{ keyLifetime: 0 }, { keyLifetime: 100, cleanUpInterval: 0 }]) {
        assert(Exit.isFailure(yield* Effect.exit(Affinity.make(options))))
      }
    })
  )
})

describe("the API config", () => {
  const file = {
    channel_pool: { max_size: 3, max_concurrent_streams_low_watermark: 1, bind_pick_strategy: "ROUND_ROBIN" },
    method: [
      { name: [path("Lookup")], affinity: { command: "BIND", affinity_key: "text" } },
      { name: [path("Echo"), path("Expand")], affinity: { command: "BOUND", affinityKey: "text" } },
      { name: [path("Collect")] }
    ]
  }

  it.effect("is read, whichever way names are written", () =>
    Effect.gen(function* () {
      const { affinity, channelPool } = yield* Effect.fromResult(ApiConfig.make(file))
      assert.deepStrictEqual([channelPool.max, channelPool.maxLoad], [3, 1])
      assert.deepStrictEqual(affinity, {
        onBind: "round_robin",
        methods: [
          { method: path("Lookup"), command: "BIND", key: "text" },
          { method: path("Echo"), command: "BOUND", key: "text" },
          { method: path("Expand"), command: "BOUND", key: "text" }
        ]
      })
    })
  )

  it.effect.each([
    { what: "no pool at all", json: {}, seen: {} },
    {
      what: "a missing watermark is not 0",
      json: { maxSize: 4 },
      seen: { max: 4, maxLoad: undefined, initial: undefined }
    },
    {
      what: "0 opens all at once",
      json: { maxSize: 4, maxConcurrentStreamsLowWatermark: 0 },
      seen: { max: 4, min: 4, initial: 4 }
    },
    { what: "no size", json: { maxSize: 0, minSize: 0 }, seen: { max: 10, min: 1 } },
    { what: "64-bit numbers are texts", json: { idleTimeout: "60", maxSize: "5" }, seen: { max: 5 } },
    { what: "fallback", json: { fallbackToReady: true }, seen: { whenHomeNotReady: "fallback" } },
    { what: "no fallback", json: { fallbackToReady: false }, seen: { whenHomeNotReady: "fail" } },
    {
      what: "unresponsive channels",
      json: { unresponsiveCalls: 3, unresponsiveDetectionMs: 100 },
      seen: { unresponsive: { failures: 3, silence: 100 } }
    },
    { what: "half of that", json: { unresponsiveCalls: 3 }, seen: { unresponsive: undefined } }
  ])("$what", ({ json, seen }) =>
    Effect.gen(function* () {
      const { channelPool } = yield* Effect.fromResult(ApiConfig.make({ channelPool: json }))
      for (const [key, value] of Object.entries(seen)) {
        assert.deepStrictEqual(channelPool[key as keyof ChannelPool.Options], value)
      }
    })
  )

  it.effect.each([
    { json: [], path: "$" },
    { json: { channelPool: { maxSize: -1 } }, path: "channelPool.maxSize" },
    { json: { channelPool: { maxsize: 1 } }, path: "channelPool.maxsize" },
    {
      json: { method: [{ name: ["a/b"], affinity: { command: "BEND", affinityKey: "k" } }] },
      path: "method[0].affinity.command"
    },
    { json: { method: [{ name: ["a/b"], affinity: { command: "BIND" } }] }, path: "method[0].affinity.affinityKey" }
  ])("a mistake says where it is: $path", ({ json, path }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.fromResult(ApiConfig.make(json)))
      assert.strictEqual(error.problems[0]?.path, path)
    })
  )

  it.effect("makes the layers it describes", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve(host, { handlers: [echoHandlers(host)] })
      const layer = Balancer.layer({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make() }).pipe(
        Layer.provideMerge(ApiConfig.layer(file, [EchoService]))
      )
      const context = yield* Layer.build(Layer.orDie(layer))
      const echo = yield* Effect.provideContext(Client.make(EchoService), context)
      yield* echo.lookup({ text: "s" })
      const [group] = yield* Context.get(context, ChannelPool.ChannelPool).snapshot
      assert.deepStrictEqual([group!.keys, group!.size], [1, 3])
      const wrong = { ...file, method: [{ name: ["a/b"], affinity: { command: "BIND", affinityKey: "k" } }] }
      assert(Exit.isFailure(yield* Effect.exit(Layer.build(ApiConfig.layer(wrong, [EchoService])))))
    }).pipe(inMemory)
  )
})
