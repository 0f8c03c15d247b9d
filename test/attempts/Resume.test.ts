import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Random, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Deadline, MethodPolicy, Resume, Retry, RetryBudget, type RpcError } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { backends } from "../support/retryBackends.ts"
import { atOnce, everySecond, failure, unavailable } from "../support/scripted.ts"

interface Ask {
  readonly from: number
}

/** A source of the numbers from `from` on, whose n-th call delivers so many and then fails, until the last, which ends. */
const broken = (...calls: ReadonlyArray<readonly [messages: number, error?: RpcError.RpcError]>) => {
  const asked: Array<{ readonly from: number; readonly at: number; readonly deadline: number }> = []
  const source = ({ from }: Ask) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const at = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        asked.push({ from, at, deadline: yield* Deadline.Current })
        const [messages, error] = calls[Math.min(asked.length, calls.length) - 1]!
        const numbers = messages === 0 ? Stream.empty : Stream.range(from, from + messages - 1)
        return error === undefined ? numbers : Stream.concat(numbers, Stream.fail(error))
      })
    )
  return { source, asked }
}

const next = (_: Ask, last: number): Ask => ({ from: last + 1 })

/** Runs to the end, with all the time it wants. */
const finish = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

describe("a stream that broke", () => {
  it.effect("goes on after the last message", () =>
    Effect.gen(function* () {
      const { asked, source } = broken([3, unavailable], [2, unavailable], [2])
      const numbers = Resume.resumable(source, { next, policy: everySecond })({ from: 1 })
      assert.deepStrictEqual(yield* finish(Stream.runCollect(numbers)), [1, 2, 3, 4, 5, 6, 7])
      assert.deepStrictEqual(
        asked.map(({ at, from }) => [at, from]),
        [
          [0, 1],
          [1000, 4],
          [2000, 6]
        ]
      )
    })
  )

  it.effect("is asked for again as it was when nothing came", () =>
    Effect.gen(function* () {
      const { asked, source } = broken([0, unavailable], [2, unavailable], [0, unavailable], [1])
      const numbers = Resume.resumable(source, { next, policy: everySecond })({ from: 1 })
      assert.deepStrictEqual(yield* finish(Stream.runCollect(numbers)), [1, 2, 3])
      assert.deepStrictEqual(
        asked.map(({ from }) => from),
        [1, 1, 3, 3]
      )
    })
  )

  it.effect("never delivers a message twice or leaves one out, wherever it breaks", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      for (let run = 0; run < 50; run++) {
        const calls = Array.from(
          { length: 20 },
          () => [Math.floor(random.nextDoubleUnsafe() * 6), unavailable] as [number, RpcError.RpcError?]
        )
        const total = calls.reduce((sum, [messages]) => sum + messages, 0)
        const { source } = broken(...calls, [1])
        const numbers = Resume.resumable(source, { next, policy: atOnce })({ from: 0 })
        assert.deepStrictEqual(
          yield* Stream.runCollect(numbers),
          Array.from({ length: total + 1 }, (_, i) => i)
        )
      }
    }).pipe(Random.withSeed("resume"))
  )

  it.effect("starts the policy over after progress, its delays and its attempts", () =>
    Effect.gen(function* () {
      const policy = Retry.maxAttempts(3)(Retry.onCodes(["UNAVAILABLE"], Schedule.exponential("1 second")))
      const { asked, source } = broken(
        [1, unavailable],
        [0, unavailable],
        [1, unavailable],
        [0, unavailable],
        [0, unavailable]
      )
      const numbers = Resume.resumable(source, { next, policy })({ from: 1 })
      const error = yield* finish(Effect.flip(Stream.runDrain(numbers)))
      assert.strictEqual(error.stopped, "attempts")
      assert.deepStrictEqual(
        asked.map(({ at }) => at),
        [0, 1000, 3000, 4000, 6000]
      )
    })
  )

  it.effect("has one deadline for all its calls", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust(500)
      const { asked, source } = broken([1, unavailable])
      const numbers = Resume.resumable(source, { next, policy: everySecond })({ from: 1 })
      const error = yield* finish(Effect.flip(Stream.runDrain(numbers)).pipe(CallOptions.withDeadline("2500 millis")))
      assert.deepStrictEqual([error.code, error.stopped], ["UNAVAILABLE", "deadline"])
      assert.deepStrictEqual(
        asked.map(({ at, deadline }) => [at, deadline]),
        [
          [500, 3000],
          [1500, 3000],
          [2500, 3000]
        ]
      )
    })
  )
})

describe("the end", () => {
  const cases: ReadonlyArray<readonly [string, RpcError.RpcError, RpcError.Stopped]> = [
    ["an error the policy does not name", failure("NOT_FOUND"), "not_retryable"],
    ["a call that asked the policy itself", failure("UNAVAILABLE", { stopped: "budget" }), "budget"],
    [
      "a server that wants no more",
      failure("UNAVAILABLE", { trailers: new Map([["grpc-retry-pushback-ms", ["-1"]]]) }),
      "pushback"
    ]
  ]
  it.effect.each(cases)("%s", ([, error, stopped]) =>
    Effect.gen(function* () {
      const { asked, source } = broken([1, error])
      const end = yield* Effect.flip(Stream.runDrain(Resume.resumable(source, { next, policy: atOnce })({ from: 1 })))
      assert.deepStrictEqual([end.message, end.stopped, asked.length], [error.message, stopped, 1])
    })
  )

  it.effect("no way to ask for the rest", () =>
    Effect.gen(function* () {
      const { source } = broken([1, unavailable])
      const numbers = Resume.resumable(source, { next: () => undefined, policy: atOnce })({ from: 1 })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(numbers))).stopped, "committed")
    })
  )

  it.effect("no policy, and none in the context", () =>
    Effect.gen(function* () {
      const { asked, source } = broken([1, unavailable], [1])
      const numbers = Stream.runCollect(Resume.resumable({ next })(source)({ from: 1 }))
      assert.strictEqual((yield* Effect.flip(numbers)).stopped, "not_retryable")
      asked.length = 0
      assert.deepStrictEqual(yield* numbers.pipe(Retry.withPolicy(atOnce)), [1, 2])
    })
  )

  it.effect("an empty budget of the context", () =>
    Effect.gen(function* () {
      const { source } = broken([1, unavailable])
      const numbers = Resume.resumable(source, { next, policy: atOnce })({ from: 1 })
      const error = yield* Effect.flip(Stream.runDrain(numbers)).pipe(
        Effect.provideService(RetryBudget.Current, RetryBudget.empty)
      )
      assert.strictEqual(error.stopped, "budget")
    })
  )
})

describe("demand", () => {
  it.effect("no call is made, and no message asked for, before the reader wants it", () =>
    Effect.gen(function* () {
      let calls = 0
      let pulled = 0
      const source = ({ from }: Ask) =>
        Stream.suspend(() => {
          calls++
          const numbers = Stream.range(from, from + 1).pipe(
            Stream.rechunk(1),
            Stream.tap(() => Effect.sync(() => pulled++))
          )
          return Stream.concat(numbers, Stream.fail(unavailable))
        })
      const gate = yield* Deferred.make<void>()
      const numbers = Resume.resumable(source, { next, policy: atOnce })({ from: 1 })
      assert.strictEqual(calls, 0)
      const fiber = yield* numbers.pipe(
        Stream.tap((n) => (n === 3 ? Deferred.await(gate) : Effect.void)),
        Stream.take(5),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([calls, pulled], [2, 3])
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(fiber), [1, 2, 3, 4, 5])
      assert.deepStrictEqual([calls, pulled], [3, 5])
    })
  )
})

describe("a client's method", () => {
  it.effect("is tried again before it begins, resumed after, and leaves no lease behind", () =>
    Effect.gen(function* () {
      const { leases, letters, pending, served } = yield* backends({
        many: (n) =>
          n === 2 || n === 3
            ? Stream.fail(unavailable)
            : Stream.concat(Stream.make(`${n}`), n < 5 ? Stream.fail(unavailable) : Stream.empty)
      })
      const many = Resume.resumable(letters.many, {
        next: (request, last: string) => request + last,
        policy: everySecond
      })
      assert.deepStrictEqual(yield* finish(Stream.runCollect(many("a"))), ["1", "4", "5"])
      assert.deepStrictEqual(
        served.map(({ at, previous }) => [at, previous]),
        [
          [0, undefined],
          [1000, undefined],
          [2000, "1"],
          [3000, "2"],
          [4000, undefined]
        ]
      )
      assert.deepStrictEqual([pending(), leases()], [0, { started: 5, succeeded: 1, failed: 4 }])
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  const breaking = { many: () => Stream.concat(Stream.make("more"), Stream.fail(unavailable)) }

  it.effect("pays from its client's own budget, which the client's other calls pay from too", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends(breaking)
      const many = Resume.resumable(letters.many, { next: (request) => request, policy: atOnce })
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(many("a")))).stopped, "budget")
      const calls = served.length
      // 10 a second for 10 seconds, and a fifth of those that began well.
      assert.isAtLeast(calls, 100)
      assert.isAtMost(calls, 130)
      assert.strictEqual((yield* Effect.flip(Stream.runDrain(many("a")))).stopped, "budget")
      assert.isAtMost(served.length, calls + 3)
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("has one deadline for all its calls, also if it is its method's", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends(breaking).pipe(
        Effect.provideService(MethodPolicy.Current, { for: () => ({ deadlineMillis: 2500 }) })
      )
      const many = Resume.resumable(letters.many, { next: (request) => request, policy: everySecond })
      const error = yield* finish(Effect.flip(Stream.runDrain(many("a"))))
      assert.deepStrictEqual([error.code, error.stopped], ["UNAVAILABLE", "deadline"])
      assert.deepStrictEqual(
        served.map(({ at }) => at),
        [0, 1000, 2000]
      )
      // What the call says of itself holds before what its method says.
      served.length = 0
      yield* finish(Effect.flip(Stream.runDrain(many("a"))).pipe(CallOptions.withDeadline("1500 millis")))
      assert.strictEqual(served.length, 2)
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("tells the story of all its calls", () =>
    Effect.gen(function* () {
      const { letters } = yield* backends({
        many: (n) => Stream.concat(n === 1 ? Stream.make("first") : Stream.empty, Stream.fail(unavailable))
      })
      const many = Resume.resumable(letters.many, {
        next: (request) => request,
        policy: Retry.maxAttempts(2)(everySecond)
      })
      const error = yield* finish(Effect.flip(Stream.runDrain(many("a"))))
      assert.strictEqual(error.stopped, "attempts")
      assert.deepStrictEqual(
        error.attempts.map(({ delayMillis }) => delayMillis),
        [1000, 0]
      )
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
