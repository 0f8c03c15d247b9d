/** What the default budget makes of an outage: the real loop and budget, a transport that fails by chance, no real time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import { Backoff, Retry, RetryBudget } from "trunkline"
import { scripted, unavailable } from "./scripted.ts"

const callsPerSecond = 1000
const seconds = 20

/** Twenty seconds of calls, one each millisecond, four attempts allowed. */
const simulate = Effect.fnUntraced(function* (failureRate: number) {
  const random = yield* Random.Random
  const { letters, seen } = yield* scripted(() =>
    Effect.suspend(() => (random.nextDoubleUnsafe() < failureRate ? Effect.fail(unavailable) : Effect.succeed("done")))
  )
  const policy = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "10 millis", max: "100 millis" }))
  const call = Effect.exit(letters.one("a")).pipe(Retry.withPolicy(Retry.maxAttempts(4)(policy)))
  let ended = 0
  const counted = Effect.andThen(
    call,
    Effect.sync(() => ended++)
  )
  for (let i = 0; i < callsPerSecond * seconds; i++) {
    yield* Effect.forkChild(counted, { startImmediately: true })
    yield* TestClock.adjust(1)
  }
  yield* TestClock.adjust("1 minute")
  assert.strictEqual(ended, callsPerSecond * seconds)
  return seen.length / ended
})

describe("attempts per call, at 1,000 calls a second with four attempts allowed", () => {
  const seeded = Random.withSeed("outage")

  it.effect.each([
    [0.1, 1.12],
    [0.5, 1.15],
    [1, 1.02]
  ] as const)(
    "a failure rate of %d costs at most %d",
    ([rate, most]) => Effect.map(simulate(rate), (amplification) => assert.isAtMost(amplification, most)).pipe(seeded),
    60_000
  )

  it.effect(
    "without a budget an outage would cost four",
    () =>
      Effect.gen(function* () {
        const amplification = yield* simulate(1).pipe(Effect.provideService(RetryBudget.Current, RetryBudget.infinite))
        assert.strictEqual(amplification, 4)
      }).pipe(seeded),
    60_000
  )
})
