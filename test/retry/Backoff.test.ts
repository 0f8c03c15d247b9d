import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Pull, Random, Schedule } from "effect"
import { Backoff } from "trunkline"

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

/** A random source that always answers the same, to read the envelope. */
const always = (value: number) =>
  Effect.provideService(Random.Random, {
    nextIntUnsafe: () => value,
    nextDoubleUnsafe: () => value
  })
const envelope = always(1 - Number.EPSILON)

describe("Backoff.exponential", () => {
  it.effect.each<[string, Backoff.Exponential | undefined, ReadonlyArray<number>]>([
    ["1 s, x2, 30 s by default", undefined, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    ["as told", { initial: 100, max: 1000, multiplier: 3 }, [100, 300, 900, 1000, 1000]],
    ["zero means the default", { initial: 0, max: 0, multiplier: 0 }, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]],
    ["a multiplier below 1 means 2", { initial: 100, multiplier: 0.5 }, [100, 200, 400]],
    ["a multiplier of 1 is constant", { initial: 100, multiplier: 1 }, [100, 100, 100]],
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
