/** Every picker we ship keeps the laws, and every law can say no. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random as Chance, Stream } from "effect"
import {
  Balancer,
  RoutePicker,
  ExcludeTried,
  LeastPending,
  Locality,
  Maglev,
  PeakEwma,
  Panic,
  PendingLoad,
  PickFirst,
  PowerOfTwo,
  Priority,
  Random,
  Rendezvous,
  RingHash,
  RoundRobin,
  RpcError,
  Sticky,
  Subset,
  Weighted
} from "trunkline"
import { type Peer, Picker, Weights } from "trunkline/extend"
import { PickerLaws } from "trunkline/testing"

const shipped: ReadonlyArray<[string, Picker.PickerPolicy, PickerLaws.Options]> = [
  ["RoundRobin", RoundRobin.make(), { fairWithin: 1.01, takesTurns: true }],
  ["Random", Random.make(), { fairWithin: 1.25 }],
  ["LeastPending", LeastPending.make(), { fairWithin: 1.25, weightsWithin: 1.4, sparesBusiest: true }],
  [
    "LeastPending, looking at all",
    LeastPending.make({ load: PendingLoad.make() }),
    { fairWithin: 1.25, weightsWithin: 1.4, sparesBusiest: true }
  ],
  [
    "LeastPending with PeakEwma",
    LeastPending.make({ load: PeakEwma.make() }),
    { fairWithin: 1.25, weightsWithin: 1.4, sparesBusiest: true }
  ],
  ["PowerOfTwo", PowerOfTwo.make(), { fairWithin: 1.25, weightsWithin: 1.4, sparesBusiest: true }],
  [
    "PowerOfTwo with PeakEwma",
    PowerOfTwo.make({ load: PeakEwma.make() }),
    { fairWithin: 1.25, weightsWithin: 1.4, sparesBusiest: true }
  ],
  ["PickFirst", PickFirst.make(), {}],
  ["Weighted", Weighted.make(), { fairWithin: 1.01, weightsWithin: 1.05, takesTurns: true }],
  ["Weighted by reports", Weighted.make({ reports: Weights.make() }), { fairWithin: 1.01, takesTurns: true }],
  ["RingHash", RingHash.make(), { fairWithin: 1.6, weightsWithin: 1.7, keepsKeys: 0 }],
  ["RingHash with a bound", RingHash.make({ bound: 1.25 }), { fairWithin: 1.6, keepsKeys: 0 }],
  ["RingHash as ringpop", RingHash.make({ placement: RingHash.ringpop() }), { keepsKeys: 0 }],
  ["RingHash as goma", RingHash.make({ placement: RingHash.compat }), {}],
  ["Maglev", Maglev.make({ slots: 5003 }), { fairWithin: 1.25, weightsWithin: 1.3, keepsKeys: 0.03 }],
  ["Rendezvous", Rendezvous.make(), { fairWithin: 1.25, weightsWithin: 1.3, keepsKeys: 0 }],
  ["Panic", Panic.below(RoundRobin.make(), 0.5), { fairWithin: 1.01 }],
  ["Panic over Sticky", Panic.below(Sticky.byKey(RoundRobin.make()), 0.5), { fairWithin: 1.01 }],
  ["Priority.failover", Priority.failover(RoundRobin.make()), { partial: true }],
  ["Priority.spill", Priority.spill(RoundRobin.make()), { partial: true }],
  ["Locality.prefer", Locality.prefer(PowerOfTwo.make(), "even"), { partial: true }],
  ["Locality.aware", Locality.aware(PowerOfTwo.make(), "even", { minimumPeers: 1 }), { partial: true }],
  ["Locality.aware of too few", Locality.aware(PowerOfTwo.make(), "even", { minimumPeers: 9 }), { fairWithin: 1.25 }],
  ["Subset.rendezvous", Subset.rendezvous(PowerOfTwo.make(), { size: 3 }), { partial: true }],
  ["Subset.aperture", Subset.aperture(PowerOfTwo.make(), { ordinal: 1, clients: 3, size: 3 }), { partial: true }],
  [
    "ExcludeTried over Priority",
    ExcludeTried.from(Priority.failover(RoundRobin.make())),
    { partial: true, avoidsTried: true }
  ],
  [
    "ExcludeTried over Subset",
    ExcludeTried.from(Subset.rendezvous(PowerOfTwo.make(), { size: 3 })),
    { partial: true, avoidsTried: true }
  ],
  ["Sticky", Sticky.byKey(PowerOfTwo.make()), { fairWithin: 1.25, keepsKeys: 0 }],
  ["the default", Balancer.defaults.picker, { fairWithin: 1.25, weightsWithin: 1.4, sparesBusiest: true }],
  [
    "everything",
    Panic.below(Priority.failover(Sticky.byKey(Subset.rendezvous(LeastPending.make(), { size: 3 }))), 0.5),
    { partial: true }
  ],
  [
    "Dispatch",
    RoutePicker.make({ otherwise: RoundRobin.make(), keyed: Rendezvous.make() }),
    { fairWithin: 1.01, takesTurns: true, keepsKeys: 0 }
  ]
]

/** As in examples/custom-picker.ts. */
const nearest = (zone: string): Picker.PickerPolicy =>
  Picker.overReady((ready) => {
    const near = ready.filter((peer) => peer.id.startsWith(zone))
    const peers = near.length > 0 ? near : ready
    let turn = 0
    return { pick: () => peers[turn++ % peers.length]! }
  })

it.effect("a picker of one's own keeps them too", () => PickerLaws.check(nearest("peer-1")))

describe("what we ship", () => {
  it.effect.each(shipped)("%s", ([, policy, claims]) => PickerLaws.check(policy, claims), 60_000)
})

/** A policy without the help of `overReady`. */
const bare = (build: (set: Picker.PeerSet) => Picker.Picker): Picker.PickerPolicy => ({
  load: undefined,
  pickers: (sets) => Stream.map(sets, build)
})

const orQueue = (peer: Peer.Peer | undefined): Picker.Pick => peer ?? Picker.queue

const fail: Picker.Fail = { _tag: "Fail", error: RpcError.make("UNAVAILABLE", "nobody") }

const modulo = (key: unknown): number => String(key).length + Number(/\d+$/.exec(String(key))?.[0] ?? 0)

/** A peer by weight, at a place from 0 to 1 on the line of all weights. */
const drawn = (peers: ReadonlyArray<Peer.Peer>, weightOf: (peer: Peer.Peer) => number, place: number): Peer.Peer => {
  let left = place * peers.reduce((sum, peer) => sum + weightOf(peer), 0)
  return peers.find((peer) => (left -= weightOf(peer)) < 0) ?? peers.at(-1)!
}

const broken: ReadonlyArray<[PickerLaws.Law, string, Picker.PickerPolicy, PickerLaws.Options]> = [
  ["only ready", "picks whoever is listed", bare(({ peers }) => ({ pick: () => orQueue(peers[0]) })), {}],
  [
    "only ready",
    "stays with a peer that is gone",
    Picker.overReady<Picker.Picker & { readonly kept: Peer.Peer }>((ready, _random, previous) => {
      const kept = previous?.kept ?? ready[0]!
      return { kept, pick: () => kept }
    }),
    {}
  ],
  [
    "standby",
    "looks for itself who is well",
    bare(({ connected, verdictOf }) => ({
      pick: () => orQueue(connected.find((peer) => verdictOf(peer).status === "Ready"))
    })),
    { avoidsTried: false }
  ],
  [
    "standby",
    "panics and picks from everybody",
    bare(({ connected }) => ({
      pick: (call) => {
        call.panicked = true
        return orQueue(connected[0])
      }
    })),
    { avoidsTried: false }
  ],
  ["queues", "fails instead", bare(({ ready }) => ({ pick: () => ready[0] ?? fail })), {}],
  ["queues", "always queues", bare(() => Picker.empty), {}],
  ["queues", "wants two peers", bare(({ ready }) => ({ pick: () => orQueue(ready[1]) })), {}],
  ["avoids tried", "does not look", bare(({ ready }) => ({ pick: () => orQueue(ready[0]) })), {}],
  [
    "conserves",
    "counts calls itself",
    Picker.overReady((ready) => ({
      pick: () => {
        ready[0]!.stats.pending++
        return ready[0]!
      }
    })),
    {}
  ],
  [
    "conserves",
    "counts calls off when it measures",
    Picker.overReady((ready) => ({ pick: () => ready[0]! }), {
      load: { make: () => ({ cost: () => 0, observe: (stats) => void stats.pending-- }) }
    }),
    {}
  ],
  ["fair", "likes the first", Picker.overReady((ready) => ({ pick: () => ready[0]! })), { fairWithin: 1.5 }],
  [
    "fair",
    "throws two dice",
    Picker.overReady((ready, random) => ({
      pick: () => {
        const dice = random.nextDoubleUnsafe() + random.nextDoubleUnsafe()
        return ready[Math.floor((dice / 2) * ready.length)]!
      }
    })),
    { fairWithin: 1.25 }
  ],
  ["follows weights", "has no idea of them", RoundRobin.make(), { weightsWithin: 1.4 }],
  [
    "follows weights",
    "draws two by weight, one after the other, and takes either",
    Picker.overReady((ready, random, _previous, { weightOf }) => {
      const draw = (peers: ReadonlyArray<Peer.Peer>) => drawn(peers, weightOf, random.nextDoubleUnsafe())
      return {
        pick: () => {
          const first = draw(ready)
          const second = ready.length === 1 ? first : draw(ready.filter((peer) => peer !== first))
          return random.nextDoubleUnsafe() < 0.5 ? first : second
        }
      }
    }),
    { weightsWithin: 1.4 }
  ],
  [
    "spares the busiest",
    "may draw one peer twice",
    Picker.overReady((ready, random, _previous, { load, weightOf }) => ({
      pick: (_call, now) => {
        const first = drawn(ready, weightOf, random.nextDoubleUnsafe())
        const second = drawn(ready, weightOf, random.nextDoubleUnsafe())
        return load.cost(second.stats, now) < load.cost(first.stats, now) ? second : first
      }
    })),
    { sparesBusiest: true }
  ],
  ["takes turns", "throws dice", Random.make(), { takesTurns: true }],
  [
    "takes turns",
    "starts over with every set",
    Picker.overReady((ready) => {
      let turn = 0
      return { pick: () => ready[turn++ % ready.length]! }
    }),
    { fairWithin: 1.01, takesTurns: true }
  ],
  [
    "keeps keys",
    "divides by how many there are",
    Picker.overReady((ready) => ({ pick: (call) => ready[modulo(call.options.hashKey) % ready.length]! })),
    { keepsKeys: 0.1 }
  ],
  ["keeps keys", "has no idea of keys", RoundRobin.make(), { keepsKeys: 0 }]
]

describe("each law can say no", () => {
  it.effect.each(broken)("%s: one that %s", ([law, , policy, claims]) =>
    Effect.gen(function* () {
      const violation = yield* Effect.flip(PickerLaws.check(policy, claims))
      assert.strictEqual(violation.law, law, violation.message)
      assert.isAtMost(violation.steps.length, 14, violation.message)
    })
  )

  it.effect("shows the shortest way there, and the same each time", () =>
    Effect.gen(function* () {
      const check = Effect.flip(PickerLaws.check(broken[0]![2])).pipe(Chance.withSeed("another"))
      const violation = yield* check
      assert.strictEqual(
        violation.message,
        "only ready: picked peer-0, which is not ready, after add peer-0 (seed PickerLaws)"
      )
      assert.deepStrictEqual(yield* check, violation)
    })
  )
})
