import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import { FailureAccrual } from "trunkline"
import type { Outcome } from "trunkline/extend"
import { Breaker, delay } from "../../src/signals/Breaker.ts"
import { connect, connected, detect, disconnect, settle } from "../support/detect.ts"

const delays = { first: 5000, max: 300_000 }
const outcomes = ["success", "failure", "rejected", "ignorable"] as const
const outcome = Schema.Literals(outcomes)

/** What a policy says after each of some outcomes, at instants of their own. */
const counted = (policy: FailureAccrual.Policy, ...events: ReadonlyArray<readonly [Outcome.Outcome, at?: number]>) => {
  const counter = policy.counter()
  return events.map(([outcome, at = 0]) => counter.count(outcome, at) !== undefined)
}
const times = (outcome: Outcome.Outcome, count: number, at = 0) =>
  Array.from({ length: count }, () => [outcome, at] as const)

describe("consecutive", () => {
  it("trips at the n-th failure in a row, and a success starts the row anew", () => {
    const policy = FailureAccrual.consecutive(3)
    assert.deepStrictEqual(counted(policy, ...times("failure", 3)), [false, false, true])
    assert.deepStrictEqual(
      counted(policy, ...times("failure", 2), ["success"], ...times("failure", 3)).lastIndexOf(false),
      4
    )
  })

  it("neither counts nor forgets for a rejection or a call that was left", () => {
    const policy = FailureAccrual.consecutive(2)
    assert.deepStrictEqual(counted(policy, ["failure"], ["rejected"], ["ignorable"], ["failure"]), [
      false,
      false,
      false,
      true
    ])
    assert.notInclude(counted(policy, ...times("rejected", 100)), true)
  })
})

describe("successRate", () => {
  const policy = FailureAccrual.successRate()

  it("trips below 80 %, not at it", () => {
    assert.notInclude(counted(policy, ...times("success", 8), ...times("failure", 2)), true)
    assert.isTrue(counted(policy, ...times("success", 8), ...times("failure", 3)).at(-1))
  })

  it("says nothing of fewer than 5 calls", () => {
    assert.deepStrictEqual(counted(policy, ...times("failure", 5)), [false, false, false, false, true])
  })

  it("counts rejections, and not calls that were left", () => {
    assert.isTrue(counted(policy, ...times("success", 5), ...times("rejected", 2)).at(-1))
    assert.notInclude(counted(policy, ...times("success", 5), ...times("ignorable", 50), ["failure"]), true)
  })

  it("looks back 10 seconds, in buckets of one", () => {
    // The successes are in the bucket of second 0: it is looked at until second 10 begins.
    const good = times("success", 16, 0)
    assert.notInclude(counted(policy, ...good, ...times("failure", 4, 9999)), true)
    assert.isTrue(counted(policy, ...good, ...times("failure", 5, 10_000)).at(-1))
  })

  it("notices a short burst that an average over time would hide", () => {
    assert.isTrue(counted(policy, ...times("success", 20, 0), ...times("failure", 6, 5000)).at(-1))
  })

  it.effect.prop(
    "is the exact share over the window, for any history",
    {
      events: Schema.Array(Schema.Tuple([outcome, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3000 }))]))
    },
    ({ events }) =>
      Effect.sync(() => {
        const counter = policy.counter()
        const past: Array<readonly [good: boolean, second: number]> = []
        let now = 0
        for (const [outcome, pause] of events) {
          now += pause
          if (outcome !== "ignorable") past.push([outcome === "success", Math.floor(now / 1000)])
          const recent = past.filter(([, second]) => second > Math.floor(now / 1000) - 10)
          const good = recent.filter(([good]) => good).length
          const trips = recent.length >= 5 && good < 0.8 * recent.length
          const said = counter.count(outcome, now) !== undefined
          // It is only asked by what went wrong.
          assert.strictEqual(said, trips && (outcome === "failure" || outcome === "rejected"))
        }
      })
  )
})

describe("orElse", () => {
  it("trips when either does, and both keep count", () => {
    const either = FailureAccrual.orElse(FailureAccrual.consecutive(3), FailureAccrual.successRate({ minimum: 10 }))
    assert.isTrue(counted(either, ...times("failure", 3)).at(-1))
    const mixed = Array.from({ length: 10 }, (_, i) => [i % 2 === 0 ? "success" : "failure"] as const)
    assert.isTrue(counted(either, ...mixed).at(-1))
    assert.notInclude(counted(either, ...mixed.slice(0, 9)), true)
  })
})

describe("the delay", () => {
  const table: ReadonlyArray<[failed: number, least: number, most: number]> = [
    [0, 5000, 10_000],
    [1, 10_000, 20_000],
    [2, 20_000, 40_000],
    [4, 80_000, 160_000],
    [5, 150_000, 300_000],
    [50, 150_000, 300_000]
  ]
  it.each(table)("after %i failed tries is from %i to %i ms", (failed, least, most) => {
    assert.strictEqual(delay(delays, failed, 0), least)
    assert.approximately(delay(delays, failed, 1 - 1e-12), most, 1e-3)
  })
})

describe("a breaker", () => {
  const step = Schema.Union([
    Schema.Tuple([outcome, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4000 }))]),
    Schema.Tuple([Schema.Literal("time"), Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20_000 }))]),
    Schema.Tuple([Schema.Literal("reconnected"), Schema.Literal(0)])
  ])

  it.effect.prop("keeps its promises in any history", { steps: Schema.Array(step) }, ({ steps }) =>
    Effect.sync(() => {
      const breaker = new Breaker(FailureAccrual.consecutive(2).counter(), delays)
      let now = 0
      let row = 0
      let failedProbes = 0
      for (const [event, millis] of steps) {
        const before = { phase: breaker.phase, since: breaker.since, verdict: breaker.verdict, until: breaker.until }
        if (event === "time") {
          now += millis
          breaker.advance(now)
          const due = before.phase === "open" && now >= before.until
          assert.strictEqual(breaker.phase, due ? "probing" : before.phase)
        } else if (event === "reconnected") {
          breaker.reconnected(now)
          assert.strictEqual(breaker.phase, before.phase)
          if (before.phase === "probing") assert.notStrictEqual(breaker.verdict, before.verdict, "lets another through")
          if (before.phase === "closed") row = 0
        } else {
          const start = now - millis
          const changed = breaker.observe(event, start, now, () => 0.5)
          assert.strictEqual(changed, breaker.phase !== before.phase || breaker.verdict !== before.verdict)
          if (before.phase === "open") assert.isFalse(changed)
          if (before.phase === "closed") {
            row = event === "success" ? 0 : event === "failure" ? row + 1 : row
            assert.strictEqual(breaker.phase, row >= 2 ? "open" : "closed")
          }
          if (before.phase === "probing") {
            if (start < before.since) assert.isFalse(changed)
            else if (event === "success") assert.strictEqual(breaker.phase, "closed")
            else if (event === "ignorable") assert.notStrictEqual(breaker.verdict, before.verdict)
            else {
              failedProbes++
              assert.strictEqual(breaker.phase, "open")
            }
          }
          if (breaker.phase === "open" && before.phase !== "open") {
            const half = Math.min(5000 * 2 ** failedProbes, 150_000)
            assert.strictEqual(breaker.until - now, half * 1.5)
            row = 0
          }
          if (breaker.phase === "closed" && before.phase !== "closed") {
            row = 0
            failedProbes = 0
          }
        }
        const status = { closed: undefined, open: "Ejected", probing: "Probe" }[breaker.phase]
        assert.strictEqual(breaker.verdict?.status, status)
      }
    })
  )
})

describe("the signal", () => {
  const seeded = Random.withSeed("accrual")

  it.effect("ejects at the fifth failure in a row, lets one call try after the delay, and revives by its success", () =>
    Effect.gen(function* () {
      const peer = connected("a:1")
      const { finish, statusOf, verdictOf } = yield* detect(FailureAccrual.make(), peer)
      yield* TestClock.adjust(1000)
      yield* finish(peer, "failure", 4)
      assert.strictEqual(statusOf(peer), "Ready")
      yield* finish(peer, "failure")
      const { cause, status, until } = verdictOf(peer)!
      assert.deepStrictEqual([status, cause], ["Ejected", "5 failures in a row"])
      assert.isTrue(until >= 6000 && until <= 11_000)
      yield* TestClock.setTime(Math.ceil(until) - 1)
      assert.strictEqual(statusOf(peer), "Ejected")
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(statusOf(peer), "Probe")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(statusOf(peer), "Probe")
      yield* finish(peer, "success")
      assert.strictEqual(verdictOf(peer), undefined)
      // And the count begins anew.
      yield* finish(peer, "failure", 4)
      assert.strictEqual(statusOf(peer), "Ready")
    }).pipe(seeded)
  )

  it.effect("doubles the delay after each failed try, up to 5 minutes, and starts over after a success", () =>
    Effect.gen(function* () {
      const peer = connected("a:1")
      const { finish, verdictOf } = yield* detect(FailureAccrual.make(), peer)
      yield* finish(peer, "failure", 5)
      const delays: Array<number> = []
      let now = 0
      for (let i = 0; i < 9; i++) {
        const { until } = verdictOf(peer)!
        delays.push(until - now)
        now = Math.ceil(until) + 1
        yield* TestClock.setTime(now)
        yield* settle
        assert.strictEqual(verdictOf(peer)!.status, "Probe")
        yield* finish(peer, i % 2 === 0 ? "failure" : "rejected")
      }
      for (const [i, delay] of delays.entries()) {
        const half = Math.min(5000 * 2 ** i, 150_000)
        assert.isTrue(delay >= half && delay <= 2 * half, `${i}: ${delay}`)
      }
      assert.isAbove(new Set(delays.map((delay, i) => delay / Math.min(5000 * 2 ** i, 150_000))).size, 5)
      yield* TestClock.setTime(Math.ceil(verdictOf(peer)!.until) + 1)
      yield* settle
      yield* finish(peer, "success")
      yield* finish(peer, "failure", 5)
      assert.isAtMost(verdictOf(peer)!.until - now - 300_000, 10_002)
    }).pipe(seeded)
  )

  it.effect("does not take the end of an older call for that of the one it let through", () =>
    Effect.gen(function* () {
      const peer = connected("a:1")
      const { finish, statusOf, verdictOf } = yield* detect(FailureAccrual.make(), peer)
      yield* finish(peer, "failure", 5)
      yield* TestClock.setTime(Math.ceil(verdictOf(peer)!.until) + 100)
      yield* settle
      const probe = verdictOf(peer)
      yield* finish(peer, "failure", 3, 5000)
      yield* finish(peer, "success", 3, 5000)
      assert.strictEqual(verdictOf(peer), probe)
      yield* finish(peer, "success", 1, 50)
      assert.strictEqual(statusOf(peer), "Ready")
    })
  )

  it.effect("lets another call through when the first was left, or lost with its connection", () =>
    Effect.gen(function* () {
      const peer = connected("a:1")
      const { finish, tell, verdictOf } = yield* detect(FailureAccrual.make(), peer)
      yield* finish(peer, "failure", 5)
      yield* TestClock.setTime(Math.ceil(verdictOf(peer)!.until) + 1)
      yield* settle
      const first = verdictOf(peer)
      yield* finish(peer, "ignorable")
      const second = verdictOf(peer)
      disconnect(peer)
      yield* tell()
      assert.strictEqual(verdictOf(peer), second)
      connect(peer)
      yield* tell()
      const third = verdictOf(peer)
      for (const verdict of [first, second, third]) assert.strictEqual(verdict?.status, "Probe")
      assert.strictEqual(new Set([first, second, third]).size, 3)
    })
  )

  it.effect("counts each peer and each connection for itself, and forgets who left", () =>
    Effect.gen(function* () {
      const [a, b] = [connected("a:1"), connected("b:1")]
      const { finish, statusOf, tell } = yield* detect(FailureAccrual.make(), a, b)
      yield* finish(a, "failure", 4)
      yield* finish(b, "failure", 4)
      disconnect(a)
      connect(a)
      yield* tell()
      yield* finish(a, "failure", 4)
      assert.strictEqual(statusOf(a), "Ready")
      yield* finish(b, "failure", 1)
      assert.strictEqual(statusOf(b), "Ejected")
      yield* tell([a])
      yield* finish(b, "failure", 10)
      yield* tell([a, b])
      assert.strictEqual(statusOf(b), "Ready")
    })
  )

  it.effect("of two pools does not eject together", () =>
    Effect.gen(function* () {
      const untils = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        Effect.fnUntraced(function* () {
          const peer = connected("a:1")
          const { finish, verdictOf } = yield* detect(FailureAccrual.make(), peer)
          yield* finish(peer, "failure", 5)
          return verdictOf(peer)!.until
        })
      )
      assert.strictEqual(new Set(untils).size, 20)
    }).pipe(seeded)
  )
})
