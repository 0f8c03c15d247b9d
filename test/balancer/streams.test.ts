/** A stream that stays open says nothing of how busy its peer is. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random as Chance, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  Handlers,
  LeastPending,
  PeakEwma,
  PendingLoad,
  PowerOfTwo,
  Service,
  StaticDiscovery
} from "trunkline"
import { PeerPool, type Picker } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"

const Watching = Service.make("test.Watching", {
  say: Service.unary(Schema.String, Schema.String),
  /** Says nothing, or something at once and then nothing. */
  watch: Service.serverStreaming(Schema.Literals(["quiet", "greets"]), Schema.String),
  upload: Service.clientStreaming(Schema.String, Schema.String),
  chat: Service.bidiStreaming(Schema.String, Schema.String)
})

const hosts = ["a:1", "b:1"]

const open = Effect.fnUntraced(function* (picker: Picker.PickerPolicy | undefined) {
  const network = yield* TestNetwork.TestNetwork
  const hits = new Map<string, number>()
  for (const host of hosts) {
    const handlers = Handlers.make(Watching, {
      say: () =>
        Effect.suspend(() => {
          hits.set(host, (hits.get(host) ?? 0) + 1)
          return Effect.as(Effect.sleep(5), host)
        }),
      watch: (how) => (how === "quiet" ? Stream.never : Stream.concat(Stream.make("hello"), Stream.never)),
      upload: (texts) => Effect.as(Stream.runDrain(texts), host),
      chat: (texts) => Stream.drain(texts)
    })
    yield* network.serve(host, { handlers: [handlers] })
  }
  const layer = Balancer.layer({ discovery: StaticDiscovery.make(hosts), eager: true, ...(picker && { picker }) })
  const context = yield* Layer.build(Layer.orDie(layer))
  const client = yield* Effect.provideContext(Client.make(Watching), context)
  const pool = yield* Effect.provideContext(PeerPool.PeerPool, context)
  for (let i = 0; i < 5; i++) yield* TestClock.adjust(10)
  const say = Effect.fnUntraced(function* (calls: number) {
    hits.clear()
    for (let i = 0; i < calls; i++) {
      yield* Effect.forkScoped(client.say("x"))
      for (let j = 0; j < 3; j++) yield* TestClock.adjust(5)
    }
    return hosts.map((host) => hits.get(host) ?? 0)
  })
  return { client, pool, say }
})

type Opened = Effect.Success<ReturnType<typeof open>>

const kinds: ReadonlyArray<[string, (client: Opened["client"]) => Effect.Effect<unknown, unknown>]> = [
  ["a watch that says nothing", (client) => Stream.runDrain(client.watch("quiet"))],
  ["a watch that has said something", (client) => Stream.runDrain(client.watch("greets"))],
  ["an upload without an end", (client) => client.upload(Stream.never)],
  ["a chat in which nobody speaks", (client) => Stream.runDrain(client.chat(Stream.never))]
]

const pickers: ReadonlyArray<[string, Picker.PickerPolicy | undefined]> = [
  ["the default", undefined],
  ["PowerOfTwo with PeakEwma", PowerOfTwo.make({ load: PeakEwma.make() })],
  ["PowerOfTwo", PowerOfTwo.make()],
  ["LeastPending", LeastPending.make()],
  ["LeastPending with PeakEwma", LeastPending.make({ load: PeakEwma.make() })]
]

describe.each(kinds)("%s", (_kind, stream) => {
  it.effect.each(pickers)("%s: on each peer before the first call, it starves neither", ([, picker]) =>
    Effect.gen(function* () {
      const { client, say } = yield* open(picker)
      for (const _host of hosts) {
        yield* Effect.forkScoped(stream(client))
        yield* TestClock.adjust(1)
      }
      // At once, before anybody can know whether the streams are quiet.
      for (const count of yield* say(60)) assert.isAbove(count, 6)
      yield* TestClock.adjust("1 minute")
      for (const count of yield* say(200)) assert.isAbove(count, 50)
    }).pipe(Effect.provide(TestNetwork.layer), Chance.withSeed("streams"))
  )

  it.effect.each(pickers)("%s: fifty on one peer leave it its share", ([, picker]) =>
    Effect.gen(function* () {
      const { client, pool, say } = yield* open(picker)
      // Nobody else is there to take them.
      const [a, b] = pool.peers()
      b!.requestDisconnect()
      yield* TestClock.adjust(1)
      for (let i = 0; i < 50; i++) yield* Effect.forkScoped(stream(client))
      yield* TestClock.adjust(1)
      b!.requestConnect()
      yield* TestClock.adjust("3 seconds")
      assert.isAtLeast(a!.stats.pending, 1)
      assert.strictEqual(a!.stats.pending + b!.stats.pending, 50)
      for (const count of yield* say(300)) assert.isAbove(count, 90)
    }).pipe(Effect.provide(TestNetwork.layer), Chance.withSeed("fifty"))
  )
})

describe("who wants streams counted", () => {
  it.effect.each([
    ["PowerOfTwo", PowerOfTwo.make({ load: PendingLoad.withStreams })],
    ["LeastPending", LeastPending.make({ load: PendingLoad.withStreams })]
  ] as const)("%s spreads them, however long they are open", ([, picker]) =>
    Effect.gen(function* () {
      const { client, pool } = yield* open(picker)
      for (let i = 0; i < 40; i++) {
        yield* Effect.forkScoped(Stream.runDrain(client.watch("quiet")))
        yield* TestClock.adjust("2 seconds")
      }
      assert.deepStrictEqual(
        pool.peers().map(({ stats }) => stats.pending),
        [20, 20]
      )
    }).pipe(Effect.provide(TestNetwork.layer), Chance.withSeed("counted"))
  )
})

describe("a burst of streams", () => {
  it.effect.each(pickers)("%s: spreads like calls, before any of them has said something", ([, picker]) =>
    Effect.gen(function* () {
      const { client, pool } = yield* open(picker)
      for (let i = 0; i < 40; i++) yield* Effect.forkScoped(Stream.runDrain(client.watch("quiet")))
      yield* TestClock.adjust(1)
      for (const { stats } of pool.peers()) assert.approximately(stats.pending, 20, 2)
      yield* TestClock.adjust("1 second")
      for (const { stats } of pool.peers()) assert.strictEqual(stats.underWay(1e9), 0)
    }).pipe(Effect.provide(TestNetwork.layer), Chance.withSeed("burst"))
  )
})
