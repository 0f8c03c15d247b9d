import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema, Stream } from "effect"
import { Weighted } from "trunkline"
import { type Peer, type Picker, Weights } from "trunkline/extend"
import { peerAt, pickersOf, picks, setOf } from "../support/peers.ts"

const weighted = (...weights: ReadonlyArray<number>) => weights.map((weight, i) => peerAt(`p${i}`, "Ready", weight))

const countsOf = (ids: ReadonlyArray<string>, peers: ReadonlyArray<Peer.Peer>) =>
  peers.map(({ id }) => ids.filter((other) => other === id).length)

describe("Weighted", () => {
  it.effect("equal weights take exact turns", () =>
    Effect.gen(function* () {
      const peers = weighted(2, 2, 2)
      const [picker] = yield* pickersOf(Weighted.make(), setOf(...peers))
      const ids = yield* picks(picker!, 9)
      assert.strictEqual(new Set(ids.slice(0, 3)).size, 3)
      assert.deepStrictEqual(ids.slice(3, 6), ids.slice(0, 3))
    })
  )

  it.effect.prop(
    "after any number of picks nobody is more than two calls off its share, nor waits longer than that",
    {
      weights: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 }))).check(
        Schema.isMinLength(1),
        Schema.isMaxLength(8)
      ),
      seed: Schema.Int
    },
    ({ seed, weights }) =>
      Effect.gen(function* () {
        const peers = weighted(...weights)
        const total = weights.reduce((sum, weight) => sum + weight, 0)
        const [picker] = yield* pickersOf(Weighted.make(), setOf(...peers))
        const ids = yield* picks(picker!, 400)
        const counts = new Map(peers.map(({ id }) => [id, 0]))
        ids.forEach((id, i) => {
          counts.set(id, counts.get(id)! + 1)
          peers.forEach((peer, p) => {
            const due = ((i + 1) * weights[p]!) / total
            // A lap of the others may be between its two halves.
            assert.isBelow(Math.abs(counts.get(peer.id)! - due), 2 + weights.length / 2)
          })
        })
      }).pipe(Random.withSeed(seed))
  )

  it.effect("a weight that is none counts as the mean", () =>
    Effect.gen(function* () {
      const peers = weighted(1, 3, 0, NaN, Infinity)
      const [picker] = yield* pickersOf(Weighted.make(), setOf(...peers))
      const counts = countsOf(yield* picks(picker!, 1000), peers)
      counts.forEach((count, i) => assert.approximately(count, [100, 300, 200, 200, 200][i]!, 2))
    })
  )

  it.effect("a heavy peer's calls are spread over the round", () =>
    Effect.gen(function* () {
      const peers = weighted(5, 1, 1)
      const [picker] = yield* pickersOf(Weighted.make(), setOf(...peers))
      const ids = yield* picks(picker!, 700)
      let longest = 0
      let run = 0
      for (const id of ids) {
        run = id === "p0:1" ? run + 1 : 0
        longest = Math.max(longest, run)
      }
      assert.isAtMost(longest, 5)
    }).pipe(Random.withSeed("spread"))
  )

  it.effect("a set that changes with every pick changes nobody's share", () =>
    Effect.gen(function* () {
      const peers = weighted(1, 2, 3)
      const ids: Array<string> = []
      yield* Weighted.make()
        .pickers(Stream.rechunk(Stream.fromIterable(Array.from({ length: 600 }, () => setOf(...peers))), 1))
        .pipe(Stream.runForEach((picker) => Effect.map(picks(picker, 1), (picked) => ids.push(...picked))))
      countsOf(ids, peers).forEach((count, i) => assert.approximately(count, (i + 1) * 100, 2))
    })
  )
})

describe("Weights", () => {
  it.each([
    ["queries over utilization", { queriesPerSecond: 100, utilization: 0.5 }, 200],
    ["errors count as utilization", { queriesPerSecond: 100, errorsPerSecond: 50, utilization: 0.5 }, 100],
    ["no queries", { queriesPerSecond: 0, utilization: 0.5 }, 0],
    ["no load", { queriesPerSecond: 100, utilization: 0 }, 0],
    ["nonsense", { queriesPerSecond: NaN, utilization: -1 }, 0],
    ["more than full", { queriesPerSecond: 100, utilization: 2 }, 50]
  ] as const)("%s", (_name, report, expected) => assert.strictEqual(Weights.weigh(report), expected))

  it("counts from the blackout on, until it expires", () => {
    const weights = Weights.make()
    const report = { queriesPerSecond: 10, utilization: 0.1 }
    weights.report("a", report, 0)
    assert.strictEqual(weights.get("a", 9999), undefined)
    assert.strictEqual(weights.get("a", 10_000), 100)
    assert.strictEqual(weights.get("a", 179_999), 100)
    assert.strictEqual(weights.get("a", 180_000), undefined)
    // Reports that come again begin again.
    weights.report("a", report, 180_000)
    assert.strictEqual(weights.get("a", 189_999), undefined)
    assert.strictEqual(weights.get("a", 190_000), 100)
  })

  it("a report that says nothing changes nothing, a restart forgets", () => {
    const weights = Weights.make({ blackout: 0 })
    weights.report("a", { queriesPerSecond: 10, utilization: 0.1 }, 0)
    weights.report("a", { queriesPerSecond: 0, utilization: 0.1 }, 179_999)
    assert.strictEqual(weights.get("a", 179_999), 100)
    assert.strictEqual(weights.get("a", 180_000), undefined)
    weights.restart("a")
    assert.strictEqual(weights.get("a", 1), undefined)
  })
})

describe("Weighted by reports", () => {
  const setUp = (policy: Picker.PickerPolicy) => {
    const peers = weighted(1, 1, 1)
    return Effect.map(pickersOf(policy, setOf(...peers)), ([picker]) => ({
      counts: (now: number) => Effect.map(picks(picker!, 600, now), (ids) => countsOf(ids, peers))
    }))
  }
  const near = (counts: ReadonlyArray<number>, expected: ReadonlyArray<number>) =>
    counts.forEach((count, i) => assert.approximately(count, expected[i]!, 3))

  it.effect("those without one have the mean; one report alone changes nothing", () =>
    Effect.gen(function* () {
      const reports = Weights.make({ blackout: 0 })
      const { counts } = yield* setUp(Weighted.make({ reports }))
      reports.report("p0:1", { queriesPerSecond: 300, utilization: 1 }, 0)
      near(yield* counts(0), [200, 200, 200])
      reports.report("p1:1", { queriesPerSecond: 100, utilization: 1 }, 1)
      near(yield* counts(1000), [300, 100, 200])
    })
  )

  it.effect("they are looked at once in an update period", () =>
    Effect.gen(function* () {
      const reports = Weights.make({ blackout: 0 })
      const { counts } = yield* setUp(Weighted.make({ reports }))
      near(yield* counts(0), [200, 200, 200])
      reports.report("p0:1", { queriesPerSecond: 300, utilization: 1 }, 1)
      reports.report("p1:1", { queriesPerSecond: 100, utilization: 1 }, 1)
      near(yield* counts(999), [200, 200, 200])
      near(yield* counts(1000), [300, 100, 200])
    })
  )

  it.effect("nobody is more than ten times, or less than a tenth of, the mean", () =>
    Effect.gen(function* () {
      const reports = Weights.make({ blackout: 0 })
      const { counts } = yield* setUp(Weighted.make({ reports }))
      for (const [i, queriesPerSecond] of [1, 1e6, 1e6].entries()) {
        reports.report(`p${i}:1`, { queriesPerSecond, utilization: 1 }, 0)
      }
      const [least, ...others] = yield* counts(0)
      assert.approximately(least!, 600 * (0.1 / (0.1 + 3)), 2)
      assert.approximately(others[0]!, others[1]!, 2)
    })
  )

  it.effect("come on top of discovery's weights", () =>
    Effect.gen(function* () {
      const reports = Weights.make({ blackout: 0 })
      const peers = weighted(1, 2)
      const [picker] = yield* pickersOf(Weighted.make({ reports }), setOf(...peers))
      reports.report("p0:1", { queriesPerSecond: 300, utilization: 1 }, 0)
      reports.report("p1:1", { queriesPerSecond: 100, utilization: 1 }, 0)
      near(countsOf(yield* picks(picker!, 600), peers), [360, 240])
    })
  )

  it.effect("begin again on a new connection", () =>
    Effect.gen(function* () {
      const reports = Weights.make({ blackout: "10 seconds" })
      const [a, b] = weighted(1, 1)
      reports.report("p0:1", { queriesPerSecond: 300, utilization: 1 }, 0)
      const sets = [setOf(a!, b!), setOf(b!), setOf(a!, b!)]
      yield* pickersOf(Weighted.make({ reports }), sets[0]!)
      assert.strictEqual(reports.get("p0:1", 10_000), 300)
      yield* pickersOf(Weighted.make({ reports }), ...sets)
      assert.strictEqual(reports.get("p0:1", 10_000), undefined)
    })
  )
})
