/** The rules of policies, each as the sleeps between attempts that `Effect.retry` makes of it on a test clock. */
import { assert, describe, it } from "@effect/vitest"
import {
  Config,
  ConfigProvider,
  Duration,
  Effect,
  Fiber,
  Function,
  Layer,
  Pull,
  Random,
  Ref,
  Schedule,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Code, Retry, RpcError } from "trunkline"
import { HttpStatus, Jitter } from "trunkline/extend"
import { always, highest, timeline } from "../support/timeline.ts"

const fail = (code: Code.Code, message = "x") => RpcError.make(code, message, { origin: "remote" })
const unavailable = fail("UNAVAILABLE")
const exhausted = fail("RESOURCE_EXHAUSTED")
const times = (count: number, error: RpcError.RpcError) => Array.from({ length: count }, () => error)

/** 100 ms, 200 ms, 400 ms … up to 1 second. */
const backoff = Backoff.exponential({ initial: 100, max: 1000, jitter: Jitter.none })
const policy = Retry.onCodes(["UNAVAILABLE"], backoff)

const close = (actual: ReadonlyArray<number>, expected: ReadonlyArray<number>) => {
  assert.strictEqual(actual.length, expected.length, actual.join())
  for (const [i, millis] of expected.entries()) assert.approximately(actual[i]!, millis, 1e-3 * millis + 1e-3)
}

describe("choosing errors", () => {
  it.effect.each<[ReadonlyArray<Code.Code>, number]>([
    [[], 1],
    [["DEADLINE_EXCEEDED"], 1],
    [["DEADLINE_EXCEEDED", "UNAVAILABLE"], 2],
    [["UNAVAILABLE"], 2]
  ])("onCodes(%j) makes %i attempts of one UNAVAILABLE", ([codes, attempts]) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* timeline(Retry.onCodes(codes, backoff), [unavailable])).attempts, attempts)
    })
  )

  it.effect.each<[ReadonlyArray<number>, number]>([
    [[], 1],
    [[409], 1],
    [[409, 502], 2],
    [[502], 2]
  ])("onHttpCodes(%j) makes %i attempts of one 502", ([statuses, attempts]) =>
    Effect.gen(function* () {
      const policy = Retry.onHttpCodes(statuses, backoff)
      assert.strictEqual((yield* timeline(policy, [HttpStatus.toError(502, "x")])).attempts, attempts)
      const seen = fail("UNAVAILABLE", "Received HTTP status code 502")
      assert.strictEqual((yield* timeline(policy, [seen])).attempts, attempts)
      assert.strictEqual((yield* timeline(policy, [unavailable])).attempts, 1)
    })
  )

  it.effect("an HTTP error also has a code, which onCodes sees", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* timeline(policy, [HttpStatus.toError(503, "x")])).attempts, 2)
      assert.strictEqual((yield* timeline(policy, [HttpStatus.toError(502, "x")])).attempts, 1)
    })
  )

  it.effect.each<[string, (error: RpcError.RpcError) => boolean, number]>([
    ["never", Function.constFalse, 1],
    ["of the code", (error) => error.code === "DEADLINE_EXCEEDED", 2],
    ["always", Function.constTrue, 2]
  ])("onError: %s", ([_name, predicate, attempts]) =>
    Effect.gen(function* () {
      const actual = yield* timeline(Retry.onError(predicate, backoff), [fail("DEADLINE_EXCEEDED")])
      assert.strictEqual(actual.attempts, attempts)
    })
  )

  it.effect("stops at the first error it does not choose", () =>
    Effect.gen(function* () {
      const actual = yield* timeline(policy, [unavailable, fail("NOT_FOUND"), unavailable])
      assert.deepStrictEqual(actual, { sleeps: [100], attempts: 2, succeeded: false })
    })
  )

  it.effect.each<[string, RpcError.RpcError]>([
    ["a certificate", RpcError.make("UNAVAILABLE", "certificate has expired")],
    ["a used-up budget", RpcError.annotate(unavailable, { stopped: "budget" })],
    ["a server that wants to be left alone", RpcError.annotate(unavailable, { stopped: "pushback" })]
  ])("%s is not retried, unless a rule says otherwise", ([_name, error]) =>
    Effect.gen(function* () {
      for (const permanent of [undefined, Function.constFalse]) {
        const attempts = permanent === undefined ? 1 : 2
        const listed = Retry.onCodes(["UNAVAILABLE"], backoff, { permanent })
        const chosen = Retry.onError(Function.constTrue, backoff, { permanent })
        assert.strictEqual((yield* timeline(listed, [error])).attempts, attempts)
        assert.strictEqual((yield* timeline(chosen, [error])).attempts, attempts)
      }
    })
  )
})

describe("composing", () => {
  it.effect("two rules, each with its own delays, which only its own errors move", () =>
    Effect.gen(function* () {
      const either = Schedule.min([policy, Retry.onCodes(["ABORTED"], Schedule.spaced(7))])
      const errors = [unavailable, fail("ABORTED"), fail("ABORTED"), unavailable, unavailable, fail("NOT_FOUND")]
      assert.deepStrictEqual((yield* timeline(either, errors)).sleeps, [100, 7, 7, 200, 400])
    })
  )

  it.effect("each with its own limit", () =>
    Effect.gen(function* () {
      const either = Schedule.min([
        policy.pipe(Retry.maxAttempts(2)),
        Retry.onCodes(["ABORTED"], Schedule.spaced(7)).pipe(Retry.maxAttempts(4))
      ])
      const errors = [fail("ABORTED"), unavailable, fail("ABORTED"), unavailable]
      assert.deepStrictEqual((yield* timeline(either, errors)).sleeps, [7, 100, 7])
    })
  )

  it.effect("max, modifyDelay, while and upTo", () =>
    Effect.gen(function* () {
      const slow = Schedule.max([policy, Schedule.spaced(150)])
      assert.deepStrictEqual((yield* timeline(slow, times(3, unavailable))).sleeps, [150, 200, 400])
      const twice = Schedule.modifyDelay(policy, ({ duration }) => Effect.succeed(Duration.times(duration, 2)))
      assert.deepStrictEqual((yield* timeline(twice, times(3, unavailable))).sleeps, [200, 400, 800])
      const short = Schedule.while(policy, ({ output }) => Duration.toMillis(output) < 400)
      assert.deepStrictEqual((yield* timeline(short, times(3, unavailable))).sleeps, [100, 200])
      const few = Schedule.upTo(policy, { times: 1 })
      assert.deepStrictEqual((yield* timeline(few, times(3, unavailable))).sleeps, [100])
    })
  )
})

describe("totalTimeout", () => {
  const atOnce = Retry.onCodes(["UNAVAILABLE"], Schedule.forever)

  it.effect.each<[string, Retry.RetryPolicy, attemptMillis: number, sleeps: ReadonlyArray<number>]>([
    ["stops before the sleep that would end too late", policy.pipe(Retry.totalTimeout(699)), 0, [100, 200]],
    ["a sleep may end with the total time", policy.pipe(Retry.totalTimeout(700)), 0, [100, 200, 400]],
    ["attempts count too, the first included", policy.pipe(Retry.totalTimeout(700)), 100, [100, 200]],
    ["the first failure may already be too late", policy.pipe(Retry.totalTimeout(700)), 800, []],
    ["200 ms and attempts of 60 ms: four attempts", atOnce.pipe(Retry.totalTimeout(200)), 60, [0, 0, 0]],
    [
      "100 ms and a delay of 1 s: no sleep",
      Retry.onCodes(["UNAVAILABLE"], Schedule.spaced(1000)).pipe(Retry.totalTimeout(100)),
      0,
      []
    ],
    ["zero", policy.pipe(Retry.totalTimeout(0)), 0, []],
    ["infinite", policy.pipe(Retry.totalTimeout(Duration.infinity)), 0, [100, 200, 400, 800, 1000]],
    ["attempts first", policy.pipe(Retry.totalTimeout("1 minute"), Retry.maxAttempts(3)), 0, [100, 200]],
    ["time first", policy.pipe(Retry.maxAttempts(30), Retry.totalTimeout(350)), 0, [100, 200]]
  ])("%s", ([_name, policy, attemptMillis, sleeps]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* timeline(policy, times(5, unavailable), attemptMillis)).sleeps, sleeps)
    })
  )

  it.effect("a wall clock that steps back gives no time away for good", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(100_000)
      const step = yield* Schedule.toStep(Schedule.forever.pipe(Retry.totalTimeout(700)))
      yield* step(100_300, unavailable)
      yield* step(5000, unavailable)
      yield* step(5700, unavailable)
      assert.strictEqual(yield* Pull.catchDone(step(5701, unavailable), () => Effect.succeed("stopped")), "stopped")
    })
  )

  it.effect("counts what ran before the policy was started", () =>
    Effect.gen(function* () {
      const bounded = policy.pipe(Retry.totalTimeout(700))
      const late = timeline(bounded, times(5, unavailable)).pipe(Effect.provideService(Retry.Elapsed, 350))
      assert.deepStrictEqual((yield* late).sleeps, [100, 200])
    })
  )
})

describe("goma", () => {
  const ok: ReadonlyArray<RpcError.RpcError> = []
  it.effect.each<[string, ReadonlyArray<RpcError.RpcError>, attempts: number, succeeds: boolean]>([
    ["ok", ok, 1, true],
    ["an error that is no status", [fail("UNKNOWN")], 1, false],
    ["a marked error", [Retry.retriable(fail("UNKNOWN"), {})], 2, true],
    ["UNAVAILABLE", [unavailable], 2, true],
    ["an HTML page", [fail("INTERNAL", 'transport: received the unexpected content-type "text/html"')], 2, true],
    ["a message cut off", [fail("INTERNAL", "unexpected EOF")], 2, true],
    ["a reset stream", [fail("INTERNAL", "stream terminated by RST_STREAM with error code: INTERNAL_ERROR")], 2, true],
    ["another INTERNAL", [fail("INTERNAL")], 1, false],
    ["time ran out twice", [RpcError.make("DEADLINE_EXCEEDED", "x"), fail("DEADLINE_EXCEEDED")], 3, true],
    ["RESOURCE_EXHAUSTED", [exhausted], 2, true],
    ["ABORTED", [fail("ABORTED")], 1, false]
  ])("%s: %j", ([_name, errors, attempts, succeeded]) =>
    Effect.gen(function* () {
      const actual = yield* timeline(Retry.goma, errors)
      assert.deepStrictEqual([actual.attempts, actual.succeeded], [attempts, succeeded])
    })
  )

  it.effect.each<[string, ReadonlyArray<RpcError.RpcError>, low: ReadonlyArray<number>, high: ReadonlyArray<number>]>([
    ["defaults", times(4, unavailable), [10, 12.8, 20.48, 32.768], [10, 19.2, 30.72, 49.152]],
    // Four sleeps, and none after the last attempt.
    ["only RESOURCE_EXHAUSTED", times(9, exhausted), [1000, 1600, 3200, 6400], [1000, 2400, 4800, 9600]],
    [
      "one RESOURCE_EXHAUSTED holds the whole run to five attempts",
      [unavailable, exhausted, ...times(9, unavailable)],
      [10, 1600, 3200, 6400],
      [10, 2400, 4800, 9600]
    ]
  ])("delays: %s", ([_name, errors, low, high]) =>
    Effect.gen(function* () {
      close((yield* always(0)(timeline(Retry.goma, errors))).sleeps, low)
      close((yield* highest(timeline(Retry.goma, errors))).sleeps, high)
    })
  )
})

describe("retriable", () => {
  const mark = (tuning: Retry.Tuning, error: RpcError.RpcError = fail("NOT_FOUND")) => Retry.retriable(error, tuning)

  it.effect.each<[string, ReadonlyArray<RpcError.RpcError>, ReadonlyArray<number>]>([
    ["forces a retry of any code", [mark({}), mark({})], [100, 200]],
    ["of a permanent error too", [mark({}, RpcError.make("UNAVAILABLE", "certificate has expired"))], [100]],
    ["not of a final one", [mark({}, RpcError.annotate(unavailable, { stopped: "budget" }))], []],
    [
      "a delay is what the rest of the run starts from",
      [unavailable, mark({ delay: 150 }), unavailable],
      [100, 300, 600]
    ],
    ["a shorter delay changes nothing", [unavailable, mark({ delay: 5 }), unavailable], [100, 200, 400]],
    ["the longest delay stays", [mark({ delay: 150 }), mark({ delay: 120 })], [150, 300]],
    ["max still holds", [unavailable, mark({ delay: 900 }), unavailable], [100, 1000, 1000]],
    ["a factor stays", [unavailable, mark({ factor: 3 }), unavailable, unavailable], [100, 300, 900, 1000]],
    ["the last factor counts", [mark({ factor: 3 }), mark({ factor: 1.5 }), unavailable], [100, 150, 225]],
    ["a limit stays", [mark({ max: 3 }), ...times(9, unavailable)], [100, 200]],
    ["the least limit counts", [mark({ max: 4 }), mark({ max: 3 }), ...times(9, unavailable)], [100, 200]],
    ["and no later one that is more", [mark({ max: 3 }), mark({ max: 4 }), ...times(9, unavailable)], [100, 200]],
    ["a factor outlives marks without one", [mark({ factor: 3 }), mark({ delay: 1 }), unavailable], [100, 300, 900]],
    ["zero is no limit", [mark({ max: 0 }), unavailable, unavailable], [100, 200, 400]],
    ["a limit already reached", [unavailable, unavailable, mark({ max: 2 })], [100, 200]]
  ])("%s", ([_name, errors, sleeps]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* timeline(policy, errors)).sleeps, sleeps)
    })
  )

  it.effect("with a schedule that is no backoff, the delay is the least", () =>
    Effect.gen(function* () {
      const spaced = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced(100))
      const errors = [unavailable, mark({ delay: 150 }), unavailable]
      assert.deepStrictEqual((yield* timeline(spaced, errors)).sleeps, [100, 150, 150])
    })
  )

  it.effect("an empty list and `none` never retry, not even this", () =>
    Effect.gen(function* () {
      for (const never of [Retry.none, Retry.onCodes([], backoff), Retry.onHttpCodes([], backoff)]) {
        assert.strictEqual((yield* timeline(never, [mark({})])).attempts, 1)
      }
    })
  )

  it("keeps what the error said", () => {
    const cause = new Error("why")
    const error = Retry.retriable(
      fail("NOT_FOUND", "gone").pipe((e) => RpcError.annotate(e, { peer: "a:1", cause })),
      {}
    )
    assert.deepStrictEqual([error.message, error.peer, error.origin], ["[NOT_FOUND] gone", "a:1", "remote"])
    assert.strictEqual((error.cause as { readonly cause: unknown }).cause, cause)
  })

  it("makes an RpcError of anything else", () => {
    assert.strictEqual(Retry.retriable(new Error("disk full"), {}).message, "[UNKNOWN] disk full")
    assert.strictEqual(Retry.retriable("disk full", {}).message, "[UNKNOWN] retriable error")
  })
})

describe("presets", () => {
  it.effect.each<[string, Retry.RetryPolicy, ReadonlyArray<Code.Code>]>([
    ["gax", Retry.gax, ["DEADLINE_EXCEEDED", "UNAVAILABLE"]],
    ["goma", Retry.goma, ["DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"]],
    ["aip194", Retry.aip194, ["UNAVAILABLE"]],
    ["none", Retry.none, []]
  ])("%s retries its codes and no others", ([_name, policy, codes]) =>
    Effect.gen(function* () {
      const retried = yield* Effect.filter(Code.all, (code) =>
        Effect.map(timeline(policy, [fail(code)]), ({ attempts }) => attempts === 2)
      )
      assert.deepStrictEqual(retried, codes)
    })
  )

  it.effect("gax: its envelope, and ten minutes", () =>
    Effect.gen(function* () {
      const { sleeps } = yield* highest(timeline(Retry.gax, times(100, unavailable)))
      close(sleeps.slice(0, 7), [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
      assert.strictEqual(sleeps.length, 5 + Math.floor((600 - 31) / 30))
    })
  )

  it.effect("aip194: ten attempts or one minute, whichever comes first", () =>
    Effect.gen(function* () {
      close((yield* highest(timeline(Retry.aip194, times(100, unavailable)))).sleeps, [1000, 2000, 4000, 8000, 16_000])
      assert.strictEqual((yield* always(0)(timeline(Retry.aip194, times(100, unavailable)))).attempts, 10)
    })
  )

  it.effect("the same seed gives the same timeline", () =>
    Effect.gen(function* () {
      const run = timeline(Retry.gax, times(8, unavailable)).pipe(Random.withSeed("seed"))
      const first = yield* run
      assert.deepStrictEqual(yield* run, first)
      assert.strictEqual(new Set(first.sleeps).size, 8)
    })
  )
})

describe("a policy has no memory", () => {
  it.effect("runs that share it, at once and one after the other, do not see each other", () =>
    Effect.gen(function* () {
      const shared = policy.pipe(Retry.maxAttempts(4), Retry.totalTimeout("1 minute"))
      const alone = { sleeps: [100, 200, 400], attempts: 4, succeeded: false }
      for (let i = 0; i < 3; i++) assert.deepStrictEqual(yield* timeline(shared, times(9, unavailable)), alone)

      const runs = yield* Ref.make<ReadonlyArray<number>>([])
      const effect = Effect.andThen(
        Ref.update(runs, (n) => [...n, 1]),
        Effect.fail(unavailable)
      )
      const fiber = yield* Effect.forkChild(
        Effect.all(
          [1, 2, 3].map(() => Effect.exit(Effect.retry(effect, shared))),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* Ref.get(runs)).length, 12)
    })
  )

  it.effect("one call's limit, delay or factor is gone with the call", () =>
    Effect.gen(function* () {
      const tuned = Retry.retriable(unavailable, { max: 2, delay: 700, factor: 9 })
      assert.deepStrictEqual((yield* timeline(policy, [tuned, unavailable])).sleeps, [700])
      assert.deepStrictEqual((yield* timeline(policy, times(4, unavailable))).sleeps, [100, 200, 400, 800])
    })
  )

  it.effect("what is made of a policy, and what it was made of, are different policies", () =>
    Effect.gen(function* () {
      const codes: Array<Code.Code> = ["UNAVAILABLE"]
      const settings = {
        codes,
        initial: 100,
        max: 1000,
        jitter: Jitter.none,
        maxAttempts: undefined as number | undefined
      }
      const base = Retry.make(settings)
      const limited = Retry.make({ ...settings, maxAttempts: 3 })
      base.pipe(Retry.maxAttempts(2))
      base.pipe(Retry.totalTimeout(1))
      Retry.make({ ...settings, initial: undefined, max: undefined, totalTimeout: undefined })
      codes.push("ABORTED")
      settings.initial = 1
      settings.maxAttempts = 1
      assert.deepStrictEqual((yield* timeline(base, times(4, unavailable))).sleeps, [100, 200, 400, 800])
      assert.deepStrictEqual((yield* timeline(limited, times(4, unavailable))).sleeps, [100, 200])
      assert.strictEqual((yield* timeline(base, [fail("ABORTED")])).attempts, 1)
    })
  )
})

describe("interruption", () => {
  it.effect("is not retried, also where CANCELLED is", () =>
    Effect.gen(function* () {
      const runs = yield* Ref.make(0)
      const effect = Effect.andThen(
        Ref.update(runs, (n) => n + 1),
        Effect.fail(fail("CANCELLED"))
      )
      const fiber = yield* Effect.forkChild(Effect.retry(effect, Retry.onCodes(["CANCELLED"], Schedule.spaced(100))))
      yield* TestClock.adjust(150)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* Ref.get(runs), 2)
    })
  )
})

describe("layerConfig", () => {
  const settings = {
    codes: Config.Array(Schema.Literals(Code.all), "CODES"),
    initial: Config.Duration("DELAY"),
    jitter: Config.succeed(Jitter.none),
    maxAttempts: Config.Int("ATTEMPTS"),
    totalTimeout: Config.Duration("TOTAL").pipe(Config.withDefault(undefined))
  }
  const current = (env: Record<string, string>) =>
    Retry.Current.pipe(
      Effect.provide(
        Retry.layerConfig(settings).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))))
      )
    )

  it.effect("reads a policy from the environment", () =>
    Effect.gen(function* () {
      const env = { CODES: "UNAVAILABLE,ABORTED", DELAY: "100 millis", ATTEMPTS: "4" }
      const policy = (yield* current(env))!
      assert.deepStrictEqual((yield* timeline(policy, times(9, fail("ABORTED")))).sleeps, [100, 200, 400])
      const bounded = (yield* current({ ...env, TOTAL: "300 millis" }))!
      assert.deepStrictEqual((yield* timeline(bounded, times(9, unavailable))).sleeps, [100, 200])
    })
  )

  it.effect("says what is wrong with it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(current({ CODES: "UNAVAILABLE,LATER", DELAY: "1 second", ATTEMPTS: "4" }))
      assert.include(error.message, `["CODES"][1]`)
    })
  )
})
