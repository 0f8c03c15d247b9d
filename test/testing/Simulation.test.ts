/** That the simulated world is right: what theory says of queues, exact times of what goes wrong, and the same each time. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Random } from "effect"
import { Backoff, CallOptions, Hedge, LeastPending, Retry, RetryBudget, RoundRobin } from "trunkline"
import { Picker } from "trunkline/extend"
import { Simulation } from "trunkline/testing"

const roundRobin = { picker: RoundRobin.make() }
const seconds = (n: number) => Duration.seconds(n)

/** A call each 100 ms, from somewhere in the first 100 ms on. */
const steady: Simulation.Client = { callsPerSecond: 10, arrivals: "even", balancer: roundRobin }

const log = (report: Simulation.Report) => [...report.log()]

const near = (actual: number, expected: number, part: number): void =>
  assert.isBelow(Math.abs(actual - expected), part * expected, `${actual} is not ${expected}`)

describe("what theory says", () => {
  // Erlang C for three servers at 0.8: a wait of C / (c mu - lambda), with C = 0.6472.
  it.effect.each([
    ["M/M/1 at 0.5", 1, 0.5, 2],
    ["M/M/1 at 0.8", 1, 0.8, 5],
    ["M/M/3 at 0.8", 3, 2.4, 1 + 0.6472 / 0.6],
    ["M/M/infinity", Infinity, 20, 1]
  ] as const)("%s takes as long as it should", ([, atOnce, callsPerSecond, expected]) =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        duration: 60_000_000 / callsPerSecond,
        drain: "1 day",
        servers: [{ takes: Simulation.exponential("1 second"), atOnce }],
        clients: [{ callsPerSecond, balancer: roundRobin }]
      })
      near(report.calls, 60_000, 0.02)
      near(report.mean, expected * 1000, 0.06)
    })
  )

  it.effect("M/D/1 waits half as long as M/M/1", () =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        duration: seconds(50_000),
        servers: [{ takes: "1 second", atOnce: 1 }],
        clients: [{ callsPerSecond: 0.8, balancer: roundRobin }]
      })
      near(report.mean, 3000, 0.06)
    })
  )

  it.effect("as many calls are under way as arrive in the time one takes (Little's law)", () =>
    Effect.gen(function* () {
      const takes = Simulation.exponential("100 millis")
      const report = yield* Simulation.run({
        duration: seconds(300),
        servers: [
          { takes, atOnce: 1 },
          { takes, atOnce: 2 }
        ],
        clients: [{ callsPerSecond: 15, balancer: { picker: LeastPending.make() } }]
      })
      const calls = log(report)
      let underWay = 0
      const looks = 3000
      for (let i = 0; i < looks; i++) {
        const now = 50 + i * 100
        underWay += calls.filter(({ at, elapsed }) => at <= now && now < at + elapsed).length
      }
      near(underWay / looks, (report.calls / 300) * (report.mean / 1000), 0.03)
    })
  )

  it("chances have the means they say", () => {
    const random = Effect.runSync(Random.Random.pipe(Random.withSeed("chances")))
    const chance = () => random.nextDoubleUnsafe()
    const sample = (times: Simulation.Times) => {
      const values = Array.from({ length: 50_000 }, () => times(chance))
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) }
    }
    assert.deepStrictEqual(sample(Simulation.constant("2 seconds")), { mean: 2000, deviation: 0 })
    const normal = sample(Simulation.normal(100, 10))
    near(normal.mean, 100, 0.01)
    near(normal.deviation, 10, 0.02)
    const exponential = sample(Simulation.exponential(100))
    near(exponential.mean, 100, 0.02)
    near(exponential.deviation, 100, 0.02)
    const uniform = sample(Simulation.uniform(100, 200))
    near(uniform.mean, 150, 0.01)
    near(uniform.deviation, 100 / Math.sqrt(12), 0.02)
  })
})

describe("a run", () => {
  const lively = (seed: number, balancer?: Simulation.Client["balancer"]) =>
    Simulation.run({
      seed,
      duration: seconds(5),
      servers: [
        { takes: Simulation.exponential("20 millis"), atOnce: 2 },
        {
          takes: Simulation.exponential("20 millis"),
          faults: [Simulation.frozen({ from: seconds(1), to: seconds(2) })]
        },
        { takes: "10 millis", faults: [Simulation.failing({ from: seconds(3), share: 0.5 })] },
        { takes: "10 millis", faults: [Simulation.down({ from: seconds(2), to: seconds(4) })], joins: seconds(1) }
      ],
      clients: Array.from({ length: 3 }, () => ({
        callsPerSecond: 50,
        balancer,
        calls: [
          CallOptions.withDeadline("500 millis"),
          Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "10 millis" })))
        ]
      }))
    })

  it.effect("with one seed is the same each time, to the nanosecond", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* lively(1), yield* lively(1)]
      assert.isAbove(one.calls, 600)
      assert.isAbove(one.errors.get("DEADLINE_EXCEEDED") ?? 0, 0)
      assert.deepStrictEqual(log(one), log(other))
      assert.deepStrictEqual(
        one.servers.map((server) => one.attempts(server)),
        other.servers.map((server) => other.attempts(server))
      )
    })
  )

  it.effect("with another seed is another", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* lively(1), yield* lively(2)]
      assert.notDeepEqual(log(one).slice(0, 5), log(other).slice(0, 5))
    })
  )

  it.effect("has the same arrivals for another policy", () =>
    Effect.gen(function* () {
      const arrivals = (report: Simulation.Report) => log(report).map(({ at, client }) => [at, client])
      const [one, other] = [yield* lively(1), yield* lively(1, roundRobin)]
      assert.deepStrictEqual(arrivals(one), arrivals(other))
      assert.notDeepEqual(log(one), log(other))
    })
  )

  it.effect("loses no call: what began has ended, or is counted as not", () =>
    Effect.gen(function* () {
      const whole = yield* lively(3)
      const errors = [...whole.errors.values()].reduce((sum, count) => sum + count, 0)
      assert.strictEqual(whole.unfinished, 0)
      assert.strictEqual(whole.succeeded + errors, whole.calls)
      assert.isAbove(whole.attempts(), whole.calls)
      assert.strictEqual(
        whole.servers.reduce((sum, server) => sum + whole.attempts(server), 0),
        whole.attempts()
      )
      const slices = whole.every("100 millis")
      assert.strictEqual(
        slices.reduce((sum, slice) => sum + slice.calls, 0),
        whole.calls
      )

      const stuck = yield* Simulation.run({
        duration: seconds(2),
        drain: seconds(1),
        servers: [{ takes: "10 millis", faults: [Simulation.frozen({ from: 1050 })] }],
        clients: [steady]
      })
      assert.deepStrictEqual([stuck.calls, stuck.succeeded, stuck.unfinished], [20, 10, 10])
    })
  )

  it.effect("counts each of many clients", () =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        duration: seconds(10),
        servers: [{ takes: 1 }],
        clients: [steady, { ...steady, callsPerSecond: 20 }]
      })
      const of = (client: number) => log(report).filter((call) => call.client === client).length
      assert.deepStrictEqual([of(0), of(1)], [100, 200])
    })
  )

  it.effect("dies with the defect of a policy", () =>
    Effect.gen(function* () {
      const broken = Picker.overReady(() => ({
        pick: () => {
          throw new Error("no idea")
        }
      }))
      const exit = yield* Effect.exit(
        Simulation.run({
          duration: seconds(1),
          servers: [{ takes: 1 }],
          clients: [{ ...steady, balancer: { picker: broken } }]
        })
      )
      assert.isTrue(Exit.hasDies(exit))
    })
  )
})

describe("a server", () => {
  /** The latencies of a call each 100 ms to one server. */
  const latencies = (server: Simulation.Server, options?: Partial<Simulation.Client>) =>
    Effect.map(
      Simulation.run({ duration: seconds(1), servers: [server], clients: [{ ...steady, ...options }] }),
      (report) => log(report).map(({ elapsed, status }) => (status === "OK" ? Math.round(elapsed * 1e3) / 1e3 : status))
    )
  const ten = (value: number | string) => Array.from({ length: 10 }, () => value)

  it.effect("takes the time it takes, however many calls it has", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* latencies({ takes: "150 millis" }), ten(150))
    })
  )

  it.effect("with a limit works on calls in turn", () =>
    Effect.gen(function* () {
      const expected = Array.from({ length: 10 }, (_, i) => 150 + 50 * i)
      assert.deepStrictEqual(yield* latencies({ takes: "150 millis", atOnce: 1 }), expected)
    })
  )

  it.effect("that is frozen goes on where it was", () =>
    Effect.gen(function* () {
      const faults = [Simulation.frozen({ from: 350, to: 650 })]
      const seen = yield* latencies({ takes: "20 millis", faults })
      assert.deepStrictEqual(seen.slice(0, 3), [20, 20, 20])
      assert.deepStrictEqual(seen.slice(6), [20, 20, 20, 20])
      // Three calls came meanwhile, each 100 ms after the last; nothing was done of them.
      const [first, second, third] = seen.slice(3, 6) as ReadonlyArray<number>
      near(first! - second!, 100, 0.001)
      near(second! - third!, 100, 0.001)
      const under = yield* latencies({ takes: "250 millis", faults: [Simulation.frozen({ from: 300, to: 400 })] })
      assert.deepStrictEqual([...under.slice(0, 3), under.at(-1)], [350, 350, 350, 250])
    })
  )

  it.effect("that is slow is so for what it begins meanwhile", () =>
    Effect.gen(function* () {
      const slower = Simulation.slower(3, { from: 300, to: 600 })
      const usual = [20, 20, 20]
      assert.deepStrictEqual(yield* latencies({ takes: 20, faults: [slower] }), [...usual, 60, 60, 60, ...usual, 20])
      const taking = Simulation.taking("1 second", { from: 300, to: 600 })
      assert.deepStrictEqual(yield* latencies({ takes: 20, faults: [taking] }), [
        ...usual,
        1000,
        1000,
        1000,
        ...usual,
        20
      ])
    })
  )

  it.effect("that fails does not keep anybody in line", () =>
    Effect.gen(function* () {
      const faults = [Simulation.failing({ from: 300, to: 500, code: "INTERNAL", takes: 5 })]
      const seen = yield* latencies({ takes: 20, atOnce: 1, faults })
      assert.deepStrictEqual(seen, [20, 20, 20, "INTERNAL", "INTERNAL", 20, 20, 20, 20, 20])
      const half = yield* Simulation.run({
        duration: seconds(100),
        servers: [{ takes: 1, faults: [Simulation.failing({ share: 0.3 })] }],
        clients: [steady]
      })
      near(half.errors.get("UNAVAILABLE")!, 300, 0.15)
    })
  )

  it.effect("that goes down takes its calls with it, and is connected to again", () =>
    Effect.gen(function* () {
      const faults = [Simulation.down({ from: seconds(1), to: seconds(2) })]
      const report = yield* Simulation.run({
        duration: seconds(10),
        servers: [{ takes: "150 millis", faults }],
        clients: [{ ...steady, calls: [CallOptions.withDeadline("200 millis")] }]
      })
      assert.strictEqual(report.between(0, 850).successRate, 1)
      // One or two were under way.
      const lost = report.between(850, 1000)
      assert.strictEqual(lost.errors.get("UNAVAILABLE"), lost.calls)
      assert.strictEqual(report.between(1000, 2000).attempts(), 0)
      assert.strictEqual(report.between(1000, 1700).errors.get("UNAVAILABLE"), 7)
      assert.strictEqual(report.between(seconds(5), seconds(10)).successRate, 1)
    })
  )

  it.effect("ends no call after its deadline", () =>
    Effect.gen(function* () {
      const calls = [CallOptions.withDeadline("100 millis")]
      assert.deepStrictEqual(yield* latencies({ takes: "100.001 millis" }, { calls }), ten("DEADLINE_EXCEEDED"))
      assert.deepStrictEqual(yield* latencies({ takes: "99.999 millis" }, { calls }), ten(99.999))
    })
  )

  it.effect("that leaves ends the calls it has, and one that joins gets its share", () =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        duration: seconds(3),
        servers: [
          { takes: "250 millis", leaves: seconds(1) },
          { takes: "250 millis", joins: seconds(1), leaves: seconds(2) },
          { takes: "250 millis", joins: seconds(1), weight: 3 }
        ],
        clients: [steady]
      })
      const shares = report.every(seconds(1)).map((slice) => slice.servers.map((server) => slice.attempts(server)))
      assert.strictEqual(report.successRate, 1)
      assert.deepStrictEqual(shares, [
        [10, 0, 0],
        [0, 5, 5],
        [0, 0, 10]
      ])
    })
  )
})

describe("the real client's policies", () => {
  const always = Simulation.failing({})

  it.effect("retry, as often as their budget says", () =>
    Effect.gen(function* () {
      const attempts = (budget: RetryBudget.RetryBudget) =>
        Effect.map(
          Simulation.run({
            duration: seconds(10),
            servers: [{ takes: 1, faults: [always] }],
            clients: [
              {
                ...steady,
                calls: [
                  Retry.withPolicy(Retry.maxAttempts(4)(Retry.onCodes(["UNAVAILABLE"], Backoff.exponential()))),
                  Effect.provideService(RetryBudget.Current, budget)
                ]
              }
            ]
          }),
          (report) => report.attempts()
        )
      // The last attempts come after the last second of calls.
      assert.isAbove(yield* attempts(RetryBudget.infinite), 300)
      assert.strictEqual(yield* attempts(RetryBudget.empty), 100)
    })
  )

  it.effect("hedge, and take the loser away", () =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        duration: seconds(10),
        servers: [
          { takes: "300 millis", atOnce: 1 },
          { takes: 5, atOnce: 1 }
        ],
        clients: [
          {
            ...steady,
            calls: [
              Hedge.withHedge(Hedge.make({ after: "50 millis" })),
              Effect.provideService(RetryBudget.Current, RetryBudget.infinite)
            ]
          }
        ]
      })
      assert.strictEqual(report.successRate, 1)
      assert.isBelow(report.percentile(1), 56)
      assert.isAbove(report.attempts(), 140)
    })
  )
})

describe("a report", () => {
  it.effect("counts a failure as slower than any answer", () =>
    Effect.gen(function* () {
      const report = yield* Simulation.run({
        duration: seconds(1),
        servers: [{ takes: 20, faults: [Simulation.failing({ from: 800 })] }],
        clients: [steady]
      })
      assert.strictEqual(report.successRate, 0.8)
      near(report.percentile(0.8), 20, 0.001)
      assert.strictEqual(report.percentile(0.81), Infinity)
      assert.strictEqual(report.within(10), 0)
      assert.strictEqual(report.within(20.001), 0.8)
      near(report.mean, 20, 0.001)
    })
  )
})
