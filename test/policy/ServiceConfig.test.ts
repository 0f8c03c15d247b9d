import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Fiber, Layer, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, type Method, Retry, RetryBudget, type RpcError, ServiceConfig } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { backends } from "../support/retryBackends.ts"
import { failure, scripted, unavailable } from "../support/scripted.ts"

const retryPolicy = {
  maxAttempts: 7,
  initialBackoff: "0.1s",
  maxBackoff: "1s",
  backoffMultiplier: 2,
  retryableStatusCodes: ["UNAVAILABLE"]
}
const hedgingPolicy = { maxAttempts: 3, hedgingDelay: "0.5s", nonFatalStatusCodes: ["INTERNAL"] }

/** Everything there is. */
const whole = {
  methodConfig: [
    {
      name: [{ service: "test.Letters", method: "One" }],
      waitForReady: true,
      timeout: "10s",
      maxRequestMessageBytes: 1000,
      maxResponseMessageBytes: 2000,
      retryPolicy
    },
    { name: [{ service: "test.Letters" }, {}], hedgingPolicy }
  ],
  retryThrottling: { maxTokens: 10, tokenRatio: 0.1 }
}

const problemsOf = (input: unknown): ReadonlyArray<string> => {
  const config = ServiceConfig.make(input)
  return Result.isFailure(config) ? config.failure.problems.map(({ path, problem }) => `${path} ${problem}`) : []
}

const right = (input: unknown) => Result.getOrThrow(ServiceConfig.make(input))

/** The same JSON with something else at a path. */
const replaced = (json: unknown, path: ReadonlyArray<string | number>, value: unknown): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return value
  const copy = (Array.isArray(json) ? [...json] : { ...(json as object) }) as Record<string | number, unknown>
  copy[key] = replaced(copy[key], rest, value)
  return copy
}

/** The paths of everything that is not an object or a list. */
const leaves = (
  json: unknown,
  at: ReadonlyArray<string | number> = []
): ReadonlyArray<ReadonlyArray<string | number>> =>
  typeof json !== "object" || json === null
    ? [at]
    : Object.entries(json).flatMap(([key, value]) => leaves(value, [...at, Array.isArray(json) ? Number(key) : key]))

const written = (path: ReadonlyArray<string | number>): string =>
  path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`))
    .join("")
    .slice(1)

describe("a config", () => {
  it("is read from JSON, and from its text", () => {
    const config = right(whole)
    assert.deepStrictEqual(right(JSON.stringify(whole)), config)
    const [first, second] = config.methodConfig
    assert.deepStrictEqual(first!.retryPolicy!.retryableStatusCodes, ["UNAVAILABLE"])
    assert.strictEqual(Duration.toMillis(first!.timeout!), 10_000)
    assert.strictEqual(Duration.toMillis(second!.hedgingPolicy!.hedgingDelay!), 500)
    assert.deepStrictEqual(config.retryThrottling, { maxTokens: 10, tokenRatio: 0.1 })
    assert.deepStrictEqual(config.unused, [])
  })

  it("may be empty, and may say nothing", () => {
    for (const input of [{}, "{}", { methodConfig: [] }, { methodConfig: [{}] }, { methodConfig: [{ name: [] }] }]) {
      assert.deepStrictEqual(problemsOf(input), [])
    }
  })

  it.each([
    ["1s", 1000],
    ["1.5s", 1500],
    ["0.001s", 1],
    ["0.000000001s", 1e-6],
    ["0s", 0],
    ["3600s", 3_600_000]
  ])("the duration %s is %d ms", (timeout, millis) => {
    const [entry] = right({ methodConfig: [{ timeout }] }).methodConfig
    assert.strictEqual(Duration.toMillis(entry!.timeout!), millis)
  })

  it.each(["1", "1ms", "s", ".5s", "1.s", "-1s", "1.0000000001s", "1e3s", " 1s", "PT1S", "315576000001s", 1, null])(
    "%j is no duration",
    (timeout) =>
      assert.match(problemsOf({ methodConfig: [{ timeout }] })[0]!, /^methodConfig\[0\]\.timeout must be a dur/)
  )

  it.each([
    ["UNAVAILABLE", "UNAVAILABLE"],
    ["unavailable", "UNAVAILABLE"],
    ["Deadline_Exceeded", "DEADLINE_EXCEEDED"],
    [14, "UNAVAILABLE"],
    [1, "CANCELLED"],
    [16, "UNAUTHENTICATED"]
  ])("the code %j is %s", (code, expected) => {
    const [entry] = right(
      replaced(whole, ["methodConfig", 0, "retryPolicy", "retryableStatusCodes"], [code])
    ).methodConfig
    assert.deepStrictEqual(entry!.retryPolicy!.retryableStatusCodes, [expected as never])
  })

  it.each(["OK", 0, 17, -1, 1.5, "14", "", "UNAVAIL", null, true])("%j is no code", (code) => {
    const codes = ["UNAVAILABLE", code]
    assert.deepStrictEqual(
      problemsOf(replaced(whole, ["methodConfig", 0, "retryPolicy", "retryableStatusCodes"], codes)),
      ["methodConfig[0].retryPolicy.retryableStatusCodes[1] must be a status code other than OK, by name or number"]
    )
  })

  it("whole numbers may stand in quotes, as protobuf writes them", () => {
    const [entry] = right({ methodConfig: [{ maxRequestMessageBytes: "1024" }] }).methodConfig
    assert.strictEqual(entry!.maxRequestMessageBytes, 1024)
  })
})

describe("a wrong field is named", () => {
  it.each(leaves(whole).map((path) => [written(path), path] as const))("%s", (name, path) => {
    for (const wrong of [{}, [], null]) {
      const problems = problemsOf(replaced(whole, path, wrong))
      assert.strictEqual(problems.length, 1, JSON.stringify(problems))
      assert.isTrue(problems[0]!.startsWith(`${name} must be `), problems[0])
    }
  })

  it.each<[string, ReadonlyArray<string | number>, unknown]>([
    ["$ must be an object", [], 3],
    ["$ must be an object", [], null],
    ["$ must be an object", [], []],
    ["$ must be JSON", [], "{"],
    ["methodConfig must be a list", ["methodConfig"], {}],
    ["methodConfig[1] must be an object", ["methodConfig", 1], "x"],
    ["methodConfig[0].name must be a list", ["methodConfig", 0, "name"], { service: "a" }],
    ["methodConfig[0].name[0] must be an object", ["methodConfig", 0, "name", 0], "test.Letters/One"],
    ["methodConfig[0].name[0].service is missing beside a method", ["methodConfig", 0, "name"], [{ method: "One" }]],
    ["methodConfig[0].waitForReady must be true or false", ["methodConfig", 0, "waitForReady"], "true"],
    [
      "methodConfig[0].maxRequestMessageBytes must be a whole number, at least 0",
      ["methodConfig", 0, "maxRequestMessageBytes"],
      -1
    ],
    [
      "methodConfig[0].retryPolicy.maxAttempts must be a whole number, at least 2",
      ["methodConfig", 0, "retryPolicy", "maxAttempts"],
      1
    ],
    [
      "methodConfig[0].retryPolicy.maxAttempts must be a whole number, at least 2",
      ["methodConfig", 0, "retryPolicy", "maxAttempts"],
      2.5
    ],
    [
      'methodConfig[0].retryPolicy.initialBackoff must be a duration such as "1.5s", and longer than 0',
      ["methodConfig", 0, "retryPolicy", "initialBackoff"],
      "0s"
    ],
    [
      'methodConfig[0].retryPolicy.maxBackoff must be a duration such as "1.5s", and longer than 0',
      ["methodConfig", 0, "retryPolicy", "maxBackoff"],
      "-1s"
    ],
    [
      "methodConfig[0].retryPolicy.backoffMultiplier must be a number greater than 0",
      ["methodConfig", 0, "retryPolicy", "backoffMultiplier"],
      0
    ],
    [
      "methodConfig[0].retryPolicy.retryableStatusCodes must have a code, or nothing is ever retried",
      ["methodConfig", 0, "retryPolicy", "retryableStatusCodes"],
      []
    ],
    [
      "methodConfig[0].retryPolicy.maxBackoff is missing",
      ["methodConfig", 0, "retryPolicy"],
      { ...retryPolicy, maxBackoff: undefined }
    ],
    [
      "methodConfig[1].hedgingPolicy.maxAttempts must be a whole number, at least 2",
      ["methodConfig", 1, "hedgingPolicy", "maxAttempts"],
      1
    ],
    [
      'methodConfig[1].hedgingPolicy.hedgingDelay must be a duration such as "1.5s", and not negative',
      ["methodConfig", 1, "hedgingPolicy", "hedgingDelay"],
      "-0.1s"
    ],
    [
      "methodConfig[0].hedgingPolicy must not stand beside a retryPolicy",
      ["methodConfig", 0, "hedgingPolicy"],
      hedgingPolicy
    ],
    [
      "methodConfig[1].name[1] must not repeat methodConfig[0].name[0]",
      ["methodConfig", 1, "name", 1],
      { service: "test.Letters", method: "One" }
    ],
    [
      "methodConfig[1].name[1] must not repeat methodConfig[1].name[0]",
      ["methodConfig", 1, "name", 0],
      { service: "" }
    ],
    ["retryThrottling.maxTokens must be a whole number between 1 and 1000", ["retryThrottling", "maxTokens"], 1001],
    ["retryThrottling.maxTokens must be a whole number between 1 and 1000", ["retryThrottling", "maxTokens"], 0],
    ["retryThrottling.tokenRatio must be a number, at least 0.001", ["retryThrottling", "tokenRatio"], 0],
    ["retryThrottling.tokenRatio is missing", ["retryThrottling"], { maxTokens: 10 }]
  ])("%s", (problem, path, value) => {
    const json = JSON.parse(JSON.stringify(replaced(whole, path, value))) as unknown
    assert.deepStrictEqual(problemsOf(path.length === 0 ? value : json), [problem])
  })

  it("with all the others", () => {
    const config = {
      methodConfig: [
        { name: [{ service: "a" }], timeout: 1, retryPolicy: { ...retryPolicy, maxAttempts: 0 }, hedgingPolicy },
        { name: [{ service: "a" }, { method: "b" }], hedgingPolicy: { maxAttempts: "many" } }
      ],
      retryThrottling: {}
    }
    assert.sameMembers(
      problemsOf(config).map((problem) => problem.split(" ")[0]!),
      [
        "methodConfig[0].timeout",
        "methodConfig[0].retryPolicy.maxAttempts",
        "methodConfig[0].hedgingPolicy",
        "methodConfig[1].name[0]",
        "methodConfig[1].name[1].service",
        "methodConfig[1].hedgingPolicy.maxAttempts",
        "retryThrottling.maxTokens",
        "retryThrottling.tokenRatio"
      ]
    )
  })

  it("and the error's text says them too", () => {
    const config = ServiceConfig.make({ methodConfig: 1, retryThrottling: 2 })
    assert.strictEqual(
      Result.isFailure(config) ? config.failure.message : "",
      "the service config is wrong: methodConfig must be a list; retryThrottling must be an object"
    )
  })

  it("but one that is not about calls, or not known, is only not used", () => {
    const config = {
      loadBalancingConfig: [{ round_robin: {} }],
      methodConfig: [{ name: [{ service: "a" }], retrypolicy: {} }]
    }
    assert.deepStrictEqual(right(config).unused, ["loadBalancingConfig", "methodConfig[0].retrypolicy"])
  })
})

describe("the entry of a method", () => {
  const config = (...names: ReadonlyArray<object>) => ({
    methodConfig: names.map((name, i) => ({ name: [name], timeout: `${i + 1}s` }))
  })
  const method = { service: "a.B", name: "C" } as Method.Any

  it.each<[string, ReadonlyArray<object>, number | undefined]>([
    ["is the one that names it", [{}, { service: "a.B" }, { service: "a.B", method: "C" }], 3000],
    ["wherever that stands", [{ service: "a.B", method: "C" }, { service: "a.B" }, {}], 1000],
    ["else its service's", [{}, { service: "a.B" }, { service: "a.B", method: "D" }], 2000],
    ["else the default", [{}, { service: "a" }, { service: "a.B", method: "D" }], 1000],
    ["else none", [{ service: "a.B.C" }, { service: "a.B", method: "c" }], undefined]
  ])("%s", (_name, names, millis) => {
    assert.strictEqual(ServiceConfig.policies(right(config(...names))).for(method)?.deadlineMillis, millis)
  })

  it("is taken whole, and nothing of the others is added", () => {
    const policies = ServiceConfig.policies(
      right({
        methodConfig: [
          { name: [{}], timeout: "1s" },
          { name: [{ service: "a.B" }], waitForReady: true }
        ]
      })
    )
    assert.deepInclude(policies.for(method), { deadlineMillis: undefined, whenNotReady: "wait" })
  })

  it.each([
    [true, "wait"],
    [false, undefined]
  ] as const)("waitForReady %s is %s", (waitForReady, expected) => {
    const policies = ServiceConfig.policies(right({ methodConfig: [{ name: [{}], waitForReady }] }))
    assert.strictEqual(policies.for(method)?.whenNotReady, expected)
  })

  it("keeps its attempts as they are written, more than five too", () => {
    const hedged = { methodConfig: [{ name: [{}], hedgingPolicy: { maxAttempts: 12 } }] }
    assert.deepInclude(ServiceConfig.policies(right(hedged)).for(method)!.hedge, { maxAttempts: 12, after: 0 })
  })
})

/** Chance that leaves every delay as it is. */
const noChance = Effect.provideService(Random.Random, { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => 0.5 })

describe("a client", () => {
  it.effect("retries as it is written: the codes, the delays and the attempts", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(unavailable))
      const call = yield* Effect.forkChild(Effect.flip(letters.one("a")))
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.stopped, "attempts")
      assert.deepStrictEqual(
        seen.map(({ at }) => at),
        [0, 100, 300, 700, 1500, 2500, 3500]
      )
      assert.strictEqual(seen[0]!.left, 10_000)
    }).pipe(
      Effect.provide(ServiceConfig.layer({ methodConfig: whole.methodConfig })),
      Effect.provide(RetryBudget.layer(Effect.succeed(RetryBudget.infinite))),
      noChance
    )
  )

  it.effect("sleeps as long as the server says, however long the config's own delays are", () =>
    Effect.gen(function* () {
      const trailers = new Map([["grpc-retry-pushback-ms", ["5000"]]])
      const { letters, seen } = yield* scripted((n) =>
        n === 1 ? Effect.fail(failure("UNAVAILABLE", { trailers })) : Effect.succeed("done")
      )
      const call = yield* Effect.forkChild(letters.one("a"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "done")
      assert.deepStrictEqual(
        seen.map(({ at }) => at),
        [0, 5000]
      )
    }).pipe(Effect.provide(ServiceConfig.layer(whole)), noChance)
  )

  it.effect("a multiplier below 1 shrinks the delays", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted((n) => (n < 4 ? Effect.fail(unavailable) : Effect.succeed("done")))
      const call = yield* Effect.forkChild(letters.one("a"))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(call)
      assert.deepStrictEqual(
        seen.map(({ at }) => at),
        [0, 100, 150, 175]
      )
    }).pipe(
      Effect.provide(
        ServiceConfig.layer(replaced(whole, ["methodConfig", 0, "retryPolicy", "backoffMultiplier"], 0.5))
      ),
      noChance
    )
  )

  it.effect("a call's own policy and deadline win", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(unavailable))
      yield* Effect.flip(letters.one("a").pipe(Retry.withPolicy(Retry.none), CallOptions.withDeadline(50)))
      assert.deepStrictEqual(seen, [{ at: 0, attempt: 1, left: 50 }])
    }).pipe(Effect.provide(ServiceConfig.layer(whole)), noChance)
  )

  it.effect("hedges as it is written", () =>
    Effect.gen(function* () {
      const { letters, served } = yield* backends({
        one: (n) => (n < 3 ? Effect.never : Effect.succeed(`copy ${n}`))
      })
      const call = yield* Effect.forkChild(letters.one("a"))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(call), "copy 3")
      assert.deepStrictEqual(
        served.map(({ at }) => at - served[0]!.at),
        [0, 500, 1000]
      )
    }).pipe(
      Effect.provide(ServiceConfig.layer({ methodConfig: [{ name: [{}], hedgingPolicy }] })),
      Effect.provide(TestNetwork.layer)
    )
  )

  it.effect("stops retrying when the tokens are half gone, and all clients have the same tokens", () =>
    Effect.gen(function* () {
      const one = yield* scripted(() => Effect.fail(unavailable))
      const other = yield* scripted(() => Effect.fail(unavailable))
      const stopped = (call: Effect.Effect<string, RpcError.RpcError>) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Effect.flip(call))
          yield* TestClock.adjust("1 minute")
          return (yield* Fiber.join(fiber)).stopped
        })
      assert.strictEqual(yield* stopped(one.letters.one("a")), "budget")
      assert.strictEqual(one.seen.length, 5)
      assert.strictEqual(yield* stopped(other.letters.one("a")), "budget")
      assert.strictEqual(other.seen.length, 1)
    }).pipe(Effect.provide(ServiceConfig.layer(whole)), noChance)
  )

  it.effect("with a wrong config is not built", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(ServiceConfig.layer({ methodConfig: 1 })))
      assert.strictEqual(error._tag, "ServiceConfigError")
    })
  )

  it.effect("has its config from the environment", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.succeed("a"))
      yield* letters.one("a")
      assert.strictEqual(seen[0]!.left, 10_000)
    }).pipe(
      Effect.provide(ServiceConfig.layerConfig(Config.String("SERVICE_CONFIG"))),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromUnknown({ SERVICE_CONFIG: JSON.stringify(whole) })
      )
    )
  )
})

describe("explain", () => {
  it("says of each method what will happen", () => {
    const config = right({
      ...whole,
      methodConfig: [...whole.methodConfig, { name: [{ service: "quiet" }] }, { timeout: "1s" }],
      loadBalancingPolicy: "pick_first"
    })
    assert.deepStrictEqual(ServiceConfig.explain(config).split("\n"), [
      "test.Letters/One",
      "  whole call: at most 10s",
      "  with no peer ready: waits as long as the call may take",
      "  largest request: 1000 bytes",
      "  largest response: 2000 bytes",
      "  retried:",
      ...Retry.explain(
        ServiceConfig.policies(config).for({ service: "test.Letters", name: "One" } as Method.Any)!.retry!
      )
        .split("\n")
        .map((line) => `    ${line}`),
      "test.Letters, every other method",
      "every other method",
      "  hedged: at most 3 copies, the next after 500ms",
      "    at once after INTERNAL; other errors are final",
      "quiet, every other method",
      "  as the client says",
      "Retries and copies: while more than 5 of 10 tokens are left; a failure costs 1, a success earns 0.1",
      "Not used: loadBalancingPolicy"
    ])
    assert.include(
      ServiceConfig.explain(config),
      "    UNAVAILABLE\n      attempts: at most 7\n      delays: 80ms to 120ms,"
    )
  })
})
