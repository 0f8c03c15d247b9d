/**
 * gRFC A6 and what implementations disagree about, rule by rule. The numbers are those of the list the rules come from; 3
 * (jitter) and the parsing half of 9 belong to the policies' own tests, and 5's "pending hedges" cannot arise: calls whose
 * requests are a stream are not hedged.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Hedge, RetryBuffer, Retry, RetryBudget, RpcError } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { backends, hosts, settle } from "../support/retryBackends.ts"
import { atOnce, everySecond, failure, scripted } from "../support/scripted.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const unavailable = RpcError.make("UNAVAILABLE", "try later")
const done = Effect.succeed("done")

const finish = <A, E>(call: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(call)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

/** A throttle with exactly half of its tokens. */
const atHalf = Effect.map(RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio: 0.1 }), (throttle) => {
  for (let i = 0; i < 5; i++) throttle.observe("failure", 0)
  return throttle
})

const refused = failure("UNAVAILABLE", { progress: "refused" })
const notStarted = failure("UNAVAILABLE", { progress: "not_started", origin: "local" })

describe("gRFC A6", () => {
  it.effect.each([1, 2, 3, 5])("1 at most %i attempts, and the header says n-1 from the second", (most) =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({ one: () => Effect.fail(unavailable) })
      yield* finish(Effect.flip(letters.one("a")).pipe(Retry.withPolicy(Retry.maxAttempts(most)(everySecond))))
      assert.deepStrictEqual(
        served.map(({ previous }) => previous),
        [undefined, "1", "2", "3", "4"].slice(0, most)
      )
    }).pipe(inMemory)
  )

  it.effect("2 the deadline covers all attempts, and none starts after it", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({ one: () => Effect.andThen(Effect.sleep(700), unavailable) })
      const call = Effect.flip(letters.one("a")).pipe(
        Retry.withPolicy(everySecond),
        CallOptions.withDeadline("4 seconds"),
        Effect.timed
      )
      const [elapsed, error] = yield* finish(call)
      // Attempts at 0, 1.7 and 3.4 s; the deadline ends the third.
      assert.deepStrictEqual(
        served.map(({ at }) => at),
        [0, 1700, 3400]
      )
      assert.strictEqual(Duration.toMillis(elapsed), 4000)
      assert.deepStrictEqual([error.code, error.stopped], ["DEADLINE_EXCEEDED", "not_retryable"])
    }).pipe(inMemory)
  )

  it.effect("4 no retry after headers: the call is committed", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({
        one: (_, call) => Effect.andThen(call.sendHeaders, unavailable),
        many: (_, call) => Stream.concat(Stream.fromEffectDrain(call.sendHeaders), Stream.fail(unavailable))
      })
      const unary = yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
      const stream = yield* Effect.flip(Stream.runDrain(letters.many("a"))).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([unary.stopped, stream.stopped, served.length], ["committed", "committed", 2])
    }).pipe(inMemory)
  )

  it.effect("4 but an answer that broke off, which nobody has seen, is asked for again where that is harmless", () =>
    Effect.gen(function* () {
      const { letters, network, served } = yield* backends({
        one: (n, call) => (n === 1 ? Effect.andThen(call.sendHeaders, Effect.never) : Effect.succeed(`one ${n}`))
      })
      const call = letters.one("a").pipe(Retry.withPolicy(atOnce), CallOptions.idempotent)
      const asked = yield* Effect.forkChild(call)
      yield* settle
      yield* network.kill(served[0]!.host)
      yield* settle
      assert.strictEqual(yield* Fiber.join(asked), "one 2")
      assert.notStrictEqual(served[0]!.host, served[1]!.host)
    }).pipe(inMemory)
  )

  it.effect("5 requests that outgrow the buffer commit the call", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({
        sum: (_, requests) => Effect.andThen(Stream.runDrain(requests), unavailable)
      }).pipe(Effect.provide(RetryBuffer.layer({ perCallBytes: 10 })))
      const call = letters.sum(Stream.make("aaa", "bbb", "ccc")).pipe(CallOptions.replayable)
      const error = yield* Effect.flip(call).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([error.stopped, served.length], ["committed", 1])
    }).pipe(inMemory)
  )

  it.effect(
    "6 a refused stream is tried again once at once, with no budget and no policy; the second goes to the policy",
    () =>
      Effect.gen(function* () {
        const once = yield* scripted((n) => (n === 1 ? Effect.fail(refused) : done)).pipe(
          Effect.provideService(RetryBudget.Current, RetryBudget.empty)
        )
        assert.strictEqual(yield* once.letters.one("a"), "done")
        assert.deepStrictEqual(
          once.seen.map(({ at, attempt }) => [at, attempt]),
          [
            [0, 1],
            [0, 1]
          ]
        )

        const twice = yield* scripted((n) => (n <= 2 ? Effect.fail(refused) : done))
        const error = yield* Effect.flip(twice.letters.one("a"))
        assert.deepStrictEqual([error.stopped, error.attempts.length, twice.seen.length], ["not_retryable", 1, 2])

        const policy = yield* scripted((n) => (n <= 2 ? Effect.fail(refused) : done))
        assert.strictEqual(yield* finish(policy.letters.one("a").pipe(Retry.withPolicy(everySecond))), "done")
        assert.deepStrictEqual(
          policy.seen.map(({ at, attempt }) => [at, attempt]),
          [
            [0, 1],
            [0, 1],
            [1000, 2]
          ]
        )
      })
  )

  it.effect("7 what never left is tried again for nothing, up to a guard", () =>
    Effect.gen(function* () {
      const some = yield* scripted((n) => (n <= 50 ? Effect.fail(notStarted) : done))
      assert.strictEqual(yield* some.letters.one("a"), "done")
      assert.strictEqual(some.seen.length, 51)

      const all = yield* scripted(() => Effect.fail(notStarted))
      const error = yield* Effect.flip(all.letters.one("a"))
      assert.deepStrictEqual([error.stopped, error.attempts.length, all.seen.length], ["not_retryable", 1, 101])

      // Nobody to send to is not a race: it is the policy's business at once.
      const nobody = yield* scripted(() => RpcError.make("UNAVAILABLE", "no peers", { progress: "not_started" }))
      yield* Effect.flip(nobody.letters.one("a"))
      assert.strictEqual(nobody.seen.length, 1)
    })
  )

  it.effect("8 what a picker dropped is not tried again", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() =>
        Effect.fail(RpcError.make("UNAVAILABLE", "dropped", { progress: "dropped" }))
      )
      const error = yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([error.stopped, seen.length], ["not_retryable", 1])
      const hedge = Hedge.make({ after: 10, nonFatalCodes: ["UNAVAILABLE"] })
      yield* Effect.flip(letters.one("a")).pipe(Hedge.withHedge(hedge))
      assert.strictEqual(seen.length, 2)
    })
  )

  it.effect.each([[["-1"]], [["abc"]], [[""]], [["1e3"]], [["10", "10"]]] as const)(
    "9 pushback %j stops the call",
    ([values]) =>
      Effect.gen(function* () {
        const trailers = new Map([["grpc-retry-pushback-ms", [...values]]])
        const { letters, served } = yield* backends({
          one: () => Effect.fail(RpcError.make("UNAVAILABLE", "go away", { trailers }))
        })
        const error = yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
        assert.deepStrictEqual([error.code, error.stopped, served.length], ["UNAVAILABLE", "pushback", 1])
      }).pipe(inMemory)
  )

  it.effect("9 pushback n is the delay, once, and the backoff starts over after it", () =>
    Effect.gen(function* () {
      const wishes = [undefined, undefined, "250", undefined, undefined]
      const { letters, served } = yield* backends({
        one: (n) => {
          const wish = wishes[n - 1]
          const trailers = new Map(wish === undefined ? [] : [["grpc-retry-pushback-ms", [wish]]])
          return n > wishes.length ? done : Effect.fail(RpcError.make("UNAVAILABLE", "later", { trailers }))
        }
      })
      const policy = Retry.onCodes(["UNAVAILABLE"], Schedule.exponential("1 second"))
      yield* finish(letters.one("a").pipe(Retry.withPolicy(policy)))
      const delays = served.slice(1).map(({ at }, i) => at - served[i]!.at)
      assert.deepStrictEqual(delays, [1000, 2000, 250, 1000, 2000])
    }).pipe(inMemory)
  )

  it.effect("10 at exactly half the tokens neither retries nor hedges go out, and a thousandth above they do", () =>
    Effect.gen(function* () {
      const throttle = yield* atHalf
      const { letters, seen } = yield* scripted((n) => (n === 3 ? done : Effect.as(Effect.sleep(100), "slow"))).pipe(
        Effect.provideService(RetryBudget.Current, throttle)
      )
      const hedged = letters.one("a").pipe(Hedge.withHedge(Hedge.make({ after: 10 })))
      assert.strictEqual(yield* finish(hedged), "slow")
      assert.strictEqual(seen.length, 1)
      // The success above was worth a tenth of a token.
      assert.deepStrictEqual(throttle.state(0), { balance: 5.1, withdrawals: 0, exhaustions: 1 })
      assert.strictEqual(yield* finish(hedged), "done")
      assert.strictEqual(seen.length, 3)

      const retried = yield* scripted(() => Effect.fail(failure("UNAVAILABLE"))).pipe(
        Effect.provideService(RetryBudget.Current, yield* atHalf)
      )
      const error = yield* Effect.flip(retried.letters.one("a")).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([error.stopped, retried.seen.length], ["budget", 1])
    })
  )

  it.effect("10 a throttle lets through what its tokens allow: 4 of 10 failures, then none", () =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio: 0.1 })
      const { letters, seen } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE"))).pipe(
        Effect.provideService(RetryBudget.Current, throttle)
      )
      yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
      assert.strictEqual(seen.length, 5)
      yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
      assert.strictEqual(seen.length, 6)
    })
  )

  it.effect(
    "11 a code that is not final releases the next hedge at once; a final one cancels the rest; one result",
    () =>
      Effect.gen(function* () {
        const hedge = Hedge.make({ after: "1 second", maxAttempts: 3, nonFatalCodes: ["UNAVAILABLE"] })
        const rig = yield* backends({
          one: (n) =>
            [
              Effect.never,
              Effect.andThen(Effect.sleep(100), unavailable),
              Effect.andThen(Effect.sleep(100), RpcError.make("NOT_FOUND", "gone"))
            ][n - 1]!
        })
        const error = yield* finish(Effect.flip(rig.letters.one("a")).pipe(Hedge.withHedge(hedge)))
        assert.deepStrictEqual(
          rig.served.map(({ at, cancelled }) => [at, cancelled]),
          [
            [0, true],
            [1000, false],
            [1100, false]
          ]
        )
        assert.deepStrictEqual([error.code, error.attempts.length, rig.pending()], ["NOT_FOUND", 2, 0])
        assert.deepStrictEqual(rig.leases(), { started: 3, succeeded: 1, failed: 1 })
      }).pipe(inMemory)
  )

  it.effect("12 an attempt avoids the peers already tried while another is ready", () =>
    Effect.gen(function* () {
      for (let run = 0; run < 10; run++) {
        const { letters, served } = yield* backends({
          one: (n) => (n % 3 === 0 ? done : Effect.fail(unavailable)),
          many: (n) => (n % 3 === 0 ? Stream.make("done") : Stream.fail(unavailable))
        })
        for (let skip = 0; skip < run % 3; skip++) yield* Effect.flip(letters.one("skip"))
        served.length = 0
        yield* letters.one("a").pipe(Retry.withPolicy(atOnce))
        assert.deepStrictEqual(served.map(({ host }) => host).sort(), hosts)
        served.length = 0
        yield* Stream.runDrain(letters.many("a")).pipe(Retry.withPolicy(atOnce))
        assert.deepStrictEqual(served.map(({ host }) => host).sort(), hosts)
      }
    }).pipe(Effect.scoped, inMemory)
  )

  it.effect("13 an interrupted caller releases every lease once, whenever it leaves, and nothing follows", () =>
    Effect.gen(function* () {
      const handler = () => Effect.andThen(Effect.sleep(100), unavailable)
      const policy = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced(50))
      for (let at = 0; at <= 500; at += 25) {
        const { leases, letters, pending, served } = yield* backends({
          one: handler,
          many: () => Stream.fromEffect(handler()),
          sum: handler
        })
        const calls = Effect.all(
          [
            letters.one("a"),
            Stream.runDrain(letters.many("a")),
            letters.sum(Stream.make("a", "b")).pipe(CallOptions.replayable)
          ],
          { concurrency: "unbounded" }
        )
        const fiber = yield* Effect.forkChild(calls.pipe(Retry.withPolicy(policy)))
        yield* TestClock.adjust(at)
        yield* Fiber.interrupt(fiber)
        const sent = served.length
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([pending(), served.length], [0, sent])
        const { failed, started } = leases()
        // Three attempts were under way, or the call slept or had not begun; only those that ended by themselves failed.
        assert.include([0, 3], started - failed)
      }
    }).pipe(Effect.scoped, inMemory)
  )

  it.effect("14 with the budget used up the last server error comes out, marked so", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({
        one: (n) => Effect.fail(RpcError.make("UNAVAILABLE", `attempt ${n}`))
      }).pipe(Effect.provide(RetryBudget.layer(RetryBudget.make({ minPerSecond: 0.2 }))))
      const error = yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual(
        [error.message, error.origin, error.stopped],
        ["[UNAVAILABLE] attempt 3", "remote", "budget"]
      )
      assert.deepStrictEqual([error.attempts.length, served.length], [3, 3])
    }).pipe(inMemory)
  )

  it.effect("15 INVALID_ARGUMENT never debits", () =>
    Effect.gen(function* () {
      const throttle = yield* RetryBudget.tokenThrottle({ maxTokens: 10, tokenRatio: 0.1 })
      const { letters } = yield* scripted(() => Effect.fail(failure("INVALID_ARGUMENT"))).pipe(
        Effect.provideService(RetryBudget.Current, throttle)
      )
      const hedge = Hedge.make({ after: 10, nonFatalCodes: ["UNAVAILABLE"] })
      for (let i = 0; i < 20; i++) {
        yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
        yield* Effect.flip(letters.one("a")).pipe(Hedge.withHedge(hedge))
      }
      yield* settle
      assert.deepStrictEqual(throttle.state(0), { balance: 10, withdrawals: 0, exhaustions: 0 })
    })
  )
})
