import { assert, describe, it } from "@effect/vitest"
import { Random, Effect } from "effect"
import { Histogram } from "../../examples/demo/Histogram.ts"

const of = (...values: ReadonlyArray<number>): Histogram => {
  const histogram = new Histogram()
  for (const value of values) histogram.record(value)
  return histogram
}

/** What a sorted array would have said. */
const nearestRank = (values: ReadonlyArray<number>, percent: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil((percent / 100) * values.length)) - 1]!

describe("Histogram", () => {
  it("knows nothing of nothing", () => {
    assert.isUndefined(of().percentile(50))
    assert.strictEqual(of().count, 0)
  })

  it("says the largest exactly", () => {
    assert.strictEqual(of(1, 7.123, 3).max, 7.123)
    assert.strictEqual(of(1, 7.123, 3).percentile(100), 7.123)
    assert.strictEqual(of(4.2).percentile(1), 4.2)
  })

  it.effect.each([50, 90, 99, 99.9, 100])("percentile %f is within 1 % of a sorted array's", (percent) =>
    Effect.gen(function* () {
      const values = yield* Effect.forEach(Array.from({ length: 5000 }), () =>
        Effect.map(Random.nextBetween(Math.log(0.02), Math.log(20_000)), Math.exp)
      )
      const exact = nearestRank(values, percent)
      assert.approximately(of(...values).percentile(percent)! / exact, 1, 0.0101)
    }).pipe(Random.withSeed("histogram"))
  )

  it("takes what is out of its range into its first and last bucket", () => {
    assert.isAtMost(of(0, 0, 5).percentile(50)!, 0.01)
    assert.isAtLeast(of(1, 1e9, 1e9).percentile(60)!, 500_000)
    assert.strictEqual(of(1, 1e9).max, 1e9)
  })

  it("adds up and clears", () => {
    const sum = of(1, 2).add(of(3, 4))
    assert.strictEqual(sum.count, 4)
    assert.strictEqual(sum.max, 4)
    assert.approximately(sum.percentile(50)!, 2, 0.02)
    sum.clear()
    assert.strictEqual(sum.count, 0)
    assert.isUndefined(sum.percentile(50))
  })
})
