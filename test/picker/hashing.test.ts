/** The pickers by key: where keys go, how evenly, and which ones move. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { HashKey, Maglev, Rendezvous, RingHash } from "trunkline"
import type { Peer, Picker } from "trunkline/extend"
import { callWith, peerAt, pickersOf, setOf, share } from "../support/peers.ts"

const hosts = (count: number): ReadonlyArray<Peer.Peer> =>
  Array.from({ length: count }, (_, i) => peerAt(`10.1.${i >> 8}.${i & 255}`))

/** The last of a policy's pickers over some sets. */
const pickerOf = (policy: Picker.PickerPolicy, ...sets: ReadonlyArray<ReadonlyArray<Peer.Peer>>) =>
  Effect.map(pickersOf(policy, ...sets.map((peers) => setOf(...peers))), (pickers) => pickers.at(-1)!)

const ownerOf = (picker: Picker.Picker, hashKey: string | undefined, tried: ReadonlyArray<string> = []): Peer.Peer => {
  const call = callWith({ hashKey })
  call.triedPeers = tried
  const picked = picker.pick(call, 0)
  if (picked._tag !== "Peer") throw new Error(picked._tag)
  return picked
}

const keys = Array.from({ length: 20_000 }, (_, i) => `user/${i}`)

/** The fraction of keys that moved: from a peer that left or to one that came, and beside that. */
const moves = (before: Picker.Picker, after: Picker.Picker, changed: Peer.Peer) => {
  let needed = 0
  let needless = 0
  for (const key of keys) {
    const [a, b] = [ownerOf(before, key), ownerOf(after, key)]
    if (a === b) continue
    if (a === changed || b === changed) needed++
    else needless++
  }
  return { needed: needed / keys.length, needless: needless / keys.length }
}

/** The most and the least a peer owns, over its share. */
const spread = (picker: Picker.Picker, peers: ReadonlyArray<Peer.Peer>) => {
  const owned = new Map(peers.map((peer) => [peer, 0]))
  for (const key of keys) owned.set(ownerOf(picker, key), owned.get(ownerOf(picker, key))! + 1)
  const total = peers.reduce((sum, peer) => sum + peer.endpoint.weight, 0)
  const ratios = peers.map((peer) => owned.get(peer)! / ((keys.length * peer.endpoint.weight) / total))
  return { least: Math.min(...ratios), most: Math.max(...ratios) }
}

const policies: ReadonlyArray<[string, (key?: HashKey.HashKey) => Picker.PickerPolicy]> = [
  ["RingHash", (key) => RingHash.make({ key })],
  ["RingHash with a bound", (key) => RingHash.make({ key, bound: 1.25 })],
  ["RingHash as ringpop", (key) => RingHash.make({ key, placement: RingHash.ringpop() })],
  ["RingHash as goma", (key) => RingHash.make({ key, placement: RingHash.compat })],
  ["Maglev", (key) => Maglev.make({ key })],
  ["Rendezvous", (key) => Rendezvous.make({ key })]
]

describe.each(policies)("%s", (_name, make) => {
  it.effect("equal keys have one peer, whoever asks and in whatever order discovery names it", () =>
    Effect.gen(function* () {
      const peers = hosts(5)
      const one = yield* pickerOf(make(), peers)
      const other = yield* pickerOf(make(), peers.toReversed())
      for (const key of keys.slice(0, 500)) assert.strictEqual(ownerOf(one, key), ownerOf(other, key))
    })
  )

  it.effect("text, bytes and a header are one key", () =>
    Effect.gen(function* () {
      const peers = hosts(5)
      const picker = yield* pickerOf(make(HashKey.firstOf(HashKey.header("X-User"), HashKey.option)), peers)
      for (const key of keys.slice(0, 50)) {
        const bytes = callWith({ hashKey: new TextEncoder().encode(key) })
        const header = callWith({ hashKey: "another", metadata: new Map([["x-user", [key]]]) })
        assert.strictEqual(picker.pick(bytes, 0), ownerOf(picker, key))
        assert.strictEqual(picker.pick(header, 0), ownerOf(picker, key))
      }
    })
  )

  it.effect("a call without a key goes anywhere", () =>
    Effect.gen(function* () {
      const picker = yield* pickerOf(make(), hosts(3))
      const seen = Array.from({ length: 300 }, () => ownerOf(picker, undefined).id)
      assert.strictEqual(new Set(seen).size, 3)
    }).pipe(Random.withSeed("anywhere"))
  )

  it.effect("a retried call goes elsewhere, the same way each time; home when everybody failed", () =>
    Effect.gen(function* () {
      const peers = hosts(4)
      const picker = yield* pickerOf(make(), peers)
      for (const key of keys.slice(0, 200)) {
        const tried: Array<string> = []
        for (let i = 0; i < 4; i++) {
          const next = ownerOf(picker, key, tried)
          assert.notInclude(tried, next.id)
          assert.strictEqual(ownerOf(picker, key, tried), next)
          tried.push(next.id)
        }
        assert.strictEqual(ownerOf(picker, key, tried), ownerOf(picker, key))
      }
    })
  )
})

describe.each(policies.filter(([name]) => name !== "RingHash as goma" && name !== "Maglev"))("%s", (_name, make) => {
  it.effect.each([2, 5, 20, 100])("of %i peers, one that leaves or comes moves its own keys only", (count) =>
    Effect.gen(function* () {
      const peers = hosts(count)
      const gone = peers[count >> 1]!
      const before = yield* pickerOf(make(), peers)
      const without = peers.filter((peer) => peer !== gone)
      const after = yield* pickerOf(make(), peers, without)
      const { needed, needless } = moves(before, after, gone)
      assert.strictEqual(needless, 0)
      assert.isAbove(needed, 0)
      // Merging points in and out makes the ring that all of them at once make.
      const back = yield* pickerOf(make(), without, peers)
      assert.deepStrictEqual(moves(before, back, gone), { needed: 0, needless: 0 })
      const fresh = yield* pickerOf(make(), without)
      assert.deepStrictEqual(moves(after, fresh, gone), { needed: 0, needless: 0 })
    })
  )

  it.effect("a retried call goes where it will go when its peer has left", () =>
    Effect.gen(function* () {
      const peers = hosts(6)
      const [gone, ...rest] = peers
      const before = yield* pickerOf(make(), peers)
      const after = yield* pickerOf(make(), rest)
      for (const key of keys.slice(0, 500)) assert.strictEqual(ownerOf(before, key, [gone!.id]), ownerOf(after, key))
    })
  )
})

describe("Maglev", () => {
  it.effect.each([2, 5, 10, 50, 100])("of %i peers, one that leaves moves at most 1 %% beside its own", (count) =>
    Effect.gen(function* () {
      const peers = hosts(count)
      const gone = peers[count >> 1]!
      const before = yield* pickerOf(Maglev.make(), peers)
      const after = yield* pickerOf(
        Maglev.make(),
        peers.filter((peer) => peer !== gone)
      )
      assert.isAtMost(moves(before, after, gone).needless, 0.01)
    })
  )

  it.effect("has a prime number of slots, so a table of any size fills", () =>
    Effect.gen(function* () {
      const peers = hosts(10)
      const { least } = spread(yield* pickerOf(Maglev.make({ slots: 1000 }), peers), peers)
      assert.isAbove(least, 0.85)
    })
  )

  it.effect("more peers than slots leave some without keys, and fill anyway", () =>
    Effect.gen(function* () {
      const picker = yield* pickerOf(Maglev.make({ slots: 7 }), hosts(20))
      assert.strictEqual(new Set(keys.map((key) => ownerOf(picker, key))).size, 7)
    })
  )
})

describe("shares", () => {
  it.effect.each([
    ["RingHash", RingHash.make(), 10, 0.7, 1.35],
    ["RingHash", RingHash.make(), 100, 0.6, 1.45],
    ["RingHash of 1000 points", RingHash.make({ placement: RingHash.xxh64(1000) }), 10, 0.9, 1.1],
    ["Maglev", Maglev.make(), 10, 0.93, 1.07],
    ["Maglev", Maglev.make(), 100, 0.75, 1.25],
    ["Rendezvous", Rendezvous.make(), 10, 0.93, 1.07],
    ["Rendezvous", Rendezvous.make(), 100, 0.75, 1.25]
  ] as const)("%s over %i peers", ([, policy, count, low, high]) =>
    Effect.gen(function* () {
      const peers = hosts(count)
      const { least, most } = spread(yield* pickerOf(policy, peers), peers)
      assert.isAbove(least, low)
      assert.isBelow(most, high)
    })
  )

  it.effect.each([
    ["RingHash", RingHash.make({ placement: RingHash.xxh64(1000) })],
    ["Maglev", Maglev.make()],
    ["Rendezvous", Rendezvous.make()]
  ] as const)("%s follows weights", ([, policy]) =>
    Effect.gen(function* () {
      const peers = [1, 2, 3, 0.5].map((weight, i) => peerAt(`w${i}`, "Ready", weight))
      const { least, most } = spread(yield* pickerOf(policy, peers), peers)
      assert.isAbove(least, 0.85)
      assert.isBelow(most, 1.15)
    })
  )
})

/** Keys and the last digit of the address they belong to. */
const owners = Effect.fnUntraced(function* (placement: RingHash.Placement, ...names: ReadonlyArray<string>) {
  const picker = yield* pickerOf(
    RingHash.make({ placement }),
    names.map((name) => peerAt(name))
  )
  return ["", "a", "key-0", "key-1", "foo", "hello", "user/42"]
    .map((key) => ownerOf(picker, key).id.split(":")[0]!.at(-1))
    .join("")
})

describe("placements", () => {
  it.effect("goma's own vectors", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* owners(RingHash.compat, "10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7"), "2212121")
      assert.strictEqual(yield* owners(RingHash.compat, "10.0.0.1:7", "10.0.0.2:8"), "2212111")
      assert.strictEqual(yield* owners(RingHash.compat, "10.0.0.3:7"), "3333333")
    })
  )

  it.effect("ringpop's, and gRPC's labels, as FarmHash and xxHash themselves place them", () =>
    Effect.gen(function* () {
      const three = ["10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000"]
      assert.strictEqual(yield* owners(RingHash.ringpop(), ...three), "2332212")
      assert.strictEqual(yield* owners(RingHash.xxh64(), ...three), "3321232")
    })
  )

  it.effect("a key after the last point belongs to the first, one on a point to that", () =>
    Effect.gen(function* () {
      const at = (text: string) => Number(text.split(/[_:]/)[0])
      const placement: RingHash.Placement = {
        ...RingHash.xxh64(),
        algorithm: (bytes, length, into) => {
          into.high = at(new TextDecoder().decode(bytes.subarray(0, length)))
          into.low = 0
        },
        label: (peer, i) => `${Number(/\d+/.exec(peer.id)![0]) + i * 10}`,
        points: () => 3
      }
      // The ring of 6, 4 and 2: 2 4 6 12 14 16 22 24 26.
      const ring = (...names: ReadonlyArray<string>) =>
        pickerOf(
          RingHash.make({ placement }),
          names.map((name) => peerAt(name))
        )
      const three = yield* ring("h6", "h4", "h2")
      assert.deepStrictEqual(
        ["2", "11", "23", "27"].map((key) => ownerOf(three, key).id),
        ["h2:1", "h2:1", "h4:1", "h2:1"]
      )
      assert.strictEqual(ownerOf(yield* ring("h8", "h2", "h4", "h6"), "27").id, "h8:1")
    })
  )
})

describe("a bound", () => {
  it.effect("holds however skewed the keys are, and a key leaves home only when home is full", () =>
    Effect.gen(function* () {
      const peers = hosts(10)
      const bound = 1.25
      const picker = yield* pickerOf(RingHash.make({ bound }), peers)
      const home = yield* pickerOf(RingHash.make(), peers)
      for (let calls = 1; calls <= 400; calls++) {
        const cap = Math.ceil((bound * calls) / peers.length)
        const key = calls % 3 === 0 ? `user/${calls}` : "hot"
        const peer = ownerOf(picker, key)
        if (peer !== ownerOf(home, key)) assert.isAtLeast(ownerOf(home, key).stats.pending, cap)
        peer.stats.pending++
        assert.isAtMost(peer.stats.pending, cap)
      }
    })
  )

  it.effect("is of each peer's weight", () =>
    Effect.gen(function* () {
      const peers = [peerAt("small", "Ready", 1), peerAt("large", "Ready", 4)]
      const picker = yield* pickerOf(RingHash.make({ bound: 1 }), peers)
      for (let i = 0; i < 100; i++) ownerOf(picker, "hot").stats.pending++
      assert.deepStrictEqual(
        peers.map((peer) => peer.stats.pending),
        [20, 80]
      )
    })
  )

  it.effect("without a key the load is bounded too", () =>
    Effect.gen(function* () {
      const peers = hosts(4)
      const picker = yield* pickerOf(RingHash.make({ bound: 1.25 }), peers)
      const ids = Array.from({ length: 400 }, () => {
        const peer = ownerOf(picker, undefined)
        peer.stats.pending++
        return peer.id
      })
      for (const peer of peers) assert.isAtMost(share(ids, peer.id), 0.32)
    }).pipe(Random.withSeed("bounded"))
  )
})
