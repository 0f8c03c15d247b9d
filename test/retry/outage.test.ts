/** What the default budget makes of an outage: the real client against a server that fails by chance. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { Backoff, Retry, RetryBudget, RoundRobin } from "trunkline"
import { Simulation } from "trunkline/testing"

const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "10 millis", max: "100 millis" }))

/** Attempts per call when there is one each millisecond, four attempts allowed. */
const amplification = (failureRate: number, seconds: number, ...settings: ReadonlyArray<Simulation.Setting>) =>
  Effect.map(
    Simulation.run({
      duration: Duration.seconds(seconds),
      servers: [{ takes: 1, faults: [Simulation.failing({ share: failureRate })] }],
      clients: [
        {
          callsPerSecond: 1000,
          arrivals: "even",
          balancer: { picker: RoundRobin.make() },
          calls: [Retry.withPolicy(Retry.maxAttempts(4)(policy)), ...settings]
        }
      ]
    }),
    (report) => {
      assert.strictEqual(report.calls - report.unfinished, seconds * 1000)
      return report.attempts() / report.calls
    }
  )

describe("attempts per call, at 1,000 calls a second with four attempts allowed", () => {
  it.effect.each([
    [0.1, 1.12],
    [0.5, 1.15],
    [1, 1.02]
  ] as const)(
    "a failure rate of %d costs at most %d",
    ([rate, most]) => Effect.map(amplification(rate, 20), (attempts) => assert.isAtMost(attempts, most)),
    60_000
  )

  it.effect(
    "without a budget an outage would cost four",
    () =>
      Effect.gen(function* () {
        const attempts = yield* amplification(1, 5, Effect.provideService(RetryBudget.Current, RetryBudget.infinite))
        // Those that come after the last second of calls are not among them.
        assert.isAbove(attempts, 3.8)
      }),
    60_000
  )
})
