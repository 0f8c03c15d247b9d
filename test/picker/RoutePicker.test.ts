import { assert, describe, it } from "@effect/vitest"
import { Effect, Random as Chance, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  RoutePicker,
  HashKey,
  Interceptor,
  LeastPending,
  PeakEwma,
  PickError,
  PowerOfTwo,
  Random,
  RingHash,
  RoundRobin,
  type RpcError,
  StaticDiscovery,
  Transport
} from "trunkline"
import { type Peer, type Picker, type Signal, HealthVerdict } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { callWith, peerAt, pickersOf, setOf } from "../support/peers.ts"

const hosts = ["a:1", "b:1", "c:1"]

const policy = RoutePicker.make({
  otherwise: RoundRobin.make(),
  keyed: RingHash.make(),
  named: { random: Random.make(), second: PowerOfTwo.make() }
})

/** A client over three hosts that answer with their own address. */
const setUp = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const transport = yield* Balancer.make({ discovery: StaticDiscovery.make(hosts), picker: policy })
  const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, transport)
  for (const _host of hosts) yield* echo.lookup({})
  const server = Effect.map(echo.lookup({}), (reply) => reply.server)
  return { echo, transport, server, times: (count: number) => Effect.replicateEffect(server, count) }
})

const inMemory = Effect.provide(TestNetwork.layer)

describe("Dispatch", () => {
  it.effect("a call that says nothing is balanced", () =>
    Effect.gen(function* () {
      const { times } = yield* setUp
      assert.strictEqual(new Set(yield* times(3)).size, 3)
    }).pipe(inMemory)
  )

  it.effect("a key has one peer, a name its picker, an address its peer, in any form", () =>
    Effect.gen(function* () {
      const { server, times } = yield* setUp
      assert.strictEqual(new Set(yield* times(9).pipe(CallOptions.withHashKey("ada"))).size, 1)
      assert.strictEqual(
        yield* server.pipe(CallOptions.withHashKey(42n)),
        yield* server.pipe(CallOptions.withHashKey("42"))
      )
      const random = yield* times(30).pipe(CallOptions.withPicker("random"))
      assert.notDeepEqual(random.slice(0, 15), random.slice(15))
      for (const address of ["b:1", "dns:///B:1"]) {
        const both = times(4).pipe(CallOptions.withHashKey("ada"), CallOptions.withPeer(address))
        assert.deepStrictEqual(new Set(yield* both), new Set(["b:1"]))
      }
    }).pipe(inMemory, Chance.withSeed("dispatch"))
  )

  it.effect("who asks for a peer gets it, also if signals speak against it; others don't", () =>
    Effect.gen(function* () {
      const ill = HealthVerdict.ejected("ill")
      const signal: Signal.Signal = {
        name: "against b",
        make: Effect.succeed({
          observe: undefined,
          verdicts: Stream.map((all) => new Map(all.filter(({ id }) => id === "b:1").map((peer) => [peer, ill])))
        })
      }
      const network = yield* TestNetwork.TestNetwork
      for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
      const discovery = StaticDiscovery.make(hosts)
      const transport = yield* Balancer.make({ discovery, picker: policy, signals: [signal], eager: true })
      const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, transport)
      const server = Effect.map(echo.lookup({}), (reply) => reply.server)
      yield* server
      yield* Effect.repeat(TestClock.adjust(0), { times: 5 })
      assert.strictEqual(yield* server.pipe(CallOptions.withPeer("b:1"), CallOptions.failFast), "b:1")
      assert.notInclude(yield* Effect.replicateEffect(server, 9), "b:1")
    }).pipe(inMemory)
  )

  it.effect("an address nobody has and a name of no picker are typed errors", () =>
    Effect.gen(function* () {
      const { server } = yield* setUp
      const causeOf = (call: Effect.Effect<unknown, RpcError.RpcError>) =>
        Effect.map(Effect.flip(call), (error) => [error.code, error.cause] as const)
      assert.deepStrictEqual(yield* causeOf(server.pipe(CallOptions.withPeer("d:1"))), [
        "UNAVAILABLE",
        new PickError.UnknownPeer({ peer: "d:1", peers: hosts })
      ])
      assert.deepStrictEqual(yield* causeOf(server.pipe(CallOptions.withPicker("best"))), [
        "UNAVAILABLE",
        new PickError.UnknownPicker({ picker: "best", pickers: ["random", "second"] })
      ])
    }).pipe(inMemory)
  )

  it.effect(
    "a peer that is down says why; one that is connecting is waited for; before discovery nobody is unknown",
    () =>
      Effect.gen(function* () {
        const pick = (peer: string, ...peers: ReadonlyArray<ReturnType<typeof peerAt>>) =>
          Effect.map(pickersOf(policy, setOf(...peers)), (pickers) => pickers.at(-1)!.pick(callWith({ peer }), 0))
        const down = yield* pick("a:1", peerAt("a", "Down"), peerAt("b"))
        assert.strictEqual(down._tag, "Fail")
        assert.strictEqual(
          down._tag === "Fail" && down.error.message,
          '[UNAVAILABLE] peer "a:1" is not ready: Down (refused)'
        )
        assert.strictEqual((yield* pick("a:1", peerAt("a", "Idle"), peerAt("b")))._tag, "Queue")
        assert.strictEqual((yield* pick("a:1"))._tag, "Queue")
      })
  )

  it("tells every load that measures, once each", () => {
    const other = PeakEwma.make()
    const seen: Array<string> = []
    const tracked = (name: string): Picker.LoadPolicy => ({
      make: () => ({ cost: () => 0, observe: () => void seen.push(name) })
    })
    const load = tracked("shared")
    const policy = RoutePicker.make({
      otherwise: PowerOfTwo.make({ load }),
      named: {
        same: PowerOfTwo.make({ load }),
        other: PowerOfTwo.make({ load: tracked("other") }),
        none: Random.make()
      }
    })
    policy.load!.make().observe(peerAt("a").stats, "success", 1, 0)
    assert.deepStrictEqual(seen, ["shared", "other"])
    assert.strictEqual(RoutePicker.make({ otherwise: PowerOfTwo.make({ load: other }) }).load, other)
    assert.strictEqual(RoutePicker.make({ otherwise: Random.make() }).load, undefined)
  })

  it.effect("each policy picks by its own measure", () =>
    Effect.gen(function* () {
      const likes = (id: string): Picker.PickerPolicy =>
        LeastPending.make({
          load: { make: () => ({ cost: (stats) => (stats === peers[id]!.stats ? 0 : 1), observe: () => {} }) }
        })
      const peers: Readonly<Record<string, Peer.Peer>> = { a: peerAt("a"), b: peerAt("b") }
      const policy = RoutePicker.make({ otherwise: likes("a"), named: { other: likes("b") } })
      const pickers = yield* pickersOf(policy, setOf(peers.a!, peers.b!))
      assert.strictEqual(pickers.at(-1)!.pick(callWith({}), 0), peers.a)
      assert.strictEqual(pickers.at(-1)!.pick(callWith({ picker: "other" }), 0), peers.b)
    })
  )
})

describe("HashKey.field", () => {
  const keyed = (path: string) =>
    Effect.gen(function* () {
      const { transport } = yield* setUp
      return yield* Client.make(EchoService).pipe(
        Effect.provideService(Interceptor.Current, HashKey.field(path)),
        Effect.provideService(Transport.Transport, transport)
      )
    })

  it.effect("places unary calls and server streams by the request", () =>
    Effect.gen(function* () {
      const echo = yield* keyed("text")
      const servers = new Set<string>()
      for (let i = 0; i < 30; i++) {
        const text = `user ${i}`
        const { server } = yield* echo.lookup({ text })
        servers.add(server)
        assert.strictEqual((yield* echo.lookup({ text })).server, server)
        const streamed = yield* Stream.runCollect(echo.expand({ text, count: 2 }))
        assert.deepStrictEqual(
          streamed.map((reply) => reply.server),
          [server, server]
        )
        const given = yield* echo.lookup({ text }).pipe(CallOptions.withHashKey("ada"))
        assert.strictEqual(given.server, (yield* echo.lookup({}).pipe(CallOptions.withHashKey("ada"))).server)
      }
      assert.strictEqual(servers.size, 3)
    }).pipe(inMemory)
  )

  it.effect("a field that is empty, missing or no value is no key", () =>
    Effect.gen(function* () {
      for (const path of ["text", "missing", "missing.deeper", "text.length.deeper"]) {
        const echo = yield* keyed(path)
        const replies = yield* Effect.replicateEffect(echo.lookup({ text: path === "text" ? "" : "x" }), 3)
        assert.strictEqual(new Set(replies.map((reply) => reply.server)).size, 3)
      }
    }).pipe(inMemory)
  )
})
