/** What a weight does, whatever discovery says it in and whatever picks by it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random as Chance, References, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  Endpoint,
  LeastPending,
  Locality,
  Maglev,
  PickError,
  Panic,
  PeakEwma,
  PickFirst,
  PowerOfTwo,
  Priority,
  Random,
  Rendezvous,
  RingHash,
  RoundRobin,
  Sticky,
  Subset,
  Weighted
} from "trunkline"
import { Discovery, PeerPool, type Picker, Signal, HealthVerdict, StateRef } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const pickers: ReadonlyArray<[string, Picker.PickerPolicy]> = [
  ["RoundRobin", RoundRobin.make()],
  ["Random", Random.make()],
  ["Weighted", Weighted.make()],
  ["PowerOfTwo", PowerOfTwo.make()],
  ["PowerOfTwo with PeakEwma", PowerOfTwo.make({ load: PeakEwma.make() })],
  ["LeastPending", LeastPending.make()],
  ["LeastPending with PeakEwma", LeastPending.make({ load: PeakEwma.make() })],
  ["RingHash", RingHash.make()],
  ["RingHash with a bound", RingHash.make({ bound: 1.25 })],
  ["Maglev", Maglev.make({ slots: 503 })],
  ["Rendezvous", Rendezvous.make()],
  ["PickFirst", PickFirst.make()],
  ["Sticky", Sticky.byKey(PowerOfTwo.make())],
  ["Panic", Panic.below(RoundRobin.make(), 1)],
  ["Subset", Subset.rendezvous(PowerOfTwo.make(), { size: 2 })],
  ["Subset by ordinal", Subset.aperture(PowerOfTwo.make(), { ordinal: 0, clients: 2, size: 2 })],
  ["Priority.failover", Priority.failover(RoundRobin.make())],
  ["Priority.spill", Priority.spill(RoundRobin.make())],
  ["Locality.prefer", Locality.prefer(PowerOfTwo.make(), "near")],
  ["Locality.aware", Locality.aware(PowerOfTwo.make(), "near", { minimumPeers: 1 })],
  ["the default", Balancer.defaults.picker]
]

const settle = Effect.repeat(TestClock.adjust(0), { times: 5 })
const inMemory = Effect.provide(TestNetwork.layer)

/** Lets time pass in steps, in which connects come before what is only for when they take long. */
const pass = (seconds: number) => Effect.repeat(TestClock.adjust("200 millis"), { times: seconds * 5 })

/** A listing of a host, which may say what no good endpoint does. */
const listing = (host: string, said: Partial<Endpoint.Endpoint>): Endpoint.Endpoint => ({
  ...Endpoint.make(Endpoint.Address.Tcp({ host, port: 1 })),
  ...said
})

/** A client over what discovery says now, and who answers so many of its calls. */
const open = Effect.fnUntraced(function* (
  options: Omit<Balancer.Options, "discovery">,
  ...initial: ReadonlyArray<Endpoint.Endpoint>
) {
  const network = yield* TestNetwork.TestNetwork
  for (const { id } of initial) yield* network.serve(id, { handlers: [echoHandlers(id)] })
  const listed = StateRef.make(initial)
  const layer = Balancer.layer({ eager: true, ...options, discovery: Discovery.make("hosts", listed.changes) })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const pool = yield* Effect.provideContext(PeerPool.PeerPool, context)
  yield* settle
  const answers = Effect.fnUntraced(function* (calls: number) {
    const seen: Record<string, number> = {}
    for (let i = 0; i < calls; i++) {
      const { server } = yield* echo.echo({})
      seen[server.replace(":1", "")] = (seen[server.replace(":1", "")] ?? 0) + 1
    }
    return seen
  })
  const list = (...endpoints: ReadonlyArray<Endpoint.Endpoint>) =>
    Effect.andThen(
      Effect.sync(() => listed.set(endpoints)),
      settle
    )
  return { answers, echo, list, network, pool }
})

describe("a backend of weight 0", () => {
  const standby = [
    listing("a", { weight: 0, locality: "near", priority: 0 }),
    listing("b", { weight: 1, locality: "near", priority: 0 }),
    listing("c", { weight: 2, locality: "far", priority: 1 })
  ]

  it.effect.each(pickers)("%s: is sent calls only while nobody else is ready", ([, picker]) =>
    Effect.gen(function* () {
      const { answers, network } = yield* open({ picker }, ...standby)
      assert.isUndefined((yield* answers(100))["a"])
      yield* network.kill("b:1")
      yield* settle
      yield* pass(30)
      assert.deepStrictEqual(yield* answers(20), { c: 20 })
      yield* network.kill("c:1")
      yield* settle
      yield* pass(30)
      assert.deepStrictEqual(yield* answers(20), { a: 20 })
      yield* network.restart("b:1")
      yield* pass(180)
      assert.deepStrictEqual(yield* answers(20), { b: 20 })
    }).pipe(inMemory, Chance.withSeed("standby"))
  )

  it.effect.each(pickers)("%s: who alone is left of its zone and group waits for the others", ([, picker]) =>
    Effect.gen(function* () {
      const { answers } = yield* open(
        { picker },
        listing("a", { weight: 0, locality: "near", priority: 0 }),
        listing("b", { weight: 1, locality: "far", priority: 1 })
      )
      yield* pass(30)
      assert.deepStrictEqual(yield* answers(20), { b: 20 })
    }).pipe(inMemory, Chance.withSeed("zones"))
  )

  it.effect.each(pickers.filter(([name]) => name !== "PickFirst" && !/Locality|Priority|Subset/.test(name)))(
    "%s: if all are, they are equals",
    ([, picker]) =>
      Effect.gen(function* () {
        const { answers } = yield* open({ picker }, ...["a", "b", "c"].map((host) => listing(host, { weight: 0 })))
        const seen = yield* answers(600)
        for (const host of ["a", "b", "c"]) assert.isAbove(seen[host] ?? 0, 120)
      }).pipe(inMemory, Chance.withSeed("equals"))
  )

  it.effect("becomes one, or has a weight again, with the next set; a signal may say the same", () =>
    Effect.gen(function* () {
      const said = StateRef.make<Signal.Verdicts>(Signal.noVerdicts)
      const signal: Signal.Signal = {
        name: "puppet",
        make: Effect.succeed({ observe: undefined, verdicts: () => said.changes })
      }
      const [a, b] = [listing("a", {}), listing("b", {})]
      const { answers, list, pool } = yield* open({ picker: RoundRobin.make(), signals: [signal] }, a, b)
      assert.deepStrictEqual(yield* answers(10), { a: 5, b: 5 })
      yield* list(a, { ...b, weight: 0 })
      assert.deepStrictEqual(yield* answers(10), { a: 10 })
      yield* list(a, b)
      assert.deepStrictEqual(yield* answers(10), { a: 5, b: 5 })
      said.set(new Map([[pool.peers()[0]!, HealthVerdict.weighted(0, "leaving")]]))
      yield* settle
      assert.deepStrictEqual(yield* answers(10), { b: 10 })
    }).pipe(inMemory)
  )
})

describe("a weight that cannot be one", () => {
  it.effect.each([NaN, -1, Infinity, -Infinity])(
    "%d: its backend is left out and named; the others are used",
    (weight) =>
      Effect.gen(function* () {
        const { answers, list, echo, pool } = yield* open(
          { picker: Weighted.make() },
          listing("a", { weight }),
          listing("b", {}),
          listing("c", {})
        )
        assert.deepStrictEqual(yield* answers(20), { b: 10, c: 10 })
        assert.deepStrictEqual(
          pool.peers().map(({ id }) => id),
          ["b:1", "c:1"]
        )
        yield* list(listing("a", { weight }))
        const { cause } = yield* Effect.flip(CallOptions.failFast(echo.echo({})))
        assert(cause instanceof PickError.NoPeerReady)
        assert.include(
          cause.message,
          `discovery of "hosts": weight of a:1: ${weight} is not a finite number of 0 or more`
        )
        yield* list(listing("a", { weight: 1 }))
        assert.deepStrictEqual(yield* answers(5), { a: 5 })
      }).pipe(inMemory, Effect.provideService(References.MinimumLogLevel, "None"))
  )
})

describe("an address that is listed twice", () => {
  it.effect("is one peer whose weights add up; the rest is as the first listing says", () =>
    Effect.gen(function* () {
      const { answers, list, pool } = yield* open(
        { picker: Weighted.make() },
        listing("a", { weight: 3, locality: "near", priority: 1 }),
        listing("b", {}),
        listing("a", { weight: 1, locality: "far", priority: 0 }),
        listing("a", { weight: NaN }),
        listing("a", { weight: 0 })
      )
      assert.deepStrictEqual(yield* answers(100), { a: 80, b: 20 })
      const set = (yield* Stream.runHead(pool.changes)).pipe((found) =>
        found._tag === "Some" ? found.value : undefined
      )!
      assert.deepStrictEqual(
        set.peers.map((peer) => [peer.id, set.endpointOf(peer).locality, set.endpointOf(peer).priority]),
        [
          ["a:1", "near", 1],
          ["b:1", undefined, 0]
        ]
      )
      yield* list(listing("a", { weight: 3 }), listing("b", {}))
      assert.deepStrictEqual(yield* answers(100), { a: 75, b: 25 })
    }).pipe(inMemory)
  )
})

describe("weights at the edge of their range", () => {
  it.effect.each(pickers.filter(([name]) => name !== "PickFirst"))("%s picks by them", ([, picker]) =>
    Effect.gen(function* () {
      const edges = [Number.MIN_VALUE, 1e-300, 1, 2 ** 32, Number.MAX_VALUE, Number.MAX_VALUE]
      const { answers } = yield* open(
        { picker },
        ...edges.map((weight, i) => listing(`p${i}`, { weight, locality: "near" }))
      )
      const seen = yield* answers(300)
      assert.strictEqual(
        Object.values(seen).reduce((sum, count) => sum + count, 0),
        300
      )
    }).pipe(inMemory, Chance.withSeed("edges"))
  )
})
