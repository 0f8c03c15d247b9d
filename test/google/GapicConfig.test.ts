import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Fiber, Layer, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, type Method, Retry, RetryBudget } from "trunkline"
import { GapicConfig } from "trunkline/google"
import { failure, scripted } from "../support/scripted.ts"

const numbers = {
  initial_retry_delay_millis: 100,
  retry_delay_multiplier: 2,
  max_retry_delay_millis: 300,
  initial_rpc_timeout_millis: 1000,
  rpc_timeout_multiplier: 1.5,
  max_rpc_timeout_millis: 2000,
  total_timeout_millis: 5000
}

const retried = { timeout_millis: 7000, retry_codes_name: "idempotent", retry_params_name: "default" }

const config = {
  interfaces: {
    "test.Letters": {
      retry_codes: { idempotent: ["UNAVAILABLE", "DEADLINE_EXCEEDED"], non_idempotent: [] },
      retry_params: { default: numbers },
      methods: {
        One: retried,
        Many: { timeout_millis: 3000, retry_codes_name: "non_idempotent", retry_params_name: "default" },
        Sum: { timeout_millis: 4000 }
      }
    }
  }
}

/** The config with another service, or with parts of the one it has. */
const withService = (service: object) => ({
  interfaces: { "test.Letters": { ...config.interfaces["test.Letters"], ...service } }
})

const make = (input: unknown, overrides?: unknown) => Result.getOrThrow(GapicConfig.make(input, overrides))

const problemsOf = (input: unknown, overrides?: unknown): ReadonlyArray<string> => {
  const config = GapicConfig.make(input, overrides)
  return Result.isFailure(config) ? config.failure.problems.map(({ path, problem }) => `${path} ${problem}`) : []
}

const at = 'interfaces["test.Letters"]'

describe("a config", () => {
  it("is read from JSON, and from its text", () => {
    const { methods, unused } = make(config)
    assert.deepStrictEqual(make(JSON.stringify(config)), { methods, unused })
    assert.deepStrictEqual(unused, [])
    assert.deepStrictEqual(methods, [
      {
        service: "test.Letters",
        method: "One",
        timeoutMillis: 7000,
        retry: { codes: ["UNAVAILABLE", "DEADLINE_EXCEEDED"], params: numbers }
      },
      { service: "test.Letters", method: "Many", timeoutMillis: 3000, retry: undefined },
      { service: "test.Letters", method: "Sum", timeoutMillis: 4000, retry: undefined }
    ])
  })

  it("says what of it is not used", () => {
    const Many = { ...retried, bundling: { element_count_threshold: 5 } }
    assert.deepStrictEqual(make(withService({ methods: { Many } })).unused, [`${at}.methods.Many.bundling`])
  })

  it("a method that is null is not retried", () => {
    assert.deepStrictEqual(make(withService({ methods: { One: null } })).methods, [
      { service: "test.Letters", method: "One", timeoutMillis: undefined, retry: undefined }
    ])
  })
})

describe("a wrong field is named", () => {
  it.each(Object.keys(numbers))("%s", (name) => {
    for (const wrong of ["x", null, 0, -1, {}]) {
      const problems = problemsOf(withService({ retry_params: { default: { ...numbers, [name]: wrong } } }))
      assert.strictEqual(problems.length, 1, JSON.stringify(problems))
      assert.isTrue(problems[0]!.startsWith(`${at}.retry_params.default.${name} must be a number`), problems[0])
    }
    const { [name as keyof typeof numbers]: _, ...rest } = numbers
    assert.deepStrictEqual(problemsOf(withService({ retry_params: { default: rest } })), [
      `${at}.retry_params.default.${name} is missing`
    ])
  })

  it.each<[string, unknown]>([
    ["$ must be an object", []],
    ["$ must be JSON", "{"],
    ["interfaces is missing", {}],
    ["interfaces must be an object", { interfaces: [] }],
    [`${at} must be an object`, { interfaces: { "test.Letters": 1 } }],
    [`${at}.retry_codes must be an object`, withService({ retry_codes: [], methods: {} })],
    [`${at}.retry_codes.idempotent must be a list`, withService({ retry_codes: { idempotent: "UNAVAILABLE" } })],
    [
      `${at}.retry_codes.idempotent[1] must be a status code other than OK, by name or number`,
      withService({ retry_codes: { idempotent: [14, "OK"], non_idempotent: [] } })
    ],
    [
      `${at}.retry_params.default.max_retry_delay_millis must not be less than initial_retry_delay_millis`,
      withService({ retry_params: { default: { ...numbers, max_retry_delay_millis: 99 } } })
    ],
    [
      `${at}.retry_params.default.max_rpc_timeout_millis must not be less than initial_rpc_timeout_millis`,
      withService({ retry_params: { default: { ...numbers, max_rpc_timeout_millis: 999 } } })
    ],
    [
      `${at}.retry_params.default.retry_delay_multiplier must be a number, at least 1`,
      withService({ retry_params: { default: { ...numbers, retry_delay_multiplier: 0.9 } } })
    ],
    [`${at}.methods.One must be an object or null`, withService({ methods: { One: 1 } })],
    [
      `${at}.methods.One.timeout_millis must be a number greater than 0`,
      withService({ methods: { One: { timeout_millis: 0 } } })
    ],
    [
      `${at}.methods.One.retry_codes_name must be a string`,
      withService({ methods: { One: { ...retried, retry_codes_name: 1 } } })
    ],
    [
      `${at}.methods.One.retry_codes_name must name a set that there is`,
      withService({ methods: { One: { ...retried, retry_codes_name: "toString" } } })
    ],
    [
      `${at}.methods.One.retry_params_name must name a set that there is`,
      withService({ methods: { One: { ...retried, retry_params_name: "messaging" } } })
    ],
    [
      `${at}.methods.One.retry_params_name is missing beside codes`,
      withService({ methods: { One: { retry_codes_name: "idempotent" } } })
    ]
  ])("%s", (problem, input) => assert.deepStrictEqual(problemsOf(input), [problem]))

  it("with all the others", () => {
    const methods = {
      One: { ...retried, retry_codes_name: "a", retry_params_name: "b" },
      Many: { retry_codes_name: "c" }
    }
    assert.deepStrictEqual(problemsOf(withService({ methods })), [
      `${at}.methods.One.retry_codes_name must name a set that there is`,
      `${at}.methods.One.retry_params_name must name a set that there is`,
      `${at}.methods.Many.retry_codes_name must name a set that there is`
    ])
  })

  it("in the overrides too", () => {
    const overrides = {
      interfaces: { "test.Letters": { methods: { One: { retry_codes_name: "a" }, Two: null } }, "test.Words": {} }
    }
    assert.deepStrictEqual(problemsOf(config, overrides), [
      `overrides.${at}.methods.One.retry_codes_name must name a set that there is`,
      `overrides.${at}.methods.Two must be in the config`,
      'overrides.interfaces["test.Words"] must be in the config'
    ])
    assert.deepStrictEqual(problemsOf(config, "{"), ["overrides must be JSON"])
    assert.deepStrictEqual(problemsOf({}, { interfaces: 1 }), [
      "interfaces is missing",
      "overrides.interfaces must be an object"
    ])
  })

  it("in the error's text", () => {
    const wrong = GapicConfig.make({})
    assert.strictEqual(
      Result.isFailure(wrong) ? wrong.failure.message : "",
      "the client config is wrong: interfaces is missing"
    )
  })
})

describe("overrides", () => {
  const over = (service: object) => ({ interfaces: { "test.Letters": service } })
  const [one] = make(config).methods

  it.each<[string, object, object]>([
    [
      "null takes the retries and leaves the timeout",
      { methods: { One: null } },
      { timeoutMillis: 7000, retry: undefined }
    ],
    ["a timeout replaces the timeout alone", { methods: { One: { timeout_millis: 1 } } }, { ...one, timeoutMillis: 1 }],
    [
      "a name may be one of the config's",
      { methods: { One: { retry_codes_name: "non_idempotent" } } },
      { timeoutMillis: 7000, retry: undefined }
    ],
    [
      "a name may be one of their own",
      { retry_codes: { mine: ["ABORTED"] }, methods: { One: { retry_codes_name: "mine" } } },
      { retry: { codes: ["ABORTED"], params: numbers } }
    ],
    [
      "a set defined anew is new for a method that names it here",
      { retry_codes: { idempotent: [10] }, methods: { One: { retry_codes_name: "idempotent" } } },
      { retry: { codes: ["ABORTED"], params: numbers } }
    ],
    ["a set defined anew changes no other method", { retry_codes: { idempotent: [] } }, { ...one }],
    [
      "nor one that is here but does not name it",
      { retry_params: { default: { ...numbers, total_timeout_millis: 1 } }, methods: { One: {} } },
      { ...one }
    ],
    ["nothing changes nothing", {}, { ...one }]
  ])("%s", (_name, service, expected) => {
    assert.deepInclude(make(config, over(service)).methods[0], expected)
  })

  it("leave the other methods and the config as they were", () => {
    const before = JSON.stringify(config)
    assert.deepStrictEqual(
      make(config, over({ methods: { One: null } })).methods.slice(1),
      make(config).methods.slice(1)
    )
    assert.strictEqual(JSON.stringify(config), before)
  })
})

/** Chance that gives the longest delays. */
const longest = Effect.provideService(Random.Random, {
  nextIntUnsafe: () => 0,
  nextDoubleUnsafe: () => 1 - Number.EPSILON
})
const unlimited = Effect.provide(RetryBudget.layer(Effect.succeed(RetryBudget.infinite)))

describe("a client", () => {
  it.effect("retries a method with codes: the delays, the growing time of attempts, and the time of all", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE")))
      const call = yield* Effect.forkChild(Effect.flip(letters.one("a")))
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.deepStrictEqual(
        seen.slice(0, 5).map(({ at, left }) => [at, Math.round(left)]),
        [
          [0, 1000],
          [100, 1500],
          [300, 2000],
          [600, 2000],
          [900, 2000]
        ]
      )
      // The last attempts have less than they were given, and none begins after the time of all.
      assert.strictEqual(seen.at(-1)!.at, 4800)
      assert.strictEqual(Math.round(seen.at(-1)!.left), 200)
    }).pipe(Effect.provide(GapicConfig.layer(config)), unlimited, longest)
  )

  it.effect("does not retry a method without codes, and gives it its own timeout", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE")))
      yield* Effect.flip(Effect.scoped(letters.many.response("a")))
      assert.deepStrictEqual(seen, [{ at: 0, attempt: 1, left: 3000 }])
    }).pipe(Effect.provide(GapicConfig.layer(config)), unlimited)
  )

  it.effect("a call's own deadline and policy win, and its timeout with its growth", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE")))
      yield* letters
        .one("a")
        .pipe(Retry.withPolicy(Retry.none), CallOptions.withDeadline(90), CallOptions.withTimeout(80), Effect.flip)
      assert.deepStrictEqual(seen, [{ at: 0, attempt: 1, left: 80 }])
    }).pipe(Effect.provide(GapicConfig.layer(config)), unlimited)
  )

  it.effect("a call's own deadline may be later than the time of all attempts", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.fail(failure("UNAVAILABLE")))
      yield* Effect.forkChild(Effect.flip(letters.one("a").pipe(CallOptions.withDeadline("10 seconds"))))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seen.at(-1)!.at, 9900)
    }).pipe(Effect.provide(GapicConfig.layer(config)), unlimited, longest)
  )

  it.effect("with a wrong config is not built", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(GapicConfig.layer({})))
      assert.strictEqual(error._tag, "GapicConfigError")
    })
  )

  it.effect("has its config from the environment", () =>
    Effect.gen(function* () {
      const { letters, seen } = yield* scripted(() => Effect.succeed("a"))
      yield* letters.one("a")
      assert.strictEqual(seen[0]!.left, 1000)
    }).pipe(
      Effect.provide(GapicConfig.layerConfig(Config.String("CLIENT_CONFIG"))),
      Effect.provideService(
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromUnknown({ CLIENT_CONFIG: JSON.stringify(config) })
      )
    )
  )
})

describe("explain", () => {
  it("says of each method what will happen", () => {
    const Many = { timeout_millis: 3000, bundling: null }
    const read = make(withService({ methods: { One: retried, Many } }))
    const { retry } = GapicConfig.policies(read).for({ path: "/test.Letters/One" } as Method.Any)!
    assert.deepStrictEqual(GapicConfig.explain(read).split("\n"), [
      "test.Letters/One",
      "  whole call: at most 5s",
      "  each attempt: at most 1s, growing x1.5 up to 2s",
      "  retried:",
      ...Retry.explain(retry!)
        .split("\n")
        .map((line) => `    ${line}`),
      "test.Letters/Many",
      "  whole call: at most 3s",
      `Not used: ${at}.methods.Many.bundling`
    ])
  })
})
