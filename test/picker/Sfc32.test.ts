import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { Sfc32 } from "../../src/picker/Sfc32.ts"

const numbers = (seed: string, sides: number, count: number) =>
  Effect.map(Random.Random, (random) => {
    const dice = new Sfc32(random)
    return Array.from({ length: count }, () => dice.below(sides))
  }).pipe(Random.withSeed(seed))

describe("Dice", () => {
  it.effect("the same seed gives the same numbers, and another seed others", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* numbers("a", 1000, 50), yield* numbers("a", 1000, 50))
      assert.notDeepEqual(yield* numbers("a", 1000, 50), yield* numbers("b", 1000, 50))
    })
  )

  it.effect.each([1, 2, 6, 7, 1000])("of %i sides each comes as often, also after each other", (sides) =>
    Effect.gen(function* () {
      const count = 200 * sides
      const drawn = yield* numbers("fair", sides, count)
      const counts = Array.from({ length: sides }, () => 0)
      const pairs = [0, 0, 0, 0]
      drawn.forEach((side, i) => {
        counts[side]!++
        pairs[(side & 1) * 2 + ((drawn[i + 1] ?? 0) & 1)]!++
      })
      // The sum of the squared deviations over the mean is about the number of sides, give or take its root.
      const chi = counts.reduce((sum, n) => sum + (n - 200) ** 2 / 200, 0)
      assert.isBelow(Math.abs(chi - (sides - 1)), 4 * Math.sqrt(2 * sides))
      if (sides === 6) for (const pair of pairs) assert.approximately(pair / count, 0.25, 0.05)
    })
  )
})
