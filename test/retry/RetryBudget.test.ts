import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Random } from "effect"
import { RetryBudget } from "trunkline"
import type { Outcome } from "trunkline/extend"

const take = (budget: RetryBudget.RetryBudget, times: number, now: number): number =>
  Array.from({ length: times }, () => budget.withdraw(now)).filter(Boolean).length

const observe = (budget: RetryBudget.RetryBudget, outcome: Outcome.Outcome, times: number, now: number): void => {
  for (let i = 0; i < times; i++) budget.observe(outcome, now)
}

describe("a ratio budget", () => {
  it.effect("has the floor of ten a second over ten seconds, and no more", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      assert.strictEqual(budget.state(0).balance, 100)
      assert.strictEqual(take(budget, 1000, 0), 100)
      assert.deepStrictEqual(budget.state(0), { balance: 0, withdrawals: 100, exhaustions: 900 })
    })
  )

  it.effect.each([
    ["success", 20],
    ["failure", 0],
    ["rejected", 0],
    ["ignorable", 0]
  ] as const)("a hundred times %s earn %i retries", ([outcome, expected]) =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ minPerSecond: 0 })
      observe(budget, outcome, 100, 5)
      assert.strictEqual(take(budget, 100, 5), expected)
    })
  )

  it.effect("forgets successes and retries after its ttl, a tenth of it at a time", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ minPerSecond: 0, ratio: 1, ttl: "1 second" })
      for (let slot = 0; slot < 10; slot++) budget.observe("success", slot * 100)
      const left = [900, 1000, 1099, 1100, 1500, 1899, 1900].map((now) => budget.state(now).balance)
      assert.deepStrictEqual(left, [10, 9, 9, 8, 4, 1, 0])
    })
  )

  it.effect("counts what comes late in its newest slot, and a long silence as forgotten", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ minPerSecond: 0, ratio: 1 })
      budget.observe("success", 50_000)
      budget.observe("success", 1000)
      assert.strictEqual(budget.state(50_000).balance, 2)
      assert.strictEqual(budget.state(1e9).balance, 0)
    })
  )

  it.effect("never allows more than its ratio and its floor over any ttl", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      for (let run = 0; run < 20; run++) {
        const budget = yield* RetryBudget.make({ ratio: 0.2, minPerSecond: 1, ttl: "10 seconds" })
        const successes: Array<number> = []
        const retries: Array<number> = []
        let now = 0
        for (let step = 0; step < 2000; step++) {
          now += random.nextDoubleUnsafe() * 40
          if (random.nextDoubleUnsafe() < 0.5) {
            budget.observe("success", now)
            successes.push(now)
          } else if (budget.withdraw(now)) retries.push(now)
        }
        // A slot is forgotten as one, so a success counts up to a tenth of the ttl longer than a retry of its slot.
        for (const at of retries) {
          const spent = retries.filter((time) => time <= at && time > at - 9000).length
          const earned = successes.filter((time) => time <= at && time > at - 10_000).length
          const before = successes.filter((time) => time <= at - 10_000 && time > at - 20_000).length
          assert.isAtMost(spent, 0.2 * (earned + before) + 10 + 1e-9)
        }
      }
    }).pipe(Random.withSeed("budget"))
  )

  it("empty allows nothing and infinite everything", () => {
    assert.deepStrictEqual([take(RetryBudget.empty, 5, 0), take(RetryBudget.infinite, 5, 0)], [0, 5])
    assert.deepStrictEqual([RetryBudget.empty.state(0).balance, RetryBudget.infinite.state(0).balance], [0, Infinity])
  })

  it.effect("is set by an operator, and is one for all above the layer", () =>
    Effect.gen(function* () {
      const layer = RetryBudget.layerConfig({ ratio: Config.Number("RATIO"), minPerSecond: Config.Number("FLOOR") })
      const environment = ConfigProvider.fromUnknown({ RATIO: "0.5", FLOOR: "0" })
      const two = Effect.all([RetryBudget.Current, RetryBudget.Current])
      const [one, other] = yield* two.pipe(
        Effect.provide(layer),
        Effect.provideService(ConfigProvider.ConfigProvider, environment)
      )
      observe(one!, "success", 2, 0)
      assert.deepStrictEqual([other!.withdraw(0), one!.withdraw(0)], [true, false])
      const missing = yield* Layer.build(layer).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({})),
        Effect.scoped,
        Effect.flip
      )
      assert.include(String(missing), "RATIO")
    })
  )
})

describe("a token throttle (gRFC A6)", () => {
  it.effect("10 starts full, blocks at exactly half, and opens a thousandth above it", () =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio: 0.001 })
      observe(throttle, "failure", 4, 0)
      assert.deepStrictEqual([throttle.state(0).balance, throttle.withdraw(0)], [6, true])
      observe(throttle, "rejected", 1, 0)
      assert.deepStrictEqual([throttle.state(0).balance, throttle.withdraw(0)], [5, false])
      observe(throttle, "success", 1, 0)
      assert.deepStrictEqual([throttle.state(0).balance, throttle.withdraw(0)], [5.001, true])
      assert.deepStrictEqual(throttle.state(0), { balance: 5.001, withdrawals: 2, exhaustions: 1 })
    })
  )

  it.effect.each([
    [0.1, 0.1],
    [0.5466, 0.546],
    [0.0004, 0]
  ] as const)("a ratio of %d adds %d: three decimals count", ([tokenRatio, added]) =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio })
      observe(throttle, "failure", 5, 0)
      throttle.observe("success", 0)
      assert.strictEqual(throttle.state(0).balance, 5 + added)
    })
  )

  it.effect("stays between empty and full, and other answers change nothing", () =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.tokenThrottle({ maxTokens: 2, tokenRatio: 1 })
      observe(throttle, "success", 5, 0)
      observe(throttle, "ignorable", 5, 0)
      assert.strictEqual(throttle.state(0).balance, 2)
      observe(throttle, "failure", 5, 0)
      assert.strictEqual(throttle.state(0).balance, 0)
    })
  )

  it.effect("10 is as full as before when its numbers change", () =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio: 0.1 })
      observe(throttle, "failure", 4, 0)
      throttle.reconfigure({ maxTokens: 100, tokenRatio: 1 })
      assert.strictEqual(throttle.state(0).balance, 60)
      throttle.observe("success", 0)
      assert.strictEqual(throttle.state(0).balance, 61)
    })
  )
})

describe("an adaptive throttle", () => {
  const allowed = Effect.fnUntraced(function* (accepted: number, refused: number) {
    const throttle = yield* RetryBudget.adaptive()
    observe(throttle, "success", accepted / 2, 0)
    observe(throttle, "ignorable", accepted / 2, 0)
    observe(throttle, "failure", refused, 0)
    return { chance: throttle.state(0).balance, share: take(throttle, 10_000, 0) / 10_000 }
  }, Random.withSeed("adaptive"))

  it.effect.each([
    [100, 0, 1],
    [100, 100, 1],
    [100, 300, 1 - 200 / 401],
    [0, 999, 0.001]
  ] as const)("with %i accepted and %i refused a retry has the chance %d", ([accepted, refused, chance]) =>
    Effect.gen(function* () {
      const seen = yield* allowed(accepted, refused)
      assert.closeTo(seen.chance, chance, 1e-12)
      assert.closeTo(seen.share, chance, 0.02)
    })
  )

  it.effect("forgets after two minutes", () =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.adaptive()
      observe(throttle, "failure", 100, 0)
      assert.isBelow(throttle.state(0).balance, 0.02)
      assert.strictEqual(throttle.state(120_000).balance, 1)
    })
  )
})
