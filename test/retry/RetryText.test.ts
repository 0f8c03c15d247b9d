import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Random } from "effect"
import { Backoff, Retry, RpcError } from "trunkline"
import { Jitter } from "trunkline/extend"
import { always, highest, timeline } from "../support/timeline.ts"

const backoff = Backoff.exponential({ initial: 100, max: 400 })

describe("Retry.describe", () => {
  it("is the same as data", () => {
    const policy = Retry.onCodes(["ABORTED", "UNAVAILABLE"], backoff).pipe(Retry.maxAttempts(3))
    const millis = (range: Retry.Delay) => [Duration.toMillis(range.min), Duration.toMillis(range.max)]
    const { notRetried, retriesPermanent, rules, unknown } = Retry.describe(policy)
    assert.deepStrictEqual(
      rules.map(({ attempts, delays, on, pushback, total }) => ({
        on,
        attempts,
        delays: delays.map(millis),
        total,
        pushback: { ...pushback, longest: Duration.toMillis(pushback.longest!) }
      })),
      [
        {
          on: ["ABORTED", "UNAVAILABLE"],
          attempts: 3,
          delays: [
            [1e-6, 100],
            [1e-6, 200]
          ],
          total: undefined,
          pushback: { stops: true, longest: 400, restarts: true }
        }
      ]
    )
    assert.strictEqual(notRetried.length, 14)
    assert.isFalse(retriesPermanent)
    assert.deepStrictEqual(unknown, [])
  })

  it("uses nothing up: the policy does the same afterwards, and the same is said twice", () => {
    const policy = Retry.onCodes(["ABORTED"], backoff).pipe(Retry.maxAttempts(3))
    assert.strictEqual(Retry.explain(policy), Retry.explain(policy))
  })

  it.effect("says what happens: random policies keep within what is told of them", () =>
    Effect.gen(function* () {
      for (let run = 0; run < 60; run++) {
        const attempts = yield* Random.nextIntBetween(2, 8)
        const total = yield* Random.nextIntBetween(1, 20_000)
        const jitter = [Jitter.full, Jitter.equal, Jitter.none, Jitter.proportional(0.2)][run % 4]!
        const policy = Retry.onCodes(
          ["ABORTED"],
          Backoff.exponential({
            initial: yield* Random.nextIntBetween(1, 1000),
            max: yield* Random.nextIntBetween(1000, 5000),
            multiplier: 1 + 3 * (yield* Random.next),
            jitter
          })
        ).pipe(Retry.maxAttempts(attempts), Retry.totalTimeout(total))
        const rule = Retry.describe(policy).rules[0]
        const errors = Array.from({ length: 10 }, () => RpcError.make("ABORTED", "x"))
        for (const dice of [always(0), highest, always(yield* Random.next)]) {
          const { attempts, sleeps } = yield* dice(timeline(policy, errors))
          if (rule === undefined) {
            assert.strictEqual(attempts, 1)
            continue
          }
          assert.isAtMost(attempts, rule.attempts)
          let now = 0
          for (const [i, sleep] of sleeps.entries()) {
            const { max, min } = rule.delays[Math.min(i, rule.delays.length - 1)]!
            assert.isAtLeast(sleep, Duration.toMillis(min) - 1e-6)
            assert.isAtMost(sleep, Duration.toMillis(max) + 1e-6)
            now += sleep
          }
          assert.isAtMost(now, Duration.toMillis(rule.total!) + 1e-6)
        }
      }
    }).pipe(Random.withSeed("explained"))
  )
})
