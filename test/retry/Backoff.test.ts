import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Pull, Random, Schedule } from "effect"
import { Backoff, Retry, RpcError } from "trunkline"
import { Jitter } from "trunkline/extend"
import { always, highest as envelope } from "../support/timeline.ts"

/** The next delays of a schedule, in milliseconds. */
const delays = Effect.fnUntraced(function* (schedule: Schedule.Schedule<unknown>, count: number) {
  const step = yield* Schedule.toStep(schedule)
  const out: Array<number> = []
  for (let i = 0; i < count; i++) {
    const [, delay] = yield* step(0, undefined).pipe(Pull.catchDone(() => Effect.die("the backoff ended")))
    out.push(Duration.toMillis(delay))
  }
  return out
})

describe("Backoff.exponential", () => {
  it.effect.each<[string, Backoff.Exponential | undefined, ReadonlyArray<number>]>([
    ["1 s, x2, 30 s by default", undefined, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    ["as told", { initial: 100, max: 1000, multiplier: 3 }, [100, 300, 900, 1000, 1000]],
    ["zero means the default", { initial: 0, max: 0, multiplier: 0 }, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    ["a multiplier below 1 means 2", { initial: 100, multiplier: 0.5 }, [100, 200, 400]],
    ["a multiplier of 1 is constant", { initial: 100, multiplier: 1 }, [100, 100, 100]],
    ["gax's own vector, in nanoseconds", { initial: 1n, max: 20n }, [1e-6, 2e-6, 4e-6, 8e-6, 16e-6, 20e-6, 20e-6]],
    ["the first envelope is not capped", { initial: 5000, max: 1000 }, [5000, 1000, 1000]],
    ["a huge multiplier saturates at max", { initial: 1, max: 50, multiplier: Number.MAX_VALUE }, [1, 50, 50]]
  ])("%s", ([_name, options, expected]) =>
    Effect.gen(function* () {
      const actual = yield* delays(Backoff.exponential(options), expected.length)
      for (const [i, millis] of expected.entries()) assert.approximately(actual[i]!, millis, 1e-3)
    }).pipe(envelope)
  )

  it.effect("is at least 1 ns", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* delays(Backoff.exponential(), 3), [1e-6, 1e-6, 1e-6])
    }).pipe(always(0))
  )

  it.effect("is uniform below the envelope", () =>
    Effect.gen(function* () {
      const first = yield* Effect.forEach(Array.from({ length: 4000 }), () =>
        Effect.map(delays(Backoff.exponential({ initial: 1000 }), 1), (all) => all[0]!)
      )
      const mean = first.reduce((sum, delay) => sum + delay, 0) / first.length
      assert.approximately(mean, 500, 20)
      assert.isAtLeast(Math.min(...first), 1e-6)
      assert.isAtMost(Math.max(...first), 1000)
    }).pipe(Random.withSeed("uniform"))
  )

  it.effect("the same seed gives the same delays, and one use does not disturb another", () =>
    Effect.gen(function* () {
      const backoff = Backoff.exponential()
      const run = Random.withSeed(delays(backoff, 10), "seed")
      assert.deepStrictEqual(yield* run, yield* run)
    })
  )
})

const low = always(0)
const high = envelope
const close = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
  assert.strictEqual(actual.length, expected.length)
  for (const [i, millis] of expected.entries()) assert.approximately(actual[i]!, millis, millis * 1e-3 + 1e-6)
}

describe("the other families", () => {
  it.effect.each<[string, Backoff.Backoff, ReadonlyArray<number>, ReadonlyArray<number>]>([
    [
      "equal jitter",
      Backoff.exponential({ initial: 100, max: 300, jitter: Jitter.equal }),
      [50, 100, 150, 150],
      [100, 200, 300, 300]
    ],
    [
      "no jitter",
      Backoff.exponential({ initial: 100, max: 300, jitter: Jitter.none }),
      [100, 200, 300],
      [100, 200, 300]
    ],
    [
      "decorrelated: from the first delay to three times the last",
      Backoff.decorrelated({ initial: 100, max: 2000 }),
      [100, 100, 100, 100, 100],
      [300, 900, 2000, 2000, 2000]
    ],
    [
      "decorrelated with defaults",
      Backoff.decorrelated(),
      [1000, 1000, 1000, 1000, 1000],
      [3000, 9000, 27_000, 30_000, 30_000]
    ],
    [
      "a service config's: ±20 % from the first on",
      Backoff.serviceConfig({ initial: 100, max: 1000, multiplier: 3 }),
      [80, 240, 720, 800],
      [120, 360, 1080, 1200]
    ],
    [
      "a service config's max caps the first too",
      Backoff.serviceConfig({ initial: 5000, max: 1000 }),
      [800, 800],
      [1200, 1200]
    ],
    [
      "goma's: the first as it is, then ±20 %",
      Backoff.goma(),
      [10, 12.8, 20.48, 32.768, 52.4288, 83.88608],
      [10, 19.2, 30.72, 49.152, 78.6432, 125.82912]
    ],
    // In goma itself this is a loop without delays.
    ["goma's with only a max set", Backoff.goma({ max: "5 seconds" }), [10, 12.8, 20.48], [10, 19.2, 30.72]],
    ["goma's max does not cap the first", Backoff.goma({ initial: "3 minutes" }), [180_000, 96_000], [180_000, 144_000]]
  ])("%s", ([_name, backoff, lowest, highest]) =>
    Effect.gen(function* () {
      close(yield* low(delays(backoff, lowest.length)), lowest)
      close(yield* high(delays(backoff, highest.length)), highest)
    })
  )

  it.effect("goma's vectors further out", () =>
    Effect.gen(function* () {
      const [lowest, highest] = [yield* low(delays(Backoff.goma(), 40)), yield* high(delays(Backoff.goma(), 40))]
      close([lowest[10]!, highest[10]!], [879.6, 1319.4])
      for (let n = 21; n < 40; n++) close([lowest[n]!, highest[n]!], [96_000, 144_000])
    })
  )

  it.effect("a service config's delays are within ±20 % of the envelope, at any draw", () =>
    Effect.gen(function* () {
      for (let run = 0; run < 200; run++) {
        const actual = yield* delays(Backoff.serviceConfig({ initial: 100, max: 5000, multiplier: 1.7 }), 12)
        for (const [n, millis] of actual.entries()) {
          const middle = Math.min(100 * 1.7 ** n, 5000)
          assert.isAtLeast(millis, 0.8 * middle - 1e-6)
          assert.isAtMost(millis, 1.2 * middle + 1e-6)
        }
      }
    }).pipe(Random.withSeed("A6"))
  )

  it.effect("one draw per delay, so a seed gives every jitter the same chance", () =>
    Effect.gen(function* () {
      const seeded = Random.withSeed("chance")
      const draws = yield* seeded(Effect.all(Array.from({ length: 5 }, () => Random.next)))
      const options = { initial: 100, max: 400 }
      const envelopes = [100, 200, 400, 400, 400]
      const expected = (f: (millis: number, draw: number) => number) =>
        envelopes.map((millis, i) => f(millis, draws[i]!))
      close(
        yield* seeded(delays(Backoff.exponential(options), 5)),
        expected((millis, draw) => draw * millis)
      )
      close(
        yield* seeded(delays(Backoff.exponential({ ...options, jitter: Jitter.equal }), 5)),
        expected((millis, draw) => millis / 2 + (draw * millis) / 2)
      )
      close(
        yield* seeded(delays(Backoff.serviceConfig(options), 5)),
        expected((millis, draw) => millis * (0.8 + 0.4 * draw))
      )
    })
  )
})

describe("whatever goes in", () => {
  const durations = [
    undefined, 0, -1, NaN, 1n, 0.0000001, 1000, Number.MAX_VALUE, Infinity, Duration.infinity, Duration.negativeInfinity,
    Duration.nanos(10n ** 30n), Duration.millis(-5)
  ] // oxfmt-ignore
  const multipliers = [undefined, 0, -3, NaN, 0.5, 1, 2, Number.MAX_VALUE, Infinity, -Infinity]
  const jitters = [undefined, Jitter.none, Jitter.equal, Jitter.proportional(5), () => NaN, () => -1, () => Infinity]

  it.effect("what comes out is finite and not negative", () =>
    Effect.gen(function* () {
      for (const initial of durations) {
        for (const max of durations) {
          for (const multiplier of multipliers) {
            const options = { initial, max, multiplier }
            const jitter = jitters[yield* Random.nextIntBetween(0, jitters.length - 1)]
            for (const backoff of [
              Backoff.exponential({ ...options, jitter }),
              Backoff.serviceConfig({ ...options, jitter }),
              Backoff.goma({ ...options, jitter }),
              Backoff.decorrelated(options)
            ]) {
              assert.isTrue(Duration.isFinite(backoff.max) && Duration.isPositive(backoff.max))
              for (const millis of yield* delays(backoff, 4)) {
                assert.isTrue(Number.isFinite(millis) && millis >= 0, `${String(initial)} ${String(max)} ${multiplier}`)
              }
            }
          }
        }
      }
    }).pipe(Random.withSeed("hostile"))
  )

  it.effect("growth without a bound stops at the longest exact delay", () =>
    Effect.gen(function* () {
      const backoff = Backoff.exponential({ max: Duration.infinity, multiplier: 1e9 })
      const longest = Number.MAX_SAFE_INTEGER / 1e6
      close(yield* high(delays(backoff, 2000)), [1000, ...Array.from({ length: 1999 }, () => longest)])
      assert.strictEqual(Duration.toMillis(backoff.max), longest)
    })
  )
})

describe("Backoff.jittered", () => {
  it.effect("spreads the delays of any schedule, which stays what it was", () =>
    Effect.gen(function* () {
      const spread = Schedule.spaced("1 second").pipe(Backoff.jittered(Jitter.exceptFirst(Jitter.proportional(0.1))))
      close(yield* low(delays(spread, 3)), [1000, 900, 900])
      close(yield* high(delays(spread, 3)), [1000, 1100, 1100])
      const limited = Backoff.jittered(Schedule.recurs(2), Jitter.full)
      const step = yield* Schedule.toStep(limited)
      assert.strictEqual((yield* step(0, undefined))[0], 0)
      assert.strictEqual((yield* step(0, undefined))[0], 1)
      assert.strictEqual(yield* Pull.catchDone(step(0, undefined), () => Effect.succeed("ended")), "ended")
    })
  )
})

describe("a mark on the error", () => {
  it.effect("moves the envelope's start and growth for the delay it comes with", () =>
    Effect.gen(function* () {
      const error = RpcError.make("ABORTED", "x")
      const errors: ReadonlyArray<[unknown, number]> = [
        [error, 100],
        [Retry.retriable(error, { delay: 50 }), 200],
        [Retry.retriable(error, { delay: "1 second" }), 4000],
        [Retry.retriable(error, { factor: 3 }), 2700],
        [Retry.retriable(error, { factor: 0.5 }), 1600],
        [Retry.retriable(error, { delay: Duration.infinity }), 10_000]
      ]
      const step = yield* Schedule.toStep(Backoff.exponential({ initial: 100, max: 10_000, jitter: Jitter.none }))
      for (const [input, millis] of errors) {
        assert.strictEqual(Duration.toMillis((yield* step(0, input))[1]), millis)
      }
    })
  )
})

it("only a backoff is a backoff", () => {
  assert.isTrue(Backoff.isBackoff(Backoff.goma()))
  assert.isFalse(Backoff.isBackoff(Schedule.spaced(1)))
  assert.isFalse(Backoff.isBackoff(Schedule.upTo(Backoff.goma(), { times: 1 })))
})
