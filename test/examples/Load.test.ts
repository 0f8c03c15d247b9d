import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Load from "../../examples/demo/Load.ts"

/** Runs a load on the test's clock and notes when each call was due and when it started. */
const loaded = (rate: number, seconds: number, takes: number) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const starts: Array<readonly [due: number, at: number]> = []
    let underWay = 0
    const call = (due: number) =>
      Effect.gen(function* () {
        starts.push([due, clock.currentTimeMillisUnsafe()])
        underWay++
        yield* Effect.sleep(takes)
        underWay--
      })
    const fiber = yield* Effect.forkChild(Load.run(call, { rate, seconds, now: () => clock.currentTimeMillisUnsafe() }))
    return { fiber, starts, underWay: () => underWay }
  })

describe("Load", () => {
  it.effect("starts calls on schedule, however long they take", () =>
    Effect.gen(function* () {
      const { starts, underWay } = yield* loaded(10, 2, 60_000)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(
        starts,
        Array.from({ length: 20 }, (_, i) => [i * 100, i * 100] as const)
      )
      assert.strictEqual(underWay(), 20)
    })
  )

  it.effect("starts all that are due when it was late, and says when they were", () =>
    Effect.gen(function* () {
      const { starts } = yield* loaded(1000, 1, 0)
      yield* TestClock.setTime(1000)
      assert.strictEqual(starts.length, 1000)
      assert.deepStrictEqual(starts.at(-1)?.[0], 999)
    })
  )

  it.effect("waits for the last call", () =>
    Effect.gen(function* () {
      const { fiber, underWay } = yield* loaded(10, 1, 5000)
      yield* TestClock.adjust(5899)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(fiber)
      assert.strictEqual(underWay(), 0)
    })
  )
})
