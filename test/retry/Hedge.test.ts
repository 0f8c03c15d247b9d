import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Deadline, Hedge, RetryBudget, RpcError } from "trunkline"
import { Call } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import * as HedgeRace from "../../src/attempts/HedgeRace.ts"
import { backends, hosts, settle } from "../support/retryBackends.ts"
import { failure, scripted } from "../support/scripted.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const unavailable = RpcError.make("UNAVAILABLE", "try later")

/** Two copies, the second after 100 ms. */
const after100 = Hedge.make({ after: "100 millis" })
/** Up to three copies that survive UNAVAILABLE. */
const three = Hedge.make({ after: "100 millis", maxAttempts: 3, nonFatalCodes: ["UNAVAILABLE"] })

const slowly = (millis: number, text: string) => Effect.as(Effect.sleep(millis), text)

describe("a policy", () => {
  it("has at least one copy, and as many as it says", () => {
    const copies = [-1, 0, 1, 2.9, 5, 100].map((maxAttempts) => Hedge.make({ after: 0, maxAttempts }).maxAttempts)
    assert.deepStrictEqual(copies, [1, 1, 1, 2, 5, 100])
  })
})

describe("a fixed delay", () => {
  it.effect("sends nothing more when the answer comes first", () =>
    Effect.gen(function* () {
      const { leases, letters, served } = yield* backends({ one: () => slowly(99, "first") })
      const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(after100)))
      yield* TestClock.adjust(99)
      assert.strictEqual(yield* Fiber.join(call), "first")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(served.length, 1)
      assert.deepStrictEqual(leases(), { started: 1, succeeded: 1, failed: 0 })
    }).pipe(inMemory)
  )

  it.effect("sends the copy to another peer exactly then, and takes the first answer", () =>
    Effect.gen(function* () {
      const { leases, letters, pending, served } = yield* backends({
        one: (n) => (n === 1 ? Effect.never : slowly(50, "second"))
      })
      const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(after100)))
      yield* TestClock.adjust(99)
      assert.strictEqual(served.length, 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        served.map(({ at, previous }) => [at, previous]),
        [
          [0, undefined],
          [100, "1"]
        ]
      )
      yield* TestClock.adjust(50)
      assert.strictEqual(yield* Fiber.join(call), "second")
      yield* settle
      assert.deepStrictEqual(
        served.map(({ cancelled }) => cancelled),
        [true, false]
      )
      assert.strictEqual(new Set(served.map(({ host }) => host)).size, 2)
      assert.strictEqual(pending(), 0)
      assert.deepStrictEqual(leases(), { started: 2, succeeded: 1, failed: 0 })
    }).pipe(inMemory)
  )

  it.effect("of a stream runs to its headers; the loser is left, whichever it is", () =>
    Effect.gen(function* () {
      for (const winner of [1, 2]) {
        const { letters, pending, served } = yield* backends({
          many: (n) =>
            Stream.concat(
              Stream.fromEffect(n === winner ? slowly(150 * (3 - n), `${n}`) : Effect.never),
              Stream.make("and more")
            )
        })
        const call = yield* Effect.forkChild(Stream.runCollect(letters.many("a")).pipe(Hedge.withHedge(after100)))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* Fiber.join(call), [`${winner}`, "and more"])
        assert.deepStrictEqual(
          served.map(({ cancelled }) => cancelled),
          [winner === 2, winner === 1]
        )
        assert.strictEqual(pending(), 0)
      }
    }).pipe(Effect.scoped, inMemory)
  )

  it.effect("of a copy that is sent avoids the peers its siblings are on", () =>
    Effect.gen(function* () {
      const avoided: Array<ReadonlyArray<string>> = []
      const { letters } = yield* scripted((n, call) => {
        avoided.push(call.triedPeers)
        call.peer = `peer ${n}`
        return n === 3 ? Effect.succeed("third") : Effect.never
      })
      const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(three)))
      yield* TestClock.adjust(200)
      assert.strictEqual(yield* Fiber.join(call), "third")
      assert.deepStrictEqual(avoided, [[], ["peer 1"], ["peer 1", "peer 2"]])
    })
  )

  it.effect.each([
    [true, "harmless", Exit.succeed("second")],
    [undefined, "not known to be", undefined]
  ] as const)("whose answer broke off is no result if the call is harmless (%s: %s)", ([idempotent, , expected]) =>
    Effect.gen(function* () {
      const broken = failure("UNAVAILABLE", { headers: new Map(), origin: "local" })
      const { letters, seen } = yield* scripted((n) => (n === 1 ? Effect.fail(broken) : Effect.succeed("second")))
      const exit = yield* letters.one("a").pipe(
        Hedge.withHedge(Hedge.make({ after: "1 second", nonFatalCodes: ["UNAVAILABLE"] })),
        CallOptions.update((options) => ({ ...options, idempotent })),
        Effect.exit
      )
      if (expected !== undefined) assert.deepStrictEqual(exit, expected)
      else assert.strictEqual((yield* Effect.flip(exit)).stopped, "committed")
      assert.strictEqual(seen.length, expected === undefined ? 1 : 2)
    })
  )

  it.effect("and two answers at one instant are one result; any other is left, however fibers take turns", () =>
    Effect.gen(function* () {
      for (let turn = 4; turn <= 40; turn++) {
        const won: Array<number> = []
        const left: Array<number> = []
        const attempts = {
          run: ({ attempt }: Call.Call) =>
            Effect.map(Effect.sleep(attempt === 1 ? 200 : 100), () => {
              won.push(attempt)
              return attempt
            }),
          discard: (attempt: number) => Effect.sync(() => left.push(attempt)),
          commitment: () => false
        }
        const call = new Call.Call(CallOptions.Current.defaultValue(), yield* Clock.Clock, Deadline.none)
        const race = HedgeRace.run(attempts, call, {
          hedge: after100,
          budget: RetryBudget.infinite,
          latencies: undefined
        })
        const fiber = yield* Effect.forkChild(Effect.provideService(race, Scheduler.MaxOpsBeforeYield, turn))
        for (let i = 0; i < 5; i++) {
          for (let j = 0; j < 100; j++) yield* Effect.yieldNow
          yield* TestClock.adjust(50)
        }
        const winner = yield* Fiber.join(fiber)
        assert.deepStrictEqual([winner, ...left].sort(), won.sort())
        assert.strictEqual(call.attempt, winner)
      }
    })
  )
})

describe("errors", () => {
  it.effect("a final one ends the race, and the others", () =>
    Effect.gen(function* () {
      const { letters, pending, served } = yield* backends({
        one: (n) => (n === 1 ? Effect.never : Effect.andThen(Effect.sleep(50), RpcError.make("NOT_FOUND", "gone")))
      })
      const call = yield* Effect.forkChild(Effect.flip(letters.one("a")).pipe(Hedge.withHedge(three)))
      yield* TestClock.adjust(150)
      const error = yield* Fiber.join(call)
      assert.deepStrictEqual([error.code, error.stopped, error.attempts.length], ["NOT_FOUND", "not_retryable", 1])
      yield* settle
      assert.deepStrictEqual(
        served.map(({ cancelled }) => cancelled),
        [true, false]
      )
      assert.strictEqual(pending(), 0)
    }).pipe(inMemory)
  )

  it.effect("one that is not final releases the next copy at once", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({
        one: (n) => (n === 1 ? Effect.andThen(Effect.sleep(30), unavailable) : slowly(10, "second"))
      })
      const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(three)))
      yield* TestClock.adjust(40)
      assert.strictEqual(yield* Fiber.join(call), "second")
      assert.deepStrictEqual(
        served.map(({ at }) => at),
        [0, 30]
      )
    }).pipe(inMemory)
  )

  it.effect("that all copies share ends with the last and the story of each", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({
        one: (n) => Effect.fail(RpcError.make("UNAVAILABLE", `copy ${n}`))
      })
      const error = yield* Effect.flip(letters.one("a")).pipe(Hedge.withHedge(three))
      assert.deepStrictEqual([error.message, error.stopped], ["[UNAVAILABLE] copy 3", "attempts"])
      assert.deepStrictEqual(error.attempts.map(({ peer }) => peer).sort(), hosts)
      assert.strictEqual(served.length, 3)
    }).pipe(inMemory)
  )

  it.effect.each([
    ["-1", "pushback", [0]],
    ["soon", "pushback", [0]],
    ["70", "attempts", [0, 70, 140]]
  ] as const)("pushback %s: %s", ([wish, stopped, times]) =>
    Effect.gen(function* () {
      const trailers = new Map([["grpc-retry-pushback-ms", [wish]]])
      const { letters, seen } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE", { trailers })))
      const call = yield* Effect.forkChild(Effect.flip(letters.one("a")).pipe(Hedge.withHedge(three)))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(call)).stopped, stopped)
      assert.deepStrictEqual(
        seen.map(({ at }) => at),
        [...times]
      )
    })
  )

  it.effect("a pushback past the deadline is not waited for", () =>
    Effect.gen(function* () {
      const trailers = new Map([["grpc-retry-pushback-ms", ["5000"]]])
      const { letters } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE", { trailers })))
      const error = yield* Effect.flip(letters.one("a")).pipe(
        Hedge.withHedge(three),
        CallOptions.withDeadline("1 second")
      )
      assert.deepStrictEqual([error.code, error.stopped], ["UNAVAILABLE", "deadline"])
    })
  )
})

describe("what holds copies back", () => {
  it.effect("an empty budget", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({ one: () => slowly(500, "first") }).pipe(
        Effect.provideService(RetryBudget.Current, RetryBudget.empty)
      )
      const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(three)))
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* Fiber.join(call), "first")
      assert.strictEqual(served.length, 1)
    }).pipe(inMemory)
  )

  it.effect("a call that must not run twice", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({ one: () => slowly(500, "first") })
      const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(three), CallOptions.nonIdempotent))
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* Fiber.join(call), "first")
      assert.strictEqual(served.length, 1)
    }).pipe(inMemory)
  )

  it.effect("an interrupted caller: every copy is cancelled, every lease freed, no copy follows", () =>
    Effect.gen(function* () {
      for (const at of [0, 50, 100, 150, 200, 250]) {
        const { letters, pending, served } = yield* backends({ one: () => Effect.never })
        const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(three)))
        yield* TestClock.adjust(at)
        yield* Fiber.interrupt(call)
        const sent = served.length
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual([pending(), served.length], [0, sent])
        assert.isTrue(served.every(({ cancelled }) => cancelled))
      }
    }).pipe(Effect.scoped, inMemory)
  )
})

describe("a percentile", () => {
  const p90 = Hedge.make({ after: { percentile: 90, minSamples: 10 } })

  it.effect("needs a full period with enough answers, and then follows it", () =>
    Effect.gen(function* () {
      let millis = 0
      const { letters, seen } = yield* scripted((n) => (millis < 0 ? Effect.never : slowly(millis, `${n}`)))
      const hedged = letters.one("a").pipe(Hedge.withHedge(p90))
      /** When copies of one call that is never answered were sent. */
      const copies = Effect.gen(function* () {
        millis = -1
        const from = seen.length
        const call = yield* Effect.forkChild(hedged)
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(call)
        const [first] = seen.slice(from)
        return seen.slice(from).map(({ at }) => at - first!.at)
      })
      assert.deepStrictEqual(yield* copies, [0])
      // 1, 2, ... 10 ms, in the period from 3 s on.
      yield* TestClock.setTime(3000)
      for (millis = 1; millis <= 10; millis++) {
        const call = yield* Effect.forkChild(hedged)
        yield* TestClock.adjust(millis)
        yield* Fiber.join(call)
      }
      assert.deepStrictEqual(yield* copies, [0])
      yield* TestClock.setTime(6000)
      assert.deepStrictEqual(yield* copies, [0, 9])
      // The period from 6 s on had no answer, so nothing is known from 9 s on.
      yield* TestClock.setTime(9000)
      assert.deepStrictEqual(yield* copies, [0])
    })
  )

  it.effect("learns from the copy that answered and not from the one it replaced", () =>
    Effect.gen(function* () {
      const hedge = Hedge.make({ after: { percentile: 50, minSamples: 1 } })
      let script: (copy: number) => Effect.Effect<string> = () => slowly(20, "fast")
      const { letters, seen } = yield* scripted((_, call) => script(call.attempt))
      const once = Effect.gen(function* () {
        const from = seen.length
        const call = yield* Effect.forkChild(letters.one("a").pipe(Hedge.withHedge(hedge)))
        yield* TestClock.adjust(500)
        yield* Fiber.join(call)
        return seen.slice(from).map(({ at }) => at - seen[from]!.at)
      })
      assert.deepStrictEqual(yield* once, [0])
      // The first copy would take 400 ms; the second is sent after 20 and takes 60.
      yield* TestClock.setTime(3000)
      script = (copy) => slowly(copy === 1 ? 400 : 60, "replaced")
      assert.deepStrictEqual(yield* once, [0, 20])
      yield* TestClock.setTime(6000)
      assert.deepStrictEqual(yield* once, [0, 60])
    })
  )
})

describe("chance", () => {
  it.effect("whatever the copies do, there is one result and no lease is left", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < 60; seed++) {
        const at = (n: number) => ((seed * 7919 + n * 104729) % 13) * 25
        const { leases, letters, pending, served } = yield* backends({
          one: (n) =>
            Effect.andThen(
              Effect.sleep(at(n)),
              (seed + n) % 3 === 0 ? Effect.fail(unavailable) : Effect.succeed(`${n}`)
            )
        })
        const call = yield* Effect.forkChild(Effect.exit(letters.one("a")).pipe(Hedge.withHedge(three)))
        for (let i = 0; i < 40; i++) yield* TestClock.adjust(25)
        const exit = yield* Fiber.join(call)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(pending(), 0)
        assert.isAtMost(served.length, 3)
        assert.strictEqual(leases().started, served.length)
        assert.strictEqual(leases().succeeded, Exit.isSuccess(exit) ? 1 : 0)
      }
    }).pipe(Effect.scoped, inMemory)
  )
})
