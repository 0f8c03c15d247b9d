import { assert, describe, it } from "@effect/vitest"
import { Effect, Random, Schema, Stream } from "effect"
import { RoundRobin, Subset } from "trunkline"
import { Picker } from "trunkline/extend"
import { idle, isAsked, ready, run, setOf } from "../../support/peerSets.ts"

const names = (count: number) => Array.from({ length: count }, (_, i) => `h${i}`)

/** A policy that keeps the sets it is given. */
const spy = () => {
  const seen: Array<Picker.PeerSet> = []
  const policy: Picker.PickerPolicy = {
    load: undefined,
    pickers: (sets) =>
      Stream.map(sets, (set) => {
        seen.push(set)
        return Picker.empty
      })
  }
  return { policy, seen }
}

/** The sets a subset makes of some sets. */
const parts = Effect.fnUntraced(function* (
  subset: (self: Picker.PickerPolicy) => Picker.PickerPolicy,
  ...sets: ReadonlyArray<Picker.PeerSet>
) {
  const { policy, seen } = spy()
  yield* Stream.runDrain(subset(policy).pickers(Stream.fromIterable(sets)))
  return seen
})

const size = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))

describe("rendezvous", () => {
  it.effect("of all peers or more is the identity", () =>
    Effect.gen(function* () {
      const set = setOf(names(5).map((name) => ready(name)))
      for (const size of [5, 6, 100]) {
        assert.strictEqual((yield* parts((self) => Subset.rendezvous(self, { size }), set))[0], set)
        const aperture = yield* parts((self) => Subset.aperture(self, { ordinal: 2, clients: 3, size }), set)
        assert.strictEqual(aperture[0], set)
      }
    })
  )

  it.effect.prop(
    "has min(size, all) peers, and changes by at most one when one comes or goes",
    { size, count: size },
    ({ size, count }) =>
      Effect.gen(function* () {
        const peers = names(count + 1).map((name) => ready(name))
        const subset = (self: Picker.PickerPolicy) => Subset.rendezvous(self, { size })
        const [before, after] = yield* parts(subset, setOf(peers.slice(0, count)), setOf(peers))
        assert.strictEqual(before!.peers.length, Math.min(size, count))
        const lost = before!.peers.filter((peer) => !after!.peers.includes(peer))
        assert.isAtMost(lost.length, 1)
      })
  )

  it.effect("differs between clients, uses all backends, and is the same for one seed", () =>
    Effect.gen(function* () {
      const peers = names(30).map((name) => ready(name))
      const ids = (seed?: string) =>
        Effect.map(
          parts((self) => Subset.rendezvous(self, { size: 5, seed }), setOf(peers)),
          ([part]) => part!.peers.map(({ id }) => id)
        )
      assert.deepStrictEqual(yield* ids("one"), yield* ids("one"))
      const clients = yield* Effect.forEach(Array.from({ length: 300 }), () => ids())
      const uses = peers.map(({ id }) => clients.filter((client) => client.includes(id)).length)
      // 50 each on average.
      assert.isAtLeast(Math.min(...uses), 28)
      assert.isAtMost(Math.max(...uses), 75)
    }).pipe(Random.withSeed("subsets"))
  )

  it.effect("connects nobody outside, and lets go who falls out", () =>
    Effect.gen(function* () {
      const peers = names(8).map((name) => idle(name))
      const policy = Subset.rendezvous(RoundRobin.make(), { size: 3, seed: "mine" })
      const { set } = yield* run(policy, setOf(peers.slice(0, 6)))
      const asked: Array<boolean> = []
      for (const peer of peers) asked.push(yield* isAsked(peer))
      assert.strictEqual(asked.filter((was) => was).length, 3)
      const gone: Array<string> = []
      for (const peer of peers) peer.requestDisconnect = () => void gone.push(peer.id)
      yield* set(setOf(peers))
      const now: Array<boolean> = []
      for (const peer of peers) now.push(yield* isAsked(peer))
      assert.deepStrictEqual(
        gone,
        gone.filter((id) => asked[peers.findIndex((peer) => peer.id === id)])
      )
      assert.strictEqual(now.filter((was) => was).length - gone.length, 3)
    })
  )
})

describe("aperture", () => {
  it.effect.prop(
    "gives every backend exactly the same share of the clients",
    { clients: size, servers: size, least: size },
    ({ clients, servers, least }) =>
      Effect.gen(function* () {
        const peers = names(servers).map((name) => ready(name))
        const total = new Map(peers.map((peer) => [peer, 0]))
        const width = servers <= least ? 1 : Math.min(1, Math.ceil((least * clients) / servers) / clients)
        for (let ordinal = 0; ordinal < clients; ordinal++) {
          const subset = (self: Picker.PickerPolicy) => Subset.aperture(self, { ordinal, clients, size: least })
          const [part] = yield* parts(subset, setOf(peers))
          assert.isAtLeast(part!.peers.length, Math.min(least, servers))
          for (const peer of part!.peers) total.set(peer, total.get(peer)! + part!.weightOf(peer))
        }
        for (const share of total.values()) assert.approximately(share, clients * width, 1e-9)
      })
  )

  it.effect("is exactly the slice of the ring that begins at the client's place", () =>
    Effect.gen(function* () {
      const peers = names(10).map((name) => ready(name))
      const shares = (ordinal: number) =>
        Effect.map(
          parts((self) => Subset.aperture(self, { ordinal, clients: 4, size: 3 }), setOf(peers)),
          ([part]) => Object.fromEntries(part!.peers.map((peer) => [peer.id, part!.weightOf(peer)]))
        )
      // Two units of a quarter of ten backends each.
      assert.deepStrictEqual(yield* shares(0), { "h0:1": 1, "h1:1": 1, "h2:1": 1, "h3:1": 1, "h4:1": 1 })
      assert.deepStrictEqual(yield* shares(1), {
        "h2:1": 0.5,
        "h3:1": 1,
        "h4:1": 1,
        "h5:1": 1,
        "h6:1": 1,
        "h7:1": 0.5
      })
      assert.deepStrictEqual(yield* shares(3), {
        "h0:1": 1,
        "h1:1": 1,
        "h2:1": 0.5,
        "h7:1": 0.5,
        "h8:1": 1,
        "h9:1": 1
      })
      // A client that counts itself among too few is one of them.
      assert.deepStrictEqual(yield* shares(5), yield* shares(1))
    })
  )

  it.effect("of neighbours is the same whatever order discovery gives", () =>
    Effect.gen(function* () {
      const peers = names(20).map((name) => ready(name))
      const subset = (self: Picker.PickerPolicy) => Subset.aperture(self, { ordinal: 9, clients: 10, size: 4 })
      const [one, other] = yield* parts(subset, setOf(peers), setOf([...peers].reverse()))
      const ids = ({ peers }: Picker.PeerSet) => peers.map(({ id }) => id).sort()
      assert.deepStrictEqual(ids(one!), ids(other!))
      assert.strictEqual(one!.peers.length, 4)
    })
  )
})
