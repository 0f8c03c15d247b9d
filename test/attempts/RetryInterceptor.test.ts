import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Deadline, Hedge, type Method, MethodPolicy, Retry, RetryBudget, RpcError } from "trunkline"
import { atOnce, everySecond, failure, scripted, unavailable } from "../support/scripted.ts"

const done = Effect.succeed("done")

/** Runs a call to its end, with all the time it wants. */
const finish = <A, E>(call: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(call)
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

describe("why a call stopped", () => {
  const cases: ReadonlyArray<
    readonly [RpcError.Stopped, string, RpcError.RpcError, Retry.RetryPolicy, CallOptions.CallOptions["idempotent"]]
  > = [
    ["not_retryable", "no policy", unavailable, Retry.none, undefined],
    ["not_retryable", "a code the policy does not name", failure("NOT_FOUND"), everySecond, undefined],
    ["not_retryable", "a limit of one attempt", unavailable, Retry.maxAttempts(1)(everySecond), undefined],
    ["not_retryable", "dropped", failure("UNAVAILABLE", { progress: "dropped" }), everySecond, undefined],
    ["attempts", "a limit of three", unavailable, Retry.maxAttempts(3)(everySecond), undefined],
    ["not_idempotent", "it may have run", unavailable, everySecond, false],
    ["not_retryable", "it may have run, and is not retryable", failure("NOT_FOUND"), everySecond, false],
    ["committed", "the answer had begun", failure("UNAVAILABLE", { headers: new Map() }), everySecond, undefined],
    ["pushback", "the server said so", failure("UNAVAILABLE", { trailers: pushback("-1") }), everySecond, undefined],
    ["budget", "nothing is left", unavailable, atOnce, undefined]
  ]
  it.effect.each(cases)("%s: %s", ([stopped, , error, policy, idempotent]) =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(error))
      const call = Effect.flip(letters.one("a")).pipe(
        Retry.withPolicy(policy),
        CallOptions.update((options) => ({ ...options, idempotent }))
      )
      const end = yield* finish(call)
      assert.strictEqual(end.stopped, stopped)
      assert.strictEqual(end.message, error.message)
      assert.strictEqual(end.attempts.length, seen.length)
      assert.deepStrictEqual(end.attempts.at(-1), { peer: "a:1", code: error.code, elapsedMillis: 0, delayMillis: 0 })
    })
  )

  it.effect("deadline: 100 ms and a delay of 1 s return at once, with the server's own code", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(unavailable))
      const end = yield* Effect.flip(letters.one("a")).pipe(
        Retry.withPolicy(everySecond),
        CallOptions.withDeadline("100 millis")
      )
      assert.deepStrictEqual([end.code, end.stopped, seen.length], ["UNAVAILABLE", "deadline", 1])
    })
  )

  it.effect("committed: a stream whose requests were taken", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(unavailable))
      const end = yield* Effect.flip(letters.sum(Stream.make("a"))).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([end.stopped, end.attempts.length, seen.length], ["committed", 1, 1])
    })
  )
})

/** Trailers with a pushback. */
function pushback(...values: ReadonlyArray<string>): RpcError.Metadata {
  return new Map([["grpc-retry-pushback-ms", values]])
}

describe("time", () => {
  it.effect("each attempt has more of it, up to a most, and never beyond the deadline", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(unavailable))
      const call = Effect.flip(letters.one("a")).pipe(
        Retry.withPolicy(Retry.maxAttempts(6)(everySecond)),
        CallOptions.withTimeout("1 second", { multiplier: 2, max: "5 seconds" }),
        CallOptions.withDeadline("8500 millis")
      )
      yield* finish(call)
      assert.deepStrictEqual(
        seen.map(({ left }) => left),
        [1000, 2000, 4000, 5000, 4500, 3500]
      )
    })
  )

  it.effect.each([
    ["a deadline that has passed", { deadlineMillis: 0 }],
    ["an attempt without time", { timeoutMillis: 0 }]
  ] as const)("%s sends nothing", ([, none]) =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => done)
      const withNone = CallOptions.update((options) => ({ ...options, ...none }))
      const unary = yield* Effect.flip(letters.one("a")).pipe(withNone)
      const stream = yield* Effect.flip(Stream.runDrain(letters.many("a"))).pipe(withNone)
      for (const error of [unary, stream]) {
        assert.deepStrictEqual(
          [error.code, error.stopped, error.progress, error.origin],
          ["DEADLINE_EXCEEDED", "deadline", "not_started", "local"]
        )
      }
      assert.deepStrictEqual(seen, [])
    })
  )

  it.effect("a deadline inherited from a call that is over sends nothing either", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      const { letters, seen } = yield* scripted(() => done)
      const error = yield* Effect.flip(letters.one("a")).pipe(Effect.provideService(Deadline.Current, 1000))
      assert.deepStrictEqual([error.code, seen], ["DEADLINE_EXCEEDED", []])
    })
  )

  it.effect("a policy's total time counts from the start of the call", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.andThen(Effect.sleep(600), unavailable))
      const policy = everySecond.pipe(Retry.totalTimeout("3 seconds"))
      const end = yield* finish(Effect.flip(letters.one("a")).pipe(Retry.withPolicy(policy)))
      assert.deepStrictEqual(
        seen.map(({ at }) => at),
        [0, 1600]
      )
      assert.strictEqual(end.stopped, "attempts")
    })
  )

  it.effect("an error before the deadline is not hidden by one that found no peer in time", () =>
    Effect.gen(function* () {
      const nobody = RpcError.make("DEADLINE_EXCEEDED", "nobody", { progress: "not_started" })
      const { letters } = yield* scripted((n) => Effect.fail(n === 1 ? unavailable : nobody))
      const end = yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual([end.code, end.stopped, end.attempts.length], ["UNAVAILABLE", "deadline", 1])
    })
  )
})

describe("idempotency", () => {
  const twice = (error: RpcError.RpcError) =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted((n) => (n <= 2 ? Effect.fail(error) : done))
      const call = letters.one("a").pipe(Retry.withPolicy(everySecond), CallOptions.nonIdempotent)
      return [Exit.isSuccess(yield* Effect.exit(finish(call))), seen.length] as const
    })

  it.effect("a call that must not run twice is tried again if nobody can have run it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* twice(failure("UNAVAILABLE", { progress: "refused" })), [true, 3])
      assert.deepStrictEqual(yield* twice(failure("UNAVAILABLE", { progress: "not_started" })), [true, 3])
      assert.deepStrictEqual(yield* twice(RpcError.make("UNAVAILABLE", "nobody", { progress: "not_started" })), [
        true,
        3
      ])
      assert.deepStrictEqual(yield* twice(unavailable), [false, 1])
    })
  )

  const headers = new Map()
  const lost = { headers, origin: "local" } as const
  const either = Retry.onCodes(["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"], Schedule.forever)
  const endings: ReadonlyArray<
    readonly [number, string, RpcError.RpcError, CallOptions.CallOptions["idempotent"], Method.Idempotency]
  > = [
    [2, "a harmless call whose answer broke off", failure("UNAVAILABLE", lost), true, "unknown"],
    [2, "one whose method is harmless", failure("UNAVAILABLE", lost), undefined, "idempotent"],
    [2, "one whose method does nothing", failure("UNAVAILABLE", lost), undefined, "no_side_effects"],
    [2, "one whose answer did not end in time", failure("DEADLINE_EXCEEDED", lost), true, "unknown"],
    [1, "one of which nothing is said", failure("UNAVAILABLE", lost), undefined, "unknown"],
    [1, "one that says more than its method", failure("UNAVAILABLE", lost), false, "idempotent"],
    [1, "an answer that ended badly", failure("UNAVAILABLE", { headers, origin: "remote" }), true, "idempotent"],
    [1, "an answer too large to be read", failure("RESOURCE_EXHAUSTED", lost), true, "idempotent"]
  ]
  it.effect.each(endings)("once the answer has begun, %i attempts: %s", ([attempts, , error, idempotent, level]) =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted((n) => (n === 1 ? Effect.fail(error) : done), level)
      const call = letters.one("a").pipe(
        Retry.withPolicy(either),
        CallOptions.update((options) => ({ ...options, idempotent }))
      )
      const exit = yield* Effect.exit(finish(call))
      assert.strictEqual(seen.length, attempts)
      assert.strictEqual(Exit.isSuccess(exit), attempts === 2)
    })
  )

  it.effect("the inner word counts", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted((n) => (n === 1 ? Effect.fail(unavailable) : done))
      yield* letters.one("a").pipe(Retry.withPolicy(atOnce), CallOptions.idempotent, CallOptions.nonIdempotent)
      assert.strictEqual(seen.length, 2)
    })
  )
})

describe("which policy", () => {
  const attempts = (n: number) => Retry.maxAttempts(n)(atOnce)
  const policies = { for: () => ({ retry: attempts(3) }) }
  const count = Effect.fnUntraced(function* (
    client: <A, E, R>(make: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>,
    call: <A, E, R>(call: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  ) {
    const { letters, seen } = yield* client(scripted(() => Effect.fail(unavailable)))
    yield* finish(call(Effect.ignore(letters.one("a"))))
    return seen.length
  })
  const same = <A>(a: A): A => a
  const withMethods = Effect.provideService(MethodPolicy.Current, policies)
  const clientPolicy = attempts(2)

  it.effect("the call's, else the method's, else the client's", () =>
    Effect.gen(function* () {
      const client = Retry.withPolicy(clientPolicy)
      assert.strictEqual(yield* count(same, same), 1)
      assert.strictEqual(yield* count(client, same), 2)
      assert.strictEqual(yield* count((make) => make.pipe(client, withMethods), same), 3)
      assert.strictEqual(yield* count((make) => make.pipe(client, withMethods), Retry.withPolicy(attempts(4))), 4)
      // The same layer around client and call is the client's word, not the call's.
      assert.strictEqual(yield* count((make) => make.pipe(client, withMethods), client), 3)
    })
  )

  it.effect("a hedge closer to the call beats a retry further out, and the other way round", () =>
    Effect.gen(function* () {
      const hedge = Hedge.make({ after: "1 second", maxAttempts: 5, nonFatalCodes: ["UNAVAILABLE"] })
      const clientHedge = Hedge.withHedge(hedge)
      assert.strictEqual(yield* count(clientHedge, same), 5)
      assert.strictEqual(yield* count((make) => make.pipe(clientHedge, withMethods), same), 3)
      assert.strictEqual(yield* count(clientHedge, Retry.withPolicy(attempts(2))), 2)
      assert.strictEqual(yield* count(withMethods, Hedge.withHedge(hedge)), 5)
      assert.strictEqual(
        yield* count((make) => make.pipe(clientHedge, Retry.withPolicy(attempts(2))), Hedge.withHedge(Hedge.none)),
        2
      )
    })
  )

  it.effect("a method's options hold for calls that say nothing", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const methods = {
        for: (method: { readonly name: string }) => {
          asked.push(method.name)
          return method.name === "One" ? { deadlineMillis: 5000 } : undefined
        }
      }
      const { letters, seen } = yield* scripted(() => done).pipe(Effect.provideService(MethodPolicy.Current, methods))
      yield* letters.one("a")
      yield* letters.one("a").pipe(CallOptions.withDeadline("1 second"))
      yield* Stream.runDrain(letters.many("a"))
      assert.deepStrictEqual(
        seen.map(({ left }) => left),
        [5000, 1000, Infinity]
      )
      assert.deepStrictEqual(asked, ["One", "Many", "Sum", "Chat"])
    })
  )
})

describe("the budget", () => {
  it.effect("is the client's own, unless the context has one to share", () =>
    Effect.gen(function* () {
      const count = Effect.fnUntraced(function* (clients: number) {
        let attempts = 0
        for (let i = 0; i < clients; i++) {
          const { letters, seen } = yield* scripted(() => Effect.fail(unavailable))
          yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(atOnce))
          attempts += seen.length
        }
        return attempts
      })
      assert.strictEqual(yield* count(2), 202)
      assert.strictEqual(yield* count(2).pipe(Effect.provide(RetryBudget.layer(RetryBudget.make()))), 102)
    })
  )

  it.effect("is paid by successes of every kind", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ minPerSecond: 0, ratio: 1 })
      const { letters } = yield* scripted((n) => (n === 4 ? Effect.fail(unavailable) : done)).pipe(
        Effect.provideService(RetryBudget.Current, budget)
      )
      yield* letters.one("a")
      yield* Stream.runDrain(letters.many("a"))
      yield* letters.sum(Stream.make("a"))
      assert.strictEqual(budget.state(0).balance, 3)
      // One is taken by the retry, and one earned by its success.
      yield* letters.one("a").pipe(Retry.withPolicy(atOnce))
      assert.deepStrictEqual(budget.state(0), { balance: 3, withdrawals: 1, exhaustions: 0 })
    })
  )

  it.effect("is not asked when the policy stops or the delay does not fit", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make()
      const { letters } = yield* scripted(() => Effect.fail(unavailable)).pipe(
        Effect.provideService(RetryBudget.Current, budget)
      )
      yield* Effect.flip(letters.one("a"))
      yield* Effect.flip(letters.one("a")).pipe(Retry.withPolicy(everySecond), CallOptions.withDeadline(10))
      assert.deepStrictEqual(budget.state(0), { balance: 100, withdrawals: 0, exhaustions: 0 })
    })
  )

  it.effect("an adaptive one works the same", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(unavailable)).pipe(
        Effect.provide(RetryBudget.layer(RetryBudget.adaptive()))
      )
      const end = yield* Effect.flip(letters.one("a")).pipe(
        Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], Schedule.forever))
      )
      assert.strictEqual(end.stopped, "budget")
      assert.isBelow(seen.length, 50)
    })
  )
})

describe("a call that succeeds at once", () => {
  it.effect("starts no schedule; one that fails starts one", () =>
    Effect.gen(function* () {
      let started = 0
      const counted = Schedule.fromStep(
        Effect.sync(() => {
          started++
          return () => Effect.succeed([0, Duration.zero] as const)
        })
      ) as Retry.RetryPolicy
      const { letters } = yield* scripted((n) => (n === 101 ? Effect.fail(unavailable) : done))
      for (let i = 0; i < 100; i++) yield* letters.one("a").pipe(Retry.withPolicy(counted))
      assert.strictEqual(started, 0)
      yield* letters.one("a").pipe(Retry.withPolicy(counted))
      assert.strictEqual(started, 1)
    })
  )
})
