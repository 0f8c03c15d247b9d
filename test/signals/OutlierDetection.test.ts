import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { OutlierDetection } from "trunkline"
import type { Peer } from "trunkline/extend"
import { connected, detect, settle } from "../support/detect.ts"

const counts = (succeeded: number, failed: number): OutlierDetection.CallCounts => ({ succeeded, failed })
const five = (...other: ReadonlyArray<OutlierDetection.CallCounts>) => [
  ...Array.from({ length: 5 - other.length }, () => counts(100, 0)),
  ...other
]

/** Which of the tallies are outliers. */
const outliers = (comparison: OutlierDetection.Comparison, all: ReadonlyArray<OutlierDetection.CallCounts>) => {
  const judge = comparison.judge(all)
  return all.flatMap((one, i) => (judge(one) === undefined ? [] : [i]))
}

describe("successRate", () => {
  const rate = OutlierDetection.successRate()
  const table: ReadonlyArray<
    [what: string, all: ReadonlyArray<OutlierDetection.CallCounts>, out: ReadonlyArray<number>]
  > = [
    ["equals have no outlier", five(), []],
    ["even if all of them fail", five().map(() => counts(0, 100)), []],
    ["one that fails a third of its calls is one", five(counts(67, 33)), [4]],
    ["in four hosts nobody is", five(counts(0, 100)).slice(1), []],
    ["nor with too few calls", five(counts(0, 99)), []],
    ["nor are hosts with too few calls counted", [...five(counts(50, 50)), counts(0, 10)], [4]],
    ["two of five pull the mean down with them", five(counts(0, 100), counts(0, 100)), []]
  ]
  it.each(table)("%s", (_what, all, out) => assert.deepStrictEqual(outliers(rate, all), out))

  it("is less than mean - 1.9 deviations", () => {
    // Nine at 1, one at r: mean 0.9 + r/10, deviation 0.3 (1 - r). Below for any r: 3 deviations away.
    const ten = Array.from({ length: 9 }, () => counts(1000, 0))
    assert.deepStrictEqual(outliers(rate, [...ten, counts(999, 1)]), [9])
    assert.deepStrictEqual(outliers(OutlierDetection.successRate({ deviations: 3 }), [...ten, counts(900, 100)]), [])
    assert.deepStrictEqual(
      outliers(OutlierDetection.successRate({ deviations: 2.99 }), [...ten, counts(900, 100)]),
      [9]
    )
  })
})

describe("failurePercentage", () => {
  const share = OutlierDetection.failurePercentage()
  const table: ReadonlyArray<
    [what: string, all: ReadonlyArray<OutlierDetection.CallCounts>, out: ReadonlyArray<number>]
  > = [
    ["85 % is not above 85 %", five(counts(15, 85)), []],
    ["86 % is", five(counts(14, 86)), [4]],
    ["49 calls are too few", five(counts(0, 49)), []],
    ["50 are not", five(counts(0, 50)), [4]],
    ["four hosts are too few", five(counts(0, 100)).slice(1), []],
    ["all of them may be", five().map(() => counts(0, 100)), [0, 1, 2, 3, 4]]
  ]
  it.each(table)("%s", (_what, all, out) => assert.deepStrictEqual(outliers(share, all), out))
})

/** Peers under detection, whose first comparison is at `first`. */
const scenario = Effect.fnUntraced(function* (
  options: NonNullable<Parameters<typeof OutlierDetection.make>[0]>,
  count = 10
) {
  const peers = Array.from({ length: count }, (_, i) => connected(`h${i}:1`))
  const detector = yield* detect(OutlierDetection.make(options), ...peers)
  /** An interval in which some peers fail everything, up to just before its end. */
  const interval = Effect.fnUntraced(function* (bad: ReadonlyArray<Peer.Peer>, calls = 100) {
    for (const peer of peers) {
      if (detector.statusOf(peer) === "Ready")
        yield* detector.finish(peer, bad.includes(peer) ? "failure" : "success", calls)
    }
    yield* TestClock.adjust("10 seconds")
    yield* settle
  })
  return { ...detector, interval, out: () => peers.filter((peer) => detector.statusOf(peer) === "Ejected"), peers }
})

/** Comparisons are at whole multiples of the interval: chance is 0. */
const onTheHour = Effect.provideService(Random.Random, {
  nextDoubleUnsafe: () => 0,
  nextIntUnsafe: () => 0
} as Random.Random)

describe("the signal", () => {
  it.effect("ejects at the end of an interval, for 30 s the first time and 30 s more each time", () =>
    Effect.gen(function* () {
      const { finish, interval, peers, verdictOf } = yield* scenario({})
      const [bad] = peers
      yield* finish(bad!, "failure", 50)
      for (const peer of peers.slice(1)) yield* finish(peer, "success", 50)
      yield* TestClock.adjust(9999)
      assert.strictEqual(verdictOf(bad!), undefined)
      yield* TestClock.adjust(1)
      yield* settle
      assert.deepStrictEqual(verdictOf(bad!), {
        status: "Ejected",
        weight: 1,
        cause: "100 % of calls failed",
        until: 40_000
      })
      yield* TestClock.setTime(39_999)
      yield* settle
      assert.strictEqual(verdictOf(bad!)?.status, "Ejected")
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(verdictOf(bad!), undefined)
      yield* interval([bad!])
      assert.strictEqual(verdictOf(bad!)?.until, 50_000 + 60_000)
    }).pipe(onTheHour)
  )

  it.effect("ejects for at most 5 minutes, and forgives one time for each comparison a peer comes through", () =>
    Effect.gen(function* () {
      const { interval, peers, verdictOf } = yield* scenario({})
      const [bad] = peers
      let now = 0
      const ejection = Effect.gen(function* () {
        yield* interval([bad!])
        now += 10_000
        const millis = verdictOf(bad!)!.until - now
        while (verdictOf(bad!) !== undefined) {
          yield* interval([])
          now += 10_000
        }
        return millis
      })
      const times = yield* Effect.forEach(Array.from({ length: 12 }), () => ejection)
      assert.deepStrictEqual(
        times.map((millis) => millis / 1000),
        [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]
      )
      for (let i = 0; i < 9; i++) {
        yield* interval([])
        now += 10_000
      }
      // Twelve times, less nine, and now once more.
      assert.strictEqual(yield* ejection, 120_000)
    }).pipe(onTheHour)
  )

  it.effect("ejects no more than a tenth of the peers, but one of few", () =>
    Effect.gen(function* () {
      for (const [count, most] of [
        [5, 1],
        [10, 1],
        [11, 2],
        [20, 2],
        [30, 3]
      ] as const) {
        const { interval, out, peers } = yield* scenario({}, count)
        yield* interval(peers)
        yield* interval(peers)
        assert.strictEqual(out().length, most, `of ${count}`)
      }
    }).pipe(onTheHour)
  )

  it.effect("ejects the worst where it may not eject all", () =>
    Effect.gen(function* () {
      const { finish, out, peers } = yield* scenario({})
      for (const peer of peers) {
        const failures = peer === peers[3] ? 95 : peer === peers[7] ? 90 : 0
        yield* finish(peer, "success", 100 - failures)
        yield* finish(peer, "failure", failures)
      }
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.deepStrictEqual(out(), [peers[3]])
    }).pipe(onTheHour)
  )

  it.effect("counts what ended in the interval only, rejections as failures, and not what was left", () =>
    Effect.gen(function* () {
      const { finish, interval, out, peers } = yield* scenario({})
      yield* finish(peers[0]!, "failure", 49)
      yield* interval([], 0)
      yield* finish(peers[0]!, "failure", 49)
      yield* finish(peers[1]!, "ignorable", 500)
      yield* interval([], 0)
      assert.deepStrictEqual(out(), [])
      yield* finish(peers[2]!, "rejected", 1000)
      yield* interval(peers.slice(2, 3))
      assert.deepStrictEqual(out(), [peers[2]])
    }).pipe(onTheHour)
  )

  it.effect("ejects an outlier with the chance that enforcement says", () =>
    Effect.gen(function* () {
      const ejections = yield* Effect.forEach(
        Array.from({ length: 200 }),
        Effect.fnUntraced(function* () {
          const comparisons = [OutlierDetection.failurePercentage({ enforcement: 0.25, requestVolume: 5 })]
          const { finish, out, peers } = yield* scenario({ comparisons }, 5)
          for (const peer of peers) yield* finish(peer, peer === peers[0] ? "failure" : "success", 10)
          yield* TestClock.adjust("10 seconds")
          yield* settle
          return out().length
        })
      )
      assert.approximately(ejections.reduce((sum, out) => sum + out, 0) / 200, 0.25, 0.08)
    }).pipe(Random.withSeed("enforcement"))
  )

  it.effect("of many clients compares at instants of its own", () =>
    Effect.gen(function* () {
      const peers = Array.from({ length: 5 }, (_, i) => connected(`h${i}:1`))
      const clients = yield* Effect.forEach(Array.from({ length: 20 }), () => detect(OutlierDetection.make(), ...peers))
      for (const { finish } of clients) {
        for (const peer of peers) yield* finish(peer, peer === peers[0] ? "failure" : "success", 100)
      }
      const ejected: Array<number> = []
      for (let second = 0; second < 11; second++) {
        ejected.push(clients.filter(({ statusOf }) => statusOf(peers[0]!) === "Ejected").length)
        yield* TestClock.adjust("1 second")
        yield* settle
      }
      assert.deepStrictEqual([ejected[0], clients.filter((c) => c.statusOf(peers[0]!) === "Ejected").length], [0, 20])
      const most = Math.max(...ejected.slice(1).map((count, i) => count - ejected[i]!))
      assert.isAtMost(most, 8)
    }).pipe(Random.withSeed("phases"))
  )

  const interval = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })))
  it.effect.prop(
    "whatever fails: never more out than allowed, never on too little, and everybody is back in the end",
    { intervals: Schema.Array(interval) },
    ({ intervals }) =>
      Effect.gen(function* () {
        const { finish, interval, out, peers } = yield* scenario({ maxEjectionShare: 0.25 }, 8)
        for (const failures of intervals.slice(0, 12)) {
          const calls = failures.length % 2 === 0 ? 100 : 20
          for (const [i, peer] of peers.entries()) {
            const failed = Math.min(calls, failures[i] ?? 0)
            yield* finish(peer, "failure", failed)
            yield* finish(peer, "success", calls - failed)
          }
          const before = out().length
          yield* interval([], 0)
          assert.isAtMost(out().length, 2)
          if (calls < 50) assert.isAtMost(out().length, before)
        }
        for (let i = 0; i < 31; i++) yield* interval([], 0)
        assert.deepStrictEqual(out(), [])
      }).pipe(Effect.scoped, onTheHour)
  )
})
