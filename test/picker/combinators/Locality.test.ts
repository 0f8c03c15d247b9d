import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { Locality, RoundRobin } from "trunkline"
import { type Peer, HealthVerdict } from "trunkline/extend"
import { idle, isAsked, move, ready, run, setOf } from "../../support/peerSets.ts"

describe("prefer", () => {
  const zone = (locality: string | undefined) => ({ locality })
  const near = ["a", "b", "c", "d"].map((name) => ready(name, zone("here")))
  const far = ["x", "y"].map((name) => ready(name, zone("there")))
  const prefer = Locality.prefer(RoundRobin.make(), "here")
  const ejecting = (peers: ReadonlyArray<Peer.Peer>) =>
    new Map(peers.map((peer) => [peer, HealthVerdict.ejected("ill")] as const))

  it.effect("stays in its zone while that can carry everything", () =>
    Effect.gen(function* () {
      const { counts, set } = yield* run(prefer, setOf([...far, ...near]))
      assert.hasAllKeys(counts(100), ["a", "b", "c", "d"])
      yield* set(setOf([...far, ...near], ejecting(near.slice(0, 1))))
      assert.hasAllKeys(counts(100), ["b", "c", "d"])
    })
  )

  it.effect("spills over by what is missing", () =>
    Effect.gen(function* () {
      const { counts } = yield* run(prefer, setOf([...far, ...near], ejecting(near.slice(0, 3))))
      const seen = counts(10_000)
      // A quarter of the zone, overrated to 35 %.
      assert.approximately(seen["d"]! / 10_000, 0.35, 0.02)
    }).pipe(Random.withSeed("zones"))
  )

  it.effect("uses the others where it has no peer, or nobody says where they are", () =>
    Effect.gen(function* () {
      const { counts } = yield* run(prefer, setOf([...far, ready("u", zone(undefined))]))
      assert.hasAllKeys(counts(30), ["x", "y", "u"])
    })
  )
})

describe("split", () => {
  const even = { a: 1, b: 1, c: 1 }
  it.each([
    ["as many backends as clients: all stay", "a", even, even, { a: 1, b: 0, c: 0 }],
    ["more backends than clients: all stay", "a", even, { a: 4, b: 1, c: 1 }, { a: 1, b: 0, c: 0 }],
    [
      "more clients than backends: what is too much goes where there is more",
      "a",
      { a: 2, b: 1, c: 1 },
      { a: 1, b: 2, c: 1 },
      { a: 0.5, b: 0.5, c: 0 }
    ],
    ["by how much more", "a", { a: 8, b: 1, c: 1 }, { a: 4, b: 4, c: 2 }, { a: 0.5, b: 0.375, c: 0.125 }],
    ["no backend near: to those with something to spare", "a", even, { b: 3, c: 1 }, { b: 1, c: 0 }],
    ["a zone without clients has all to spare", "a", { a: 1 }, { a: 1, b: 1 }, { a: 0.5, b: 0.5 }],
    ["a zone nobody knew of has no clients: all stay", "z", even, { z: 1, a: 1 }, { z: 1, a: 0 }],
    ["nobody says where clients are: all stay", "a", {}, { a: 1, b: 1 }, { a: 1, b: 0 }],
    ["neither clients nor backends near: by size", "z", { a: 1, b: 3 }, { a: 1, b: 3 }, { a: 0.25, b: 0.75 }]
  ] as const)("%s", (_name, zone, clients, backends, expected) => {
    const actual = Locality.split(zone, clients, backends)
    assert.hasAllKeys(actual, Object.keys(expected))
    for (const [name, share] of Object.entries(expected)) assert.approximately(actual[name]!, share, 1e-3, name)
  })

  const census = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))).check(
    Schema.isMinLength(3),
    Schema.isMaxLength(3)
  )

  it.effect.prop("all clients together load all backends alike", { clients: census, backends: census }, (made) =>
    Effect.sync(() => {
      const zones = ["a", "b", "c"]
      const of = (counts: ReadonlyArray<number>) => Object.fromEntries(zones.map((zone, i) => [zone, counts[i]!]))
      const [clients, backends] = [of(made.clients), of(made.backends)]
      const shares = zones.map((zone) => Locality.split(zone, clients, backends))
      const total = (counts: Locality.Census) => Object.values(counts).reduce((sum, count) => sum + count, 0)
      const perBackend = total(clients) / total(backends)
      for (const zone of zones) {
        const calls = zones.reduce((sum, from, i) => sum + clients[from]! * shares[i]![zone]!, 0)
        assert.approximately(calls / backends[zone]!, perBackend, 1e-9)
      }
    })
  )
})

describe("aware", () => {
  const zone = (locality: string | undefined) => ({ locality })
  const peersOf = (counts: Readonly<Record<string, number>>, make = ready) =>
    Object.entries(counts).flatMap(([name, count]) =>
      Array.from({ length: count }, (_, i) => make(`${name}${i}`, zone(name)))
    )
  const zonesOf = (counts: Readonly<Record<string, number>>) => {
    const zones: Record<string, number> = {}
    for (const [name, count] of Object.entries(counts)) zones[name[0]!] = (zones[name[0]!] ?? 0) + count
    return zones
  }
  const policy = Locality.aware(RoundRobin.make(), "a", { clients: { a: 2, b: 1, c: 1 } })

  it.effect("sends as many calls to other zones as do not fit in its own", () =>
    Effect.gen(function* () {
      const { counts } = yield* run(policy, setOf(peersOf({ b: 4, a: 2, c: 2 })))
      const zones = zonesOf(counts(10_000))
      assert.hasAllKeys(zones, ["a", "b"])
      assert.approximately(zones.a! / 10_000, 0.5, 0.02)
      assert.approximately(zones.b! / 10_000, 0.5, 0.02)
    }).pipe(Random.withSeed("aware"))
  )

  it.effect("takes clients to be alike in every zone that has backends", () =>
    Effect.gen(function* () {
      const { counts } = yield* run(Locality.aware(RoundRobin.make(), "a"), setOf(peersOf({ a: 2, b: 4 })))
      assert.approximately(zonesOf(counts(9000)).a! / 9000, 2 / 3, 0.02)
    }).pipe(Random.withSeed("alike"))
  )

  it.effect("counts the peers that are ready, and goes back when they are again", () =>
    Effect.gen(function* () {
      const peers = peersOf({ a: 6, b: 3, c: 3 })
      const { counts, set } = yield* run(policy, setOf(peers))
      assert.hasAllKeys(zonesOf(counts(100)), ["a"])
      const ill = new Map(peers.slice(0, 3).map((peer) => [peer, HealthVerdict.ejected("ill")] as const))
      yield* set(setOf(peers, ill))
      // A third of the backends for half of the clients.
      assert.approximately(zonesOf(counts(9000)).a! / 9000, 2 / 3, 0.02)
      yield* set(setOf(peers))
      assert.hasAllKeys(zonesOf(counts(100)), ["a"])
    }).pipe(Random.withSeed("ready"))
  )

  it.effect("connects no zone that gets no calls", () =>
    Effect.gen(function* () {
      const [near, far] = [peersOf({ a: 6 }, idle), peersOf({ b: 3 }, idle)]
      const { set } = yield* run(policy, setOf([...near, ...far]))
      assert.deepStrictEqual([yield* isAsked(near[0]!), yield* isAsked(far[0]!)], [true, false])
      for (const peer of near.slice(0, 5)) move(peer, "Down")
      yield* set(setOf([...near, ...far]))
      assert.isTrue(yield* isAsked(far[0]!))
    })
  )

  it.effect("with few peers sends calls to all of them alike", () =>
    Effect.gen(function* () {
      const { counts } = yield* run(policy, setOf(peersOf({ a: 1, b: 2, c: 2 })))
      const zones = zonesOf(counts(10_000))
      assert.approximately(zones.a! / 10_000, 0.2, 0.02)
      assert.approximately(zones.c! / 10_000, 0.4, 0.02)
    }).pipe(Random.withSeed("few"))
  )

  it.effect("a call that failed on the only peer of a zone goes to another zone", () =>
    Effect.gen(function* () {
      const { newCall, pick } = yield* run(policy, setOf(peersOf({ a: 1, b: 2, c: 3 })))
      for (let i = 0; i < 100; i++) {
        const call = newCall()
        call.triedPeers = ["a0:1"]
        assert.notStrictEqual(pick(call), "a0")
      }
    }).pipe(Random.withSeed("tried"))
  )
})
