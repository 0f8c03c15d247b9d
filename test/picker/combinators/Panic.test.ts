import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Panic, RoundRobin } from "trunkline"
import { type Peer, HealthVerdict } from "trunkline/extend"
import { idle, ready, run, setOf } from "../../support/peerSets.ts"

const policy = Panic.below(RoundRobin.make(), 0.5)
const peers = ["a", "b", "c", "d"].map((name) => ready(name))
const ejected = (...names: ReadonlyArray<string>) =>
  new Map<Peer.Peer, HealthVerdict.HealthVerdict>(
    peers.filter(({ id }) => names.includes(id.split(":")[0]!)).map((peer) => [peer, HealthVerdict.ejected("ill")])
  )

describe("Panic", () => {
  it("below 0 is the policy itself", () => {
    const self = RoundRobin.make()
    assert.strictEqual(Panic.below(self, 0), self)
  })

  it.effect("changes nothing while half of the connected peers are well", () =>
    Effect.gen(function* () {
      const { counts, newCall, pick } = yield* run(policy, setOf(peers, ejected("a", "b")))
      assert.deepStrictEqual(counts(10), { c: 5, d: 5 })
      const call = newCall()
      pick(call)
      assert.isFalse(call.panicked)
    })
  )

  it.effect("picks among all connected peers when fewer are, and says so to the call", () =>
    Effect.gen(function* () {
      const { counts, newCall, pick, set } = yield* run(policy, setOf([...peers, idle("e")], ejected("a", "b", "c")))
      assert.deepStrictEqual(counts(12), { a: 3, b: 3, c: 3, d: 3 })
      const call = newCall()
      pick(call)
      assert.isTrue(call.panicked)
      yield* set(setOf(peers, ejected("a")))
      assert.hasAllKeys(counts(12), ["b", "c", "d"])
    })
  )

  it.effect("does not count a peer on probation as well", () =>
    Effect.gen(function* () {
      const verdicts = new Map([...ejected("a", "b"), [peers[2]!, HealthVerdict.probe("was ill")]] as const)
      const { counts } = yield* run(policy, setOf(peers, verdicts))
      assert.hasAllKeys(counts(12), ["a", "b", "c", "d"])
    })
  )

  it.effect("does not invent peers where none is connected", () =>
    Effect.gen(function* () {
      const { pick } = yield* run(policy, setOf([idle("a")]))
      assert.strictEqual(pick(), "Queue")
    })
  )
})
