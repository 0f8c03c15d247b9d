import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { Jitter } from "trunkline/extend"

describe("Jitter", () => {
  it.each<[string, Jitter.Jitter, low: number, middle: number, high: number]>([
    ["full", Jitter.full, 1, 501, 1000],
    ["equal", Jitter.equal, 500, 750, 1000],
    ["none", Jitter.none, 1000, 1000, 1000],
    ["±20 %", Jitter.proportional(0.2), 800, 1000, 1200],
    ["a part above 1 is 1", Jitter.proportional(7), 0, 1000, 2000],
    ["a part below 0 is 0", Jitter.proportional(-1), 1000, 1000, 1000],
    ["±20 % except for the first, later on", Jitter.exceptFirst(Jitter.proportional(0.2)), 800, 1000, 1200]
  ])("%s", (_name, jitter, low, middle, high) => {
    assert.approximately(jitter(1000, 0, 1), low, 1e-9)
    assert.approximately(jitter(1000, 0.5, 1), middle, 1e-9)
    assert.approximately(jitter(1000, 1 - 2 ** -53, 1), high, 1e-9)
  })

  it("exceptFirst leaves the first alone", () => {
    assert.strictEqual(Jitter.exceptFirst(Jitter.full)(1000, 0.5, 0), 1000)
    assert.strictEqual(Jitter.exceptFirst(Jitter.full)(1000, 0.5, 1), 501)
  })

  it.effect("none leaves its bounds, whatever the draw", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 2000; i++) {
        const [draw, index] = [yield* Random.next, yield* Random.nextIntBetween(0, 50)]
        const nanos = 2 + Math.floor(1e12 * (yield* Random.next))
        const within = (jitter: Jitter.Jitter, low: number, high: number) => {
          assert.isAtLeast(jitter(nanos, draw, index), low * (1 - 1e-12))
          assert.isAtMost(jitter(nanos, draw, index), high * (1 + 1e-12))
        }
        within(Jitter.full, 1, nanos)
        within(Jitter.equal, nanos / 2, nanos)
        within(Jitter.proportional(0.2), 0.8 * nanos, 1.2 * nanos)
      }
    }).pipe(Random.withSeed("bounds"))
  )
})
