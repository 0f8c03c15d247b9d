/** Resuming a client's method: one run of the policy, whoever tries again, and exactly. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, CallOptions, Resume, Retry, RetryBudget, RpcError, type ServerCall } from "trunkline"
import { Jitter } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { backends } from "../support/retryBackends.ts"
import { everySecond, unavailable } from "../support/scripted.ts"

const growing = Retry.onCodes(
  ["UNAVAILABLE"],
  Backoff.exponential({ initial: "50 millis", multiplier: 4, jitter: Jitter.none })
)

const next = (request: string) => request

/** What became of a resumed stream of a client, whose backends answer call n as the test says. */
const outcome = Effect.fnUntraced(function* (
  many: (n: number, call: ServerCall.ServerCall) => Stream.Stream<string, RpcError.RpcError>,
  policy: Retry.RetryPolicy,
  around: (read: Effect.Effect<RpcError.RpcError | "end">) => Effect.Effect<RpcError.RpcError | "end"> = (read) => read
) {
  const { letters, served } = yield* backends({ many })
  const resumed = Resume.resumable(letters.many, { next, policy })("a")
  const read = Effect.match(Stream.runDrain(resumed), {
    onFailure: (error) => error,
    onSuccess: () => "end" as const
  })
  const fiber = yield* Effect.forkChild(around(read))
  yield* TestClock.adjust("1 hour")
  const end = yield* Fiber.join(fiber)
  const at = served.map((call) => call.at)
  return { end, gaps: at.slice(1).map((instant, i) => instant - at[i]!) }
}, Effect.provide(TestNetwork.layer))

const broken = Stream.fail(unavailable)
const progress = (failure: Stream.Stream<never, RpcError.RpcError> = broken) =>
  Stream.concat(Stream.make("more"), failure)
/** Headers, and then no message. */
const begun = (call: ServerCall.ServerCall) => Stream.concat(Stream.fromEffectDrain(call.sendHeaders), broken)

const stoppedOf = (end: RpcError.RpcError | "end") => (end === "end" ? end : end.stopped)

describe("a client's method, resumed", () => {
  it.effect("begins with the first delay after progress, and repeats none", () =>
    Effect.gen(function* () {
      const { end, gaps } = yield* outcome((n) => (n === 1 ? progress() : broken), Retry.maxAttempts(4)(growing))
      assert.deepStrictEqual([stoppedOf(end), gaps], ["attempts", [50, 200, 800]])
    })
  )

  it.effect("starts over at each progress, and only there", () =>
    Effect.gen(function* () {
      const { gaps } = yield* outcome((n) => (n === 3 || n === 6 ? progress() : broken), Retry.maxAttempts(4)(growing))
      assert.deepStrictEqual(gaps, [50, 200, 50, 200, 800, 50, 200, 800])
    })
  )

  it.effect("goes on with the same run when a call that had begun breaks without a message", () =>
    Effect.gen(function* () {
      const { end, gaps } = yield* outcome(
        (n, call) => (n % 2 === 0 ? begun(call) : broken),
        Retry.maxAttempts(4)(growing)
      )
      assert.deepStrictEqual([stoppedOf(end), gaps], ["attempts", [50, 200, 800]])
    })
  )

  it.effect("counts the same through a function of one's own around the method", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({ many: (n) => (n === 1 ? progress() : broken) })
      const wrapped = (request: string) => letters.many(request)
      const resumed = Resume.resumable(wrapped, { next, policy: Retry.maxAttempts(3)(growing) })
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.runDrain(resumed("a"))))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(fiber)).stopped, "attempts")
      assert.deepStrictEqual(
        served.map(({ at }) => at),
        [0, 50, 250]
      )
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("uses its own policy in place of the client's", () =>
    Effect.gen(function* () {
      const clients = Retry.layer(Retry.maxAttempts(9)(everySecond))
      const { gaps } = yield* outcome((n) => (n === 1 ? progress() : broken), Retry.maxAttempts(3)(growing)).pipe(
        Effect.provide(clients)
      )
      assert.deepStrictEqual(gaps, [50, 200])
    })
  )

  it.effect("without a policy leaves its client's to it, until the stream begins", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({ many: (n) => (n < 3 ? broken : progress()) }).pipe(
        Effect.provide(Retry.layer(growing))
      )
      const fiber = yield* Effect.forkChild(Effect.flip(Stream.runDrain(Resume.resumable(letters.many, { next })("a"))))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(fiber)).code, "UNAVAILABLE")
      assert.deepStrictEqual(
        served.map(({ at }) => at),
        [0, 50, 250]
      )
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("pays for each further call once", () =>
    Effect.gen(function* () {
      let paid = 0
      const counting: RetryBudget.RetryBudget = {
        ...RetryBudget.infinite,
        withdraw: () => ++paid <= 3
      }
      const { end, gaps } = yield* outcome((n) => (n % 2 === 1 ? progress() : broken), growing).pipe(
        Effect.provideService(RetryBudget.Current, counting)
      )
      assert.deepStrictEqual([stoppedOf(end), gaps.length, paid], ["budget", 3, 4])
    })
  )

  it.effect("waits as the server wishes once, and then from the first delay on", () =>
    Effect.gen(function* () {
      const wish = RpcError.make("UNAVAILABLE", "later", {
        trailers: new Map([["grpc-retry-pushback-ms", ["3000"]]])
      })
      const { gaps } = yield* outcome(
        (n) => (n === 1 ? progress(Stream.fail(wish)) : n === 3 ? Stream.fail(wish) : broken),
        Retry.maxAttempts(6)(growing)
      )
      assert.deepStrictEqual(gaps, [3000, 50, 3000, 50, 200])
    })
  )

  it.effect("does not repeat a call that must not run twice, but asks for the rest of it", () =>
    Effect.gen(function* () {
      const { end, gaps } = yield* outcome(
        (n, call) => (n === 1 ? progress() : begun(call)),
        growing,
        CallOptions.nonIdempotent
      )
      assert.deepStrictEqual([stoppedOf(end), gaps], ["not_idempotent", [50]])
    })
  )

  it.effect("ends with its last real error when the time is over", () =>
    Effect.gen(function* () {
      const { end, gaps } = yield* outcome(
        (n) => (n === 1 ? progress() : broken),
        growing,
        CallOptions.withDeadline("1 second")
      )
      assert.deepStrictEqual(
        [end === "end" ? end : end.code, stoppedOf(end), gaps],
        ["UNAVAILABLE", "deadline", [50, 200]]
      )
    })
  )

  it.effect("limits the total time from the beginning of the reading", () =>
    Effect.gen(function* () {
      const { end, gaps } = yield* outcome(() => progress(), Retry.totalTimeout("3500 millis")(everySecond))
      assert.deepStrictEqual([stoppedOf(end), gaps.length], ["attempts", 3])
    })
  )

  it.effect("makes the calls a plain source would be asked for, whatever breaks where", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      for (let run = 0; run < 15; run++) {
        const script = Array.from({ length: 12 }, () => Math.floor(random.nextDoubleUnsafe() * 3))
        const answer = (n: number, call: ServerCall.ServerCall) =>
          [broken, begun(call), progress()][script[(n - 1) % script.length]!]!
        const policy = Retry.maxAttempts(3)(growing)
        const client = yield* outcome(answer, policy)
        // The model: delays grow from one failure to the next, and a message forgets them.
        const expected: Array<number> = []
        let failures = 0
        for (let n = 1; ; n++) {
          if (script[(n - 1) % script.length] === 2) failures = 0
          if (++failures === 3 || expected.length > 200) break
          expected.push(50 * 4 ** (failures - 1))
        }
        if (expected.length > 200) continue
        assert.deepStrictEqual(client.gaps, expected, `script ${script.join("")}`)
      }
    }).pipe(Random.withSeed("resumed clients"))
  )
})
