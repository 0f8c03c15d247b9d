import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import { Priority, RoundRobin } from "trunkline"
import { HealthVerdict } from "trunkline/extend"
import { loads } from "../../../src/picker/combinators/Spillover.ts"
import { idle, isAsked, move, ready, run, settle, setOf } from "../../support/peerSets.ts"

const failover = Priority.failover(RoundRobin.make())
const at = (priority: number) => ({ priority })

describe("failover", () => {
  it.effect("of one group is the policy within it", () =>
    Effect.gen(function* () {
      const { counts } = yield* run(failover, setOf([ready("a"), ready("b")]))
      assert.deepStrictEqual(counts(10), { a: 5, b: 5 })
    })
  )

  it.effect("uses the first group, whatever the order of the peers, and connects no other", () =>
    Effect.gen(function* () {
      const later = idle("z", at(1))
      const { counts } = yield* run(failover, setOf([later, ready("a"), ready("b")]))
      assert.deepStrictEqual(counts(10), { a: 5, b: 5 })
      assert.isFalse(yield* isAsked(later))
    })
  )

  it.effect("waits 10 s for a group that connects, and no longer", () =>
    Effect.gen(function* () {
      const [first, second] = [idle("a"), idle("b", at(1))]
      const { pick, set } = yield* run(failover, setOf([first, second]))
      assert.isTrue(yield* isAsked(first))
      move(first, "Connecting")
      yield* set(setOf([first, second]))
      yield* TestClock.adjust(9999)
      yield* settle
      assert.isFalse(yield* isAsked(second))
      yield* TestClock.adjust(1)
      yield* settle
      assert.isTrue(yield* isAsked(second))
      move(second, "Ready")
      yield* set(setOf([first, second]))
      assert.strictEqual(pick(), "b")
    })
  )

  it.effect("does not wait for a group that has failed, or is kept from calls", () =>
    Effect.gen(function* () {
      for (const out of ["down", "ejected"]) {
        const [first, second] = [ready("a"), idle("b", at(1))]
        const { set } = yield* run(failover, setOf([first, second]))
        assert.isFalse(yield* isAsked(second))
        if (out === "down") move(first, "Down")
        yield* set(setOf([first, second], new Map(out === "down" ? [] : [[first, HealthVerdict.ejected("ill")]])))
        assert.isTrue(yield* isAsked(second), out)
      }
    })
  )

  it.effect("gives a group that was well time to connect again, and one that was failing none", () =>
    Effect.gen(function* () {
      const [first, second] = [ready("a"), ready("b", at(1))]
      const { pick, set } = yield* run(failover, setOf([first, second]))
      const states = (to: "Ready" | "Connecting" | "Down") =>
        Effect.andThen(
          Effect.sync(() => move(first, to)),
          Effect.suspend(() => set(setOf([first, second])))
        )
      yield* states("Connecting")
      assert.strictEqual(pick(), "Queue")
      yield* TestClock.adjust(10_000)
      yield* settle
      assert.strictEqual(pick(), "b")
      // Its time is not extended by trying again.
      yield* states("Down")
      yield* states("Connecting")
      assert.strictEqual(pick(), "b")
      yield* states("Ready")
      assert.strictEqual(pick(), "a")
      yield* states("Connecting")
      assert.strictEqual(pick(), "Queue")
    })
  )

  it.effect("goes back at once, keeps the lower group for 15 minutes, and lets it go", () =>
    Effect.gen(function* () {
      const [first, second] = [move(idle("a"), "Down"), ready("b", at(1))]
      let let_go = 0
      second.requestDisconnect = () => void let_go++
      const { pick, set } = yield* run(failover, setOf([first, second]))
      assert.strictEqual(pick(), "b")
      move(first, "Ready")
      yield* set(setOf([first, second]))
      assert.strictEqual(pick(), "a")
      yield* TestClock.adjust(899_999)
      yield* settle
      assert.strictEqual(let_go, 0)
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(let_go, 1)
    })
  )

  it.effect("never picks a lower group while a higher one is ready, however they move", () =>
    Effect.gen(function* () {
      const peers = [0, 1, 2].flatMap((priority) => ["x", "y"].map((name) => idle(`${name}${priority}`, at(priority))))
      const { pick, set } = yield* run(failover, setOf(peers))
      const states = ["Ready", "Connecting", "Down", "Idle"] as const
      for (let i = 0; i < 300; i++) {
        const peer = peers[yield* Random.nextIntBetween(0, peers.length - 1)]!
        move(peer, states[yield* Random.nextIntBetween(0, 3)]!)
        yield* set(setOf(peers))
        yield* TestClock.adjust((yield* Random.nextIntBetween(0, 3)) * 4000)
        yield* settle
        const best = peers.find(({ status }) => status.state === "Ready")
        const picked = pick()
        // A group that was well a moment ago is waited for; nobody below one that is ready is picked.
        if (picked !== "Queue") assert.strictEqual(picked.slice(1), best?.id.slice(1, 2))
        else if (best !== undefined) {
          yield* TestClock.adjust("31 seconds")
          yield* settle
          assert.strictEqual(pick().slice(1), best.id.slice(1, 2))
        }
      }
    }).pipe(Random.withSeed("priorities"))
  )

  it.effect("waits for the first with hope when all have failed, and stays with the last when none has", () =>
    Effect.gen(function* () {
      const [first, second] = [move(idle("a"), "Down"), move(idle("b", at(1)), "Down")]
      const { pick, set } = yield* run(failover, setOf([first, second]))
      assert.strictEqual(pick(), "Down")
      move(first, "Ready")
      yield* set(setOf([first, second]))
      assert.strictEqual(pick(), "a")
    })
  )
})

describe("spill", () => {
  const table: ReadonlyArray<[shares: ReadonlyArray<number>, loads: ReadonlyArray<number>]> = [
    [
      [1, 1],
      [100, 0]
    ],
    [
      [0.72, 1],
      [100, 0]
    ],
    [
      [0.71, 1],
      [99, 1]
    ],
    [
      [0.5, 1],
      [70, 30]
    ],
    [
      [0.25, 0.25],
      [50, 50]
    ],
    [
      [0.05, 0.65],
      [7, 93]
    ],
    [
      [0, 1],
      [0, 100]
    ],
    [
      [0, 0],
      [0, 0]
    ],
    [
      [0.5, 0.1, 1],
      [70, 14, 16]
    ]
  ]
  it.each(table)("ready shares of %o carry %o percent", (shares, expected) => {
    const parts = loads(shares, 1.4)
    // Envoy rounds down throughout; what that leaves goes to the first group here.
    for (const [i, part] of parts.entries()) assert.approximately(part, expected[i]!, 1)
    assert.include(
      [0, 100],
      parts.reduce((sum, part) => sum + part, 0)
    )
  })

  it.effect("connects the next group when the first has lost too many, and spreads when it is there", () =>
    Effect.gen(function* () {
      const first = ["a", "b", "c", "d"].map((name) => ready(name))
      const next = ["x", "y"].map((name) => idle(name, at(1)))
      const all = [...first, ...next]
      const { counts, set } = yield* run(Priority.spill(RoundRobin.make()), setOf(all))
      assert.isFalse(yield* isAsked(next[0]!))
      move(first[0]!, "Down")
      yield* set(setOf(all))
      assert.deepStrictEqual(counts(30), { b: 10, c: 10, d: 10 })
      assert.isFalse(yield* isAsked(next[0]!))
      move(first[1]!, "Down")
      yield* set(setOf(all))
      assert.isTrue(yield* isAsked(next[0]!))
      // Nobody there yet: nothing is sent where it would wait.
      assert.deepStrictEqual(counts(30), { c: 15, d: 15 })
      for (const peer of next) move(peer, "Ready")
      yield* set(setOf(all))
      const seen = counts(10_000)
      assert.approximately((seen["x"]! + seen["y"]!) / 10_000, 0.3, 0.02)
      for (const peer of first) move(peer, "Down")
      yield* set(setOf(all))
      assert.deepStrictEqual(counts(10), { x: 5, y: 5 })
    }).pipe(Random.withSeed("spill"))
  )
})
