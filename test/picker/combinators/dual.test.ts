/** Every combinator of picker policies is called with its policy first, or with its options alone in a pipe. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, pipe, Stream } from "effect"
import { ExcludeTried, Locality, Panic, PowerOfTwo, Priority, Sticky, Subset } from "trunkline"
import type { Picker } from "trunkline/extend"
import { ready, run, setOf } from "../../support/peerSets.ts"

type Forms = readonly [first: Picker.PickerPolicy, last: Picker.PickerPolicy]

/** Takes the ready peers in turn, from the first on. */
const self: Picker.PickerPolicy = {
  name: "InTurn",
  load: undefined,
  pickers: Stream.map((set) => {
    let next = 0
    return { pick: () => set.ready[next++ % set.ready.length]! }
  })
}
const zones = { minimumPeers: 2, clients: { a: 1, b: 0 } }

const combinators: Readonly<Record<string, Forms>> = {
  "ExcludeTried.from": [ExcludeTried.from(self), pipe(self, ExcludeTried.from)],
  "Locality.aware": [Locality.aware(self, "a", zones), pipe(self, Locality.aware("a", zones))],
  "Locality.aware without options": [Locality.aware(self, "a"), pipe(self, Locality.aware("a"))],
  "Locality.prefer": [
    Locality.prefer(self, "b", { overprovision: 2 }),
    pipe(self, Locality.prefer("b", { overprovision: 2 }))
  ],
  "Locality.prefer without options": [Locality.prefer(self, "b"), pipe(self, Locality.prefer("b"))],
  "Panic.below": [Panic.below(self, 0.5), pipe(self, Panic.below(0.5))],
  "Priority.failover": [
    Priority.failover(self, { failoverTimeout: "3 seconds" }),
    pipe(self, Priority.failover({ failoverTimeout: "3 seconds" }))
  ],
  "Priority.failover without options": [Priority.failover(self), pipe(self, Priority.failover())],
  "Priority.spill": [Priority.spill(self, { overprovision: 2 }), pipe(self, Priority.spill({ overprovision: 2 }))],
  "Priority.spill without options": [Priority.spill(self), pipe(self, Priority.spill())],
  "Sticky.byKey": [Sticky.byKey(self, { key: () => "k" }), pipe(self, Sticky.byKey({ key: () => "k" }))],
  "Sticky.byKey without options": [Sticky.byKey(self), pipe(self, Sticky.byKey())],
  "Subset.aperture": [
    Subset.aperture(self, { ordinal: 1, clients: 2, size: 2 }),
    pipe(self, Subset.aperture({ ordinal: 1, clients: 2, size: 2 }))
  ],
  "Subset.rendezvous": [
    Subset.rendezvous(self, { size: 2, seed: "s" }),
    pipe(self, Subset.rendezvous({ size: 2, seed: "s" }))
  ]
}

const peers = ["a", "b", "c", "d"].map((name, i) =>
  ready(name, { locality: i < 2 ? "a" : "b", priority: i < 2 ? 0 : 1 })
)

describe("combinators", () => {
  for (const [name, [first, last]] of Object.entries(combinators))
    it.effect(`${name} picks the same peers in both forms`, () =>
      Effect.gen(function* () {
        const picked = []
        for (const policy of [first, last])
          picked.push(Object.keys((yield* run(policy, setOf(peers))).counts(20)).sort())
        assert.deepStrictEqual(picked[1], picked[0])
        assert.isNotEmpty(picked[0]!)
        assert.notInclude(picked[0]!, "Queue")
        assert.strictEqual(last.name, self.name)
      })
    )

  it.effect("stack in a pipe, the innermost first", () =>
    Effect.gen(function* () {
      const policy = pipe(PowerOfTwo.make(), Subset.rendezvous({ size: 2 }), Priority.failover(), Panic.below(0.5))
      const { counts } = yield* run(policy, setOf(peers))
      assert.hasAllKeys(counts(40), ["a", "b"])
    })
  )
})
