/** What every interceptor that is shipped must do where it has nothing to say: nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Logger, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLogger, ConcurrencyLimit, DefaultMetadata, Interceptor, RpcError, Validation } from "trunkline"
import * as Backend from "../support/backend.ts"

const shipped: ReadonlyArray<[string, Effect.Effect<Interceptor.Interceptor>]> = [
  ["Interceptor.identity", Effect.succeed(Interceptor.identity)],
  ["CallLogger", Effect.succeed(CallLogger.make())],
  ["ConcurrencyLimit", ConcurrencyLimit.make({ limit: 2 })],
  ["DefaultMetadata", Effect.succeed(DefaultMetadata.make({ a: "1" }))],
  ["DefaultMetadata of an Effect", Effect.succeed(DefaultMetadata.make({ a: Effect.yieldNow.pipe(Effect.as("1")) }))],
  ["Validation", Effect.succeed(Validation.make(() => ({})))],
  ["Validation by an Effect", Effect.succeed(Validation.make(() => Effect.as(Effect.yieldNow, {})))],
  [
    "all of them",
    Effect.map(ConcurrencyLimit.make({ limit: 1 }), (limit) =>
      Interceptor.compose([
        CallLogger.make(),
        Validation.make(() => ({})),
        DefaultMetadata.make({ a: Effect.yieldNow.pipe(Effect.as("1")) }),
        limit
      ])
    )
  ]
]

const settle = TestClock.adjust(0)
const silent = Effect.provide(Logger.layer([]))
const failure = RpcError.make("NOT_FOUND", "no such thing")

describe.each(shipped)("%s", (_name, make) => {
  describe.each(Backend.kinds)("of a %s call", (kind) => {
    it.effect("passes on what succeeded, once", () =>
      Effect.gen(function* () {
        const backend = Backend.make()
        const fiber = yield* Effect.forkChild(Backend.run(Interceptor.apply(yield* make, backend.invoker), kind))
        yield* settle
        assert.strictEqual(backend.arrived.length, 1)
        backend.arrived[0]!.end(Exit.succeed("answer"))
        assert.deepStrictEqual(yield* Fiber.join(fiber), {
          message: "answer",
          headers: Backend.headers,
          trailers: Backend.trailers
        } as never)
        assert.deepStrictEqual(backend.arrived[0]!.requests, [{ text: "a" }])
        assert.strictEqual(backend.arrived[0]!.state(), "succeeded")
      }).pipe(silent)
    )

    it.effect("passes on the very error", () =>
      Effect.gen(function* () {
        const backend = Backend.make()
        const fiber = yield* Effect.forkChild(Backend.run(Interceptor.apply(yield* make, backend.invoker), kind))
        yield* settle
        backend.arrived[0]!.end(Exit.fail(failure))
        assert.strictEqual(yield* Effect.flip(Fiber.join(fiber)), failure)
      }).pipe(silent)
    )

    it.effect("passes on a defect", () =>
      Effect.gen(function* () {
        const backend = Backend.make()
        const fiber = yield* Effect.forkChild(Backend.run(Interceptor.apply(yield* make, backend.invoker), kind))
        yield* settle
        backend.arrived[0]!.end(Exit.die("bug"))
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.die("bug"))
      }).pipe(silent)
    )

    it.effect("passes on an interruption, and is over when the call is", () =>
      Effect.gen(function* () {
        const backend = Backend.make()
        const fiber = yield* Effect.forkChild(Backend.run(Interceptor.apply(yield* make, backend.invoker), kind))
        yield* settle
        assert.strictEqual(backend.arrived[0]!.state(), "running")
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(backend.arrived[0]!.state(), "interrupted")
      }).pipe(silent)
    )

    it.effect("a call is a value: run twice, it is made twice", () =>
      Effect.gen(function* () {
        const backend = Backend.make()
        const invoker = Interceptor.apply(yield* make, backend.invoker)
        const call = Backend.run(invoker, kind, { call: yield* Backend.newCall() })
        for (const answer of [0, 1]) {
          const fiber = yield* Effect.forkChild(call)
          yield* settle
          backend.arrived[answer]!.end(Exit.succeed(answer))
          assert.strictEqual((yield* Fiber.join(fiber)).message, answer as never)
        }
        assert.deepStrictEqual(backend.arrived[0]!.metadata, backend.arrived[1]!.metadata)
      }).pipe(silent)
    )
  })

  it.effect("does not read requests that nobody asked for, nor answers", () =>
    Effect.gen(function* () {
      let sent = 0
      let answered = 0
      const asked = yield* Queue.unbounded<void>()
      const requests = Stream.tap(Stream.fromIterable([0, 1, 2, 3], { chunkSize: 1 }), () =>
        Effect.sync(() => void sent++)
      )
      const answers = Stream.tap(Stream.fromIterable([0, 1, 2, 3], { chunkSize: 1 }), () =>
        Effect.sync(() => void answered++)
      )
      const { stream } = Interceptor.apply(yield* make, {
        unary: () => Effect.never,
        stream: (_method, requests) =>
          Effect.gen(function* () {
            // Reads a request for each answer that is asked for.
            const pull = yield* Stream.toPull(requests)
            const messages = Stream.tap(answers, () => Effect.andThen(pull, Queue.offer(asked, undefined)))
            return { headers: Effect.never, messages, trailers: Effect.never }
          }) as never
      })
      const response = yield* stream(Backend.methods.chat, requests as never, yield* Backend.newCall())
      yield* settle
      assert.deepStrictEqual([sent, answered], [0, 0])
      const pull = yield* Stream.toPull(response.messages)
      for (const n of [1, 2, 3]) {
        yield* pull
        yield* settle
        assert.deepStrictEqual([sent, answered], [n, n])
      }
    }).pipe(Effect.scoped, silent)
  )

  it.effect("closing the scope of a stream that nobody reads ends it", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      const { stream } = Interceptor.apply(yield* make, backend.invoker)
      const call = yield* Backend.newCall()
      yield* Effect.scoped(stream(Backend.methods.chat, Stream.never, call))
      assert.strictEqual(backend.arrived[0]!.state(), "interrupted")
    }).pipe(silent)
  )
})
