/** What every picker must do, and what makes each one itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random as Chance, Stream } from "effect"
import { LeastPending, PeakEwma, PendingLoad, PickFirst, PowerOfTwo, Random, RoundRobin } from "trunkline"
import type { Peer, Picker } from "trunkline/extend"
import { callWith, peerAt, pickersOf, picks, setOf, share, start } from "../support/peers.ts"

const policies: ReadonlyArray<[string, Picker.PickerPolicy]> = [
  ["RoundRobin", RoundRobin.make()],
  ["Random", Random.make()],
  ["LeastPending", LeastPending.make()],
  ["PowerOfTwo", PowerOfTwo.make()],
  ["PowerOfTwo with PeakEwma", PowerOfTwo.make({ load: PeakEwma.make() })],
  ["PickFirst", PickFirst.make()]
]

describe.each(policies)("%s", (_name, policy) => {
  it.effect("an empty set queues", () =>
    Effect.gen(function* () {
      const [picker] = yield* pickersOf(policy, setOf())
      assert.deepStrictEqual(yield* picks(picker!, 2), ["Queue", "Queue"])
    })
  )

  it.effect("a set with nobody ready queues while one of it may soon be", () =>
    Effect.gen(function* () {
      const [picker] = yield* pickersOf(policy, setOf(peerAt("a", "Down"), peerAt("b", "Idle")))
      assert.deepStrictEqual(yield* picks(picker!, 2), ["Queue", "Queue"])
    })
  )

  it.effect("a set of which every peer has failed is down, also while they try again", () =>
    Effect.gen(function* () {
      const [down, again] = [peerAt("a", "Down"), peerAt("b", "Down")]
      again.transition({ _tag: "ConnectStarted" }, 1)
      const [picker] = yield* pickersOf(policy, setOf(down, again))
      assert.deepStrictEqual(yield* picks(picker!, 2), ["Down", "Down"])
    })
  )

  it.effect("only ready peers are picked", () =>
    Effect.gen(function* () {
      const [picker] = yield* pickersOf(
        policy,
        setOf(peerAt("a", "Down"), peerAt("b"), peerAt("c", "Idle"), peerAt("d"))
      )
      for (const id of yield* picks(picker!, 100)) assert.include(["b:1", "d:1"], id)
    })
  )

  it.effect("the same seed picks the same", () =>
    Effect.gen(function* () {
      const run = Effect.gen(function* () {
        const [picker] = yield* pickersOf(policy, setOf(peerAt("a"), peerAt("b"), peerAt("c")))
        return yield* picks(picker!, 50)
      }).pipe(Chance.withSeed("fixed"))
      assert.deepStrictEqual(yield* run, yield* run)
    })
  )
})

describe.each(policies.filter(([name]) => name !== "PickFirst"))("%s over idle peers", (_name, policy) => {
  it.effect("is fair among equals", () =>
    Effect.gen(function* () {
      const names = ["a", "b", "c", "d", "e"]
      const [picker] = yield* pickersOf(policy, setOf(...names.map((name) => peerAt(name))))
      const ids = yield* picks(picker!, 5000)
      for (const name of names) {
        assert.isAbove(share(ids, `${name}:1`), 0.16)
        assert.isBelow(share(ids, `${name}:1`), 0.24)
      }
    }).pipe(Chance.withSeed("fair"))
  )

  it.effect("asks idle peers to connect", () =>
    Effect.gen(function* () {
      const idle = peerAt("a", "Idle")
      yield* pickersOf(policy, setOf(idle, peerAt("b")))
      yield* idle.connectRequested
    })
  )
})

describe("RoundRobin", () => {
  it.effect("keeps its place when the set changes", () =>
    Effect.gen(function* () {
      const [a, b, c] = [peerAt("a"), peerAt("b"), peerAt("c")]
      const policy = RoundRobin.make()
      const order = yield* pickersOf(policy, setOf(a, b, c)).pipe(
        Effect.flatMap(([picker]) => picks(picker!, 3)),
        Chance.withSeed("place")
      )
      // The same seed gives the same order; a peer beside the cursor leaves after the first pick.
      const seen: Array<string> = []
      const smaller = setOf(...[a, b, c].filter((peer) => peer.id !== order[2]))
      const sets = Stream.concat(Stream.make(setOf(a, b, c)), Stream.make(smaller))
      yield* policy.pickers(sets).pipe(
        Stream.runForEach((picker) => Effect.map(picks(picker, 1), (ids) => seen.push(...ids))),
        Chance.withSeed("place")
      )
      assert.deepStrictEqual(seen, [order[0]!, order[1]!])
    })
  )

  it.effect("clients start in different places and orders", () =>
    Effect.gen(function* () {
      const peers = ["a", "b", "c", "d"].map((name) => peerAt(name))
      const orders = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, seed) => seed),
        (seed) =>
          pickersOf(RoundRobin.make(), setOf(...peers)).pipe(
            Effect.flatMap(([picker]) => picks(picker!, 4)),
            Effect.map((ids) => ids.join()),
            Chance.withSeed(`client ${seed}`)
          )
      )
      assert.isAtLeast(new Set(orders).size, 8)
    })
  )
})

describe("LeastPending", () => {
  it.effect("picks the peer with the fewest calls", () =>
    Effect.gen(function* () {
      const [a, b, c] = [peerAt("a"), peerAt("b"), peerAt("c")]
      a.stats.unanswered = 2
      b.stats.unanswered = 1
      c.stats.unanswered = 3
      const [picker] = yield* pickersOf(LeastPending.make(), setOf(a, b, c))
      assert.deepStrictEqual(yield* picks(picker!, 3), ["b:1", "b:1", "b:1"])
    })
  )

  const loads = [
    ["in a heap", LeastPending.make()],
    ["looking at all", LeastPending.make({ load: PendingLoad.make() })]
  ] as const

  it.effect.each(loads)("%s: is exact whatever begins and ends, also the calls of others", ([, policy]) =>
    Effect.gen(function* () {
      const random = yield* Chance.Random
      const throwDie = (sides: number) => Math.floor(random.nextDoubleUnsafe() * sides)
      const peers = Array.from({ length: 17 }, (_, i) => peerAt(`p${i}`))
      let listed = peers
      const { give, latest } = yield* start(policy, setOf(...listed))
      for (let step = 0; step < 3000; step++) {
        // A call begins or ends on any peer, listed or not.
        const { stats } = peers[throwDie(peers.length)]!
        if (stats.unanswered === 0 || throwDie(2) === 0) stats.unanswered++
        else stats.unanswered--
        if (step % 50 === 0) yield* give(setOf(...(listed = peers.filter((_, i) => i === 0 || throwDie(4) > 0))))
        const picked = latest().pick(callWith({}), 0)
        assert(picked._tag === "Peer")
        assert.strictEqual(picked.stats.unanswered, Math.min(...listed.map(({ stats }) => stats.unanswered)))
        if (throwDie(3) === 0) picked.stats.unanswered++
      }
    }).pipe(Chance.withSeed("exact"), Effect.scoped)
  )

  it.effect.each(loads)("%s: idle peers have shares, and busy ones calls, by their weights", ([, policy]) =>
    Effect.gen(function* () {
      const peers = [1, 2, 3].map((weight, i) => peerAt(`p${i}`, "Ready", weight))
      const { latest } = yield* start(policy, setOf(...peers))
      const idle = yield* picks(latest(), 12_000)
      peers.forEach(({ id }, i) => assert.approximately(share(idle, id), (i + 1) / 6, 0.02))
      for (let call = 0; call < 600; call++) {
        const picked = latest().pick(callWith({}), 0)
        if (picked._tag === "Peer") picked.stats.unanswered++
      }
      peers.forEach(({ stats }, i) => assert.approximately(stats.unanswered, (i + 1) * 100, 3))
    }).pipe(Chance.withSeed("weights"), Effect.scoped)
  )

  it.effect.each(loads)("%s: a peer that comes back to its equals has a place at random among them", ([, policy]) =>
    Effect.gen(function* () {
      const peers = ["a", "b", "c", "d"].map((name) => peerAt(name))
      const { latest } = yield* start(policy, setOf(...peers))
      // One call after the other: nobody follows, or waits for, anybody in particular.
      const ids: Array<string> = []
      for (let call = 0; call < 8000; call++) {
        const picked = latest().pick(callWith({}), 0)
        assert(picked._tag === "Peer")
        picked.stats.unanswered++
        picked.stats.unanswered--
        ids.push(picked.id)
      }
      const after = ids.filter((_, i) => ids[i - 1] === "a:1")
      for (const { id } of peers) assert.approximately(share(after, id), 1 / 4, 0.04)
    }).pipe(Chance.withSeed("places"), Effect.scoped)
  )

  it.effect.each(loads)("%s: a weight that is none counts as 1", ([, policy]) =>
    Effect.gen(function* () {
      const peers = [0, NaN, Infinity, -2, 1].map((weight, i) => peerAt(`p${i}`, "Ready", weight))
      const { latest } = yield* start(policy, setOf(...peers))
      for (let call = 0; call < 50; call++) {
        const picked = latest().pick(callWith({}), 0)
        if (picked._tag === "Peer") picked.stats.unanswered++
      }
      for (const { stats } of peers) assert.strictEqual(stats.unanswered, 10)
    })
  )

  it.effect("watches nobody when it is not used any more", () =>
    Effect.gen(function* () {
      const [a, b] = [peerAt("a"), peerAt("b")]
      const watched = new Set<Peer.Peer>()
      for (const peer of [a, b]) {
        const { unwatch, watch } = peer.stats
        peer.stats.watch = (watcher) => (watched.add(peer), watch.call(peer.stats, watcher))
        peer.stats.unwatch = (watcher) => (watched.delete(peer), unwatch.call(peer.stats, watcher))
      }
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { give } = yield* start(LeastPending.make(), setOf(a, b))
          assert.deepStrictEqual([...watched], [a, b])
          yield* give(setOf(b))
          assert.deepStrictEqual([...watched], [b])
        })
      )
      assert.strictEqual(watched.size, 0)
    })
  )
})

describe("PowerOfTwo", () => {
  it.effect("never picks the worst of all, because its two samples are distinct", () =>
    Effect.gen(function* () {
      const [a, b, c] = [peerAt("a"), peerAt("b"), peerAt("c")]
      c.stats.unanswered = 10
      const [picker] = yield* pickersOf(PowerOfTwo.make(), setOf(a, b, c))
      assert.strictEqual(share(yield* picks(picker!, 1000), "c:1"), 0)
    })
  )

  it.effect("samples every pair alike", () =>
    Effect.gen(function* () {
      const [a, b, c] = [peerAt("a"), peerAt("b"), peerAt("c")]
      a.stats.unanswered = 1
      b.stats.unanswered = 2
      c.stats.unanswered = 3
      const [picker] = yield* pickersOf(PowerOfTwo.make(), setOf(a, b, c))
      const ids = yield* picks(picker!, 9000)
      // a wins two of the three pairs, b the third.
      assert.approximately(share(ids, "a:1"), 2 / 3, 0.02)
      assert.approximately(share(ids, "b:1"), 1 / 3, 0.02)
    }).pipe(Chance.withSeed("pairs"))
  )
})

describe("PowerOfTwo over unequal weights", () => {
  const weighing = (weights: Readonly<Record<string, number>>, ...peers: ReadonlyArray<Peer.Peer>) => ({
    ...setOf(...peers),
    weightOf: (peer: Peer.Peer) => weights[peer.id] ?? 1
  })

  it.effect("gives idle peers shares by their weights", () =>
    Effect.gen(function* () {
      const peers = ["a", "b", "c"].map((name) => peerAt(name))
      const [picker] = yield* pickersOf(PowerOfTwo.make(), weighing({ "a:1": 3, "b:1": 2 }, ...peers))
      const ids = yield* picks(picker!, 12_000)
      assert.approximately(share(ids, "a:1"), 3 / 6, 0.02)
      assert.approximately(share(ids, "b:1"), 2 / 6, 0.02)
    }).pipe(Chance.withSeed("weights"))
  )

  it.effect("loads busy peers by their weights", () =>
    Effect.gen(function* () {
      const [a, b] = [peerAt("a"), peerAt("b")]
      const [picker] = yield* pickersOf(PowerOfTwo.make(), weighing({ "a:1": 1, "b:1": 0.25 }, a, b))
      // Every call stays: pending calls come to the ratio of the weights.
      for (let i = 0; i < 500; i++) {
        const [id] = yield* picks(picker!, 1)
        ;(id === "a:1" ? a : b).stats.unanswered++
      }
      assert.approximately(a.stats.unanswered / b.stats.unanswered, 4, 0.3)
    }).pipe(Chance.withSeed("busy"))
  )

  it.effect("does not let a peer with little weight win because it has no calls", () =>
    Effect.gen(function* () {
      const peers = ["a", "b", "c", "d"].map((name) => peerAt(name))
      for (const peer of peers.slice(1)) peer.stats.unanswered = 5
      const [picker] = yield* pickersOf(PowerOfTwo.make(), weighing({ "a:1": 0.1 }, ...peers))
      // Twice its share of the weight at most: that often it is sampled.
      assert.isBelow(share(yield* picks(picker!, 10_000), "a:1"), 2 * (0.1 / 3.1) + 0.01)
    }).pipe(Chance.withSeed("little"))
  )
})

describe("PickFirst", () => {
  it.effect("asks the first untried peer to connect, one at a time", () =>
    Effect.gen(function* () {
      const [a, b, c] = [peerAt("a", "Down"), peerAt("b", "Idle"), peerAt("c", "Idle")]
      yield* pickersOf(PickFirst.make(), setOf(a, b, c))
      yield* b.connectRequested
      const third = yield* Effect.forkChild(c.connectRequested)
      yield* Effect.yieldNow
      assert.strictEqual(third.pollUnsafe(), undefined)
    })
  )

  it.effect("stays with a peer while it is ready, even if an earlier one comes back", () =>
    Effect.gen(function* () {
      const [a, b] = [peerAt("a", "Down"), peerAt("b")]
      const ready = setOf(peerAt("a"), b)
      const pickers = yield* pickersOf(PickFirst.make(), setOf(a, b), ready)
      assert.deepStrictEqual(yield* picks(pickers[1]!, 1), ["b:1"])
    })
  )
})
