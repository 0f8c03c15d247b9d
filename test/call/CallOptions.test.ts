import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { CallOptions } from "trunkline"

const seen = Effect.map(CallOptions.Current, (options) => options)

describe("CallOptions", () => {
  it.effect("defaults: no deadline, no timeout, no metadata, window 16", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* seen, {
        deadlineMillis: Infinity,
        timeoutMillis: Infinity,
        timeoutMultiplier: 1,
        maxTimeoutMillis: Infinity,
        metadata: new Map(),
        whenNotReady: undefined,
        window: 16,
        maxSendBytes: Infinity,
        maxReceiveBytes: Infinity,
        compression: "identity",
        credentials: undefined,
        idempotent: undefined,
        hedged: false,
        replayable: false,
        hashKey: undefined,
        peer: undefined,
        picker: undefined,
        multiEndpoint: undefined,
        affinityKey: undefined
      })
    })
  )

  it.effect("the inner one wins, the rest is kept, nothing leaks out", () =>
    Effect.gen(function* () {
      const inner = yield* seen.pipe(
        CallOptions.withDeadline("1 second"),
        CallOptions.withTimeout(100),
        CallOptions.withDeadline("1 minute")
      )
      assert.deepStrictEqual([inner.deadlineMillis, inner.timeoutMillis], [1000, 100])
      assert.strictEqual((yield* seen).deadlineMillis, Infinity)
    })
  )

  it.effect.each([
    ["1 second", undefined, [1000, 1, Infinity]],
    ["1 second", { multiplier: 0.5 }, [1000, 1, Infinity]],
    ["1 second", { multiplier: 1.5, max: "2 seconds" }, [1000, 1.5, 2000]],
    ["5 seconds", { max: "2 seconds" }, [2000, 1, 2000]]
  ] as const)("an attempt's time %s %o never shrinks, and starts below its most", ([time, growth, expected]) =>
    Effect.gen(function* () {
      const { maxTimeoutMillis, timeoutMillis, timeoutMultiplier } = yield* seen.pipe(
        CallOptions.withTimeout(time, growth)
      )
      assert.deepStrictEqual([timeoutMillis, timeoutMultiplier, maxTimeoutMillis], [...expected])
    })
  )

  it.effect("metadata adds up, an inner key replaces an outer one", () =>
    Effect.gen(function* () {
      const { metadata } = yield* seen.pipe(
        CallOptions.withMetadata({ a: "inner" }),
        CallOptions.withMetadata({ A: ["outer", "outer"], b: "outer" })
      )
      assert.deepStrictEqual(Object.fromEntries(metadata), { a: ["inner"], b: ["outer"] })
    })
  )

  it("bad metadata is refused where it is written", () => {
    assert.throws(() => CallOptions.withMetadata({ "a-bin": "text" }), "a-bin")
  })

  it.effect("works on streams alike", () =>
    Effect.gen(function* () {
      const all = yield* Stream.fromEffect(seen).pipe(
        CallOptions.withWindow(3),
        CallOptions.waitForReady,
        Stream.runCollect
      )
      assert.deepStrictEqual([all[0]!.window, all[0]!.whenNotReady], [3, "wait"])
    })
  )

  it.effect.each([
    [0, 1],
    [-1, 1],
    [2.9, 2]
  ])("a window of %d is %d", ([given, expected]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* seen.pipe(CallOptions.withWindow(given!))).window, expected)
    })
  )
})
