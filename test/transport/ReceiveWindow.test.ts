import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, type Pull, Scheduler, Schema } from "effect"
import { RpcError } from "trunkline"
import { ReceiveWindow } from "../../src/transport/ReceiveWindow.ts"

/** An receiveWindow whose wire owes messages until they are delivered, numbered from 0. */
const wired = (window: number) => {
  let owed = 0
  let sent = 0
  const receiveWindow = new ReceiveWindow<number>(window, (messages) => (owed += messages))
  return {
    receiveWindow,
    owed: () => owed,
    delivered: () => sent,
    deliver: () => {
      if (owed === 0) return
      owed--
      receiveWindow.push(sent++)
    }
  }
}

const isDone = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause.reasons.some((reason) => Cause.isFailReason(reason) && Cause.isDone(reason.error))

describe("ReceiveWindow", () => {
  it.effect("asks for a window, then for as much as the reader is done with", () =>
    Effect.gen(function* () {
      const { deliver, receiveWindow, owed } = wired(4)
      receiveWindow.request()
      assert.strictEqual(owed(), 4)
      for (let i = 0; i < 4; i++) deliver()
      assert.deepStrictEqual([owed(), receiveWindow.buffered, receiveWindow.outstanding], [0, 4, 0])
      assert.deepStrictEqual(yield* receiveWindow.pull, [0, 1])
      assert.deepStrictEqual([owed(), receiveWindow.buffered, receiveWindow.outstanding], [0, 2, 0])
      assert.deepStrictEqual(yield* receiveWindow.pull, [2, 3])
      assert.deepStrictEqual([owed(), receiveWindow.buffered, receiveWindow.outstanding], [2, 0, 2])
    })
  )

  it.effect("a reader waits for the first message", () =>
    Effect.gen(function* () {
      const { deliver, receiveWindow } = wired(2)
      const reader = yield* Effect.forkChild(receiveWindow.pull)
      yield* Effect.yieldNow
      assert.strictEqual(reader.pollUnsafe(), undefined)
      deliver()
      assert.deepStrictEqual(yield* Fiber.join(reader), [0])
    })
  )

  it.effect("a message that comes between the reader's look and its wait is not missed", () =>
    Effect.gen(function* () {
      for (const operations of [3, 4, 5, 6]) {
        const { receiveWindow } = wired(2)
        // A scheduler that yields every few operations puts the message into each of the reader's gaps.
        const reader = yield* Effect.forkChild(
          Effect.provideService(receiveWindow.pull, Scheduler.MaxOpsBeforeYield, operations)
        )
        for (let i = 0; i < operations - 2; i++) yield* Effect.yieldNow
        receiveWindow.push(7)
        assert.deepStrictEqual(yield* Fiber.join(reader), [7])
      }
    })
  )

  it.effect("what is buffered is read before the end", () =>
    Effect.gen(function* () {
      const { deliver, receiveWindow } = wired(2)
      receiveWindow.request()
      deliver()
      receiveWindow.end(undefined)
      assert.deepStrictEqual(yield* receiveWindow.pull, [0])
      assert.isTrue(isDone(yield* Effect.exit(receiveWindow.pull as Pull.Pull<unknown, unknown>)))
    })
  )

  it.effect("the first end counts, and it wakes the reader", () =>
    Effect.gen(function* () {
      const { receiveWindow } = wired(2)
      const reader = yield* Effect.forkChild(
        Effect.flip(receiveWindow.pull as Effect.Effect<unknown, RpcError.RpcError>)
      )
      yield* Effect.yieldNow
      receiveWindow.end(RpcError.make("INTERNAL", "first"))
      receiveWindow.end(undefined)
      assert.strictEqual((yield* Fiber.join(reader)).message, "[INTERNAL] first")
    })
  )

  it.effect("asks for nothing after the end", () =>
    Effect.gen(function* () {
      const { receiveWindow, owed } = wired(3)
      receiveWindow.end(undefined)
      receiveWindow.request()
      yield* Effect.exit(receiveWindow.pull as Pull.Pull<unknown, unknown>)
      assert.strictEqual(owed(), 0)
    })
  )

  it.effect.prop(
    "in any interleaving: asked for + buffered + being read never exceed the window, and nothing is lost, doubled or reordered",
    {
      window: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 })),
      steps: Schema.Array(Schema.Literals(["deliver", "read", "request"]))
    },
    ({ steps, window }) =>
      Effect.gen(function* () {
        const { deliver, delivered, receiveWindow } = wired(window)
        const received: Array<number> = []
        let reading = 0
        const read = Effect.gen(function* () {
          // A read of an empty receive window would wait for a message this test has not sent yet.
          if (receiveWindow.buffered === 0) return
          const chunk = yield* receiveWindow.pull
          reading = chunk.length
          received.push(...chunk)
        })
        for (const step of steps) {
          if (step === "deliver") deliver()
          if (step === "request") receiveWindow.request()
          if (step === "read") yield* read
          assert.isAtMost(receiveWindow.buffered + receiveWindow.outstanding + reading, window)
        }
        while (receiveWindow.buffered > 0) yield* read
        assert.deepStrictEqual(
          received,
          received.map((_, i) => i)
        )
        assert.strictEqual(received.length, delivered())
      })
  )
})
