import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { HashKey, RoundRobin, Sticky } from "trunkline"
import { Picker } from "trunkline/extend"
import { callWith, peerAt, pickersOf, setOf, start } from "../../support/peers.ts"

const call = (hashKey: string | Uint8Array | undefined, tried: ReadonlyArray<string> = []) => {
  const made = callWith({ hashKey })
  made.triedPeers = tried
  return made
}

/** A sticky policy at work over some peers. */
const open = Effect.fnUntraced(function* (options: Sticky.Options | undefined, ...names: ReadonlyArray<string>) {
  const { give, latest } = yield* start(Sticky.byKey(RoundRobin.make(), options), setOf(...names.map((n) => peerAt(n))))
  const where = (key: string | Uint8Array | undefined, now = 0, tried?: ReadonlyArray<string>) => {
    const picked = latest().pick(call(key, tried), now)
    return picked._tag === "Peer" ? picked.id : picked._tag
  }
  return { give, where }
})

describe("Sticky", () => {
  it.effect("the first call of a key is picked for, the others follow it", () =>
    Effect.gen(function* () {
      const { where } = yield* open(undefined, "a", "b", "c")
      const keys = ["ada", "grace", "edsger"]
      const homes = keys.map((key) => where(key))
      assert.strictEqual(new Set(homes).size, 3)
      for (let i = 0; i < 10; i++)
        assert.deepStrictEqual(
          keys.map((key) => where(key)),
          homes
        )
      // Calls without a key go round as before.
      assert.strictEqual(new Set([where(undefined), where(undefined), where(undefined)]).size, 3)
    })
  )

  it.effect("moves when its peer is not ready any more, and stays there when it is again", () =>
    Effect.gen(function* () {
      const [a, b] = [peerAt("a"), peerAt("b")]
      const { give, latest } = yield* start(Sticky.byKey(RoundRobin.make()), setOf(a, b))
      const home = latest().pick(call("ada"), 0)
      const other = home === a ? b : a
      yield* give(setOf(other))
      assert.strictEqual(latest().pick(call("ada"), 0), other)
      yield* give(setOf(a, b))
      assert.strictEqual(latest().pick(call("ada"), 0), other)
    })
  )

  it.effect("is not bound while nobody is ready", () =>
    Effect.gen(function* () {
      const { give, latest } = yield* start(Sticky.byKey(RoundRobin.make()), setOf(peerAt("a", "Down")))
      assert.strictEqual(latest().pick(call("ada"), 0)._tag, "Down")
      const b = peerAt("b")
      yield* give(setOf(b))
      assert.strictEqual(latest().pick(call("ada"), 0), b)
    })
  )

  it.effect("a call that failed on its peer goes elsewhere, its key stays", () =>
    Effect.gen(function* () {
      const { where } = yield* open(undefined, "a", "b")
      const home = where("ada")
      assert.notStrictEqual(where("ada", 0, [home]), home)
      assert.strictEqual(where("ada"), home)
    })
  )

  it.effect("of too many keys the one not used for longest is forgotten", () =>
    Effect.gen(function* () {
      let asked = 0
      const self = Picker.overReady((ready) => ({
        pick: () => {
          asked++
          return ready[0]!
        }
      }))
      const [picker] = yield* pickersOf(Sticky.byKey(self, { capacity: 3 }), setOf(peerAt("a")))
      /** Whether a key has to be picked for. */
      const isNew = (key: string) => {
        const before = asked
        picker!.pick(call(key), 0)
        return asked > before
      }
      assert.deepStrictEqual(["1", "2", "3"].map(isNew), [true, true, true])
      assert.deepStrictEqual(["1", "2", "3", "1"].map(isNew), [false, false, false, false])
      // The one not used for longest is "2" now, and then "3".
      assert.isTrue(isNew("4"))
      assert.deepStrictEqual(["1", "4", "3"].map(isNew), [false, false, false])
      assert.deepStrictEqual(["2", "1"].map(isNew), [true, true])
    })
  )

  it.effect("a key not used for its lifetime is picked for anew", () =>
    Effect.gen(function* () {
      const { where } = yield* open({ lifetime: "1 second" }, "a", "b")
      const home = where("ada", 0)
      assert.strictEqual(where("ada", 999), home)
      assert.strictEqual(where("ada", 1998), home)
      assert.notStrictEqual(where("ada", 2998), home)
    })
  )

  it.effect("goes by the key it is told, in text or bytes", () =>
    Effect.gen(function* () {
      const policy = Sticky.byKey(RoundRobin.make(), { key: HashKey.header("x-session") })
      const [picker] = yield* pickersOf(policy, setOf(peerAt("a"), peerAt("b")))
      const header = callWith({ metadata: new Map([["x-session", ["s"]]]) })
      assert.strictEqual(picker!.pick(header, 0), picker!.pick(header, 0))
      assert.notStrictEqual(picker!.pick(call("ada"), 0), picker!.pick(call("ada"), 0))
      const { where } = yield* open(undefined, "a", "b")
      assert.strictEqual(where(new Uint8Array([65, 200])), where(new Uint8Array([65, 200])))
      assert.strictEqual(where("A\u00c8"), where(new Uint8Array([65, 200])))
    })
  )

  it.effect("each pool remembers for itself", () =>
    Effect.gen(function* () {
      const policy = Sticky.byKey(RoundRobin.make())
      const homes = yield* Effect.forEach(
        Array.from({ length: 20 }, (_, i) => i),
        (seed) =>
          pickersOf(policy, setOf(peerAt("a"), peerAt("b"))).pipe(
            Effect.map(([picker]) => picker!.pick(call("ada"), 0)),
            Effect.map((picked) => (picked._tag === "Peer" ? picked.id : "")),
            Random.withSeed(`pool ${seed}`)
          )
      )
      assert.strictEqual(new Set(homes).size, 2)
    })
  )
})
