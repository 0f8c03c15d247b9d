import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { StateRef } from "trunkline/extend"

describe("StateRef", () => {
  it.effect("begins with the current value and goes on with every later one", () =>
    Effect.gen(function* () {
      const ref = StateRef.make(0)
      ref.set(1)
      const reader = yield* Effect.forkChild(Stream.runCollect(Stream.take(ref.changes, 3)))
      yield* Effect.yieldNow
      ref.set(2)
      yield* Effect.yieldNow
      ref.set(3)
      assert.deepStrictEqual(yield* Fiber.join(reader), [1, 2, 3])
      assert.strictEqual(ref.current(), 3)
    })
  )

  it.effect("a slow reader sees the latest, and each reader sees for itself", () =>
    Effect.gen(function* () {
      const ref = StateRef.make(0)
      const seen: Array<number> = []
      const slow = ref.changes.pipe(
        Stream.tap((value) => Effect.sync(() => seen.push(value))),
        Stream.runForEach(() => Effect.yieldNow)
      )
      yield* Effect.forkChild(slow)
      yield* Effect.yieldNow
      for (let i = 1; i <= 100; i++) ref.set(i)
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.deepStrictEqual(seen, [0, 100])
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(ref.changes, 1)), [100])
    })
  )

  it.effect("an interrupted reader leaves nothing behind that a set would wake", () =>
    Effect.gen(function* () {
      const ref = StateRef.make(0)
      const reader = yield* Effect.forkChild(Stream.runDrain(ref.changes))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(reader)
      ref.set(1)
      assert.strictEqual(ref.current(), 1)
    })
  )

  it.effect("once per tick, a burst is its first change and its last", () =>
    Effect.gen(function* () {
      const ref = StateRef.make(0)
      const seen: Array<number> = []
      yield* Effect.forkChild(
        Stream.runForEach(StateRef.oncePerTick(ref), (value) => Effect.sync(() => seen.push(value)))
      )
      for (let i = 0; i < 3; i++) yield* Effect.yieldNow
      for (let i = 1; i <= 100; i++) ref.set(i)
      // The first was seen before `set` returned.
      assert.deepStrictEqual(seen, [0, 1])
      for (let i = 0; i < 3; i++) yield* Effect.yieldNow
      assert.deepStrictEqual(seen, [0, 1, 100])
    })
  )
})
