import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { ExcludeTried } from "trunkline"
import type { Picker } from "trunkline/extend"
import { ready, run, setOf } from "../../support/peerSets.ts"

const peers = ["a", "b", "c"].map((name) => ready(name))

/** One that does not look at what a call has tried. */
const first: Picker.PickerPolicy = {
  load: undefined,
  pickers: (sets) => Stream.map(sets, (set) => ({ pick: () => set.ready[0]! }))
}

describe("ExcludeTried", () => {
  it.effect("changes nothing for a call that has failed nowhere, or elsewhere", () =>
    Effect.gen(function* () {
      const { newCall, pick } = yield* run(ExcludeTried.from(first), setOf(peers))
      const call = newCall()
      assert.strictEqual(pick(call), "a")
      call.triedPeers = ["b:1"]
      assert.strictEqual(pick(call), "a")
    })
  )

  it.effect("gives a call that has failed there any of the others, and that one when it has failed everywhere", () =>
    Effect.gen(function* () {
      const { newCall, pick } = yield* run(ExcludeTried.from(first), setOf(peers))
      const call = newCall()
      call.triedPeers = ["a:1"]
      const picked = new Set(Array.from({ length: 50 }, () => pick(call)))
      assert.sameMembers([...picked], ["b", "c"])
      call.triedPeers = ["a:1", "b:1"]
      assert.strictEqual(pick(call), "c")
      call.triedPeers = ["a:1", "b:1", "c:1"]
      assert.strictEqual(pick(call), "a")
    })
  )

  it.effect("knows who is ready now", () =>
    Effect.gen(function* () {
      const { newCall, pick, set } = yield* run(ExcludeTried.from(first), setOf(peers))
      yield* set(setOf([peers[0]!, peers[2]!]))
      const call = newCall()
      call.triedPeers = ["a:1"]
      assert.strictEqual(pick(call), "c")
    })
  )
})
