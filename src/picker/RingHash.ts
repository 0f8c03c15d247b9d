/**
 * Equal keys go to the same peer, found on a ring of hashes.
 *
 * Every peer has a fixed number of points per unit of weight, so that a peer that comes or goes moves its own keys and no
 * others. (Rings of a fixed size, as gRPC's and Envoy's, also move keys between peers that stay.) Only ready peers are on
 * the ring: a key whose peer is lost goes to the next one, and comes back with it. A retried call goes on along the ring.
 *
 * @see https://github.com/grpc/proposal/blob/master/A42-xds-ring-hash-lb-policy.md
 * @see https://arxiv.org/abs/1608.01350 for the bounded load
 */
import type { Random } from "effect"
import type { Call } from "../call/Call.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Crc32 from "./hash/Crc32.ts"
import { Sfc32 } from "./Sfc32.ts"
import * as Farm32 from "./hash/Farm32.ts"
import { type Algorithm, Hash64 } from "./hash/Hash64.ts"
import * as HashKey from "./hash/HashKey.ts"
import * as Picker from "./Picker.ts"
import * as Ring from "./hash/Ring.ts"
import * as Xxh64 from "./hash/Xxh64.ts"

/**
 * How peers are placed on a ring: the hash of points and keys, the text a peer's `i`-th point is the hash of, how many
 * points a peer of a weight has among so many peers, and the order in which peers take a point they share.
 *
 * @category models
 * @since 0.1.0
 */
export interface Placement {
  readonly algorithm: Algorithm
  readonly label: (peer: Peer, i: number) => string
  readonly points: (weight: number, peers: number) => number
  readonly order: (a: Peer, b: Peer) => number
}

/** The maximum of points on a ring, unless weights of 1 need more. Beyond it, weights count only in comparison. */
const maxPoints = 2 ** 20

/** How many points each member has. If their weights ask for too many points, each member has fewer, but at least one. */
const pointsOf = (
  members: ReadonlyArray<Peer>,
  weightOf: (peer: Peer) => number,
  placement: Placement
): ReadonlyArray<number> => {
  const maxTotal = Math.max(maxPoints, members.length * placement.points(1, members.length))
  const weights = Picker.weightsOf(members, weightOf)
  const shares = Picker.sharesOf(members, weightOf)
  const counts = members.map((_, i) => placement.points(Math.min(weights[i]!, maxTotal * shares[i]!), members.length))
  const total = counts.reduce((sum, count) => sum + count, 0)
  return total <= maxTotal ? counts : counts.map((count) => Math.max(1, Math.floor((count / total) * maxTotal)))
}

const byId = (a: Peer, b: Peer): number => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

/**
 * XXH64 of `<id>_<i>`, as gRPC labels its points, and so many points per unit of weight; default 100.
 *
 * @category placements
 * @since 0.1.0
 */
export const xxh64 = (pointsPerWeight = 100): Placement => ({
  algorithm: Xxh64.hash,
  label: (peer, i) => `${peer.id}_${i}`,
  points: (weight) => Math.max(1, Math.round(weight * pointsPerWeight)),
  order: byId
})

/** The address without its port, which is how goma knows a backend. */
const hostOf = ({ endpoint: { address }, id }: Peer): string => (address._tag === "Tcp" ? address.host : id)

/**
 * The ring of goma's `Shard`: CRC-32 of `<i><host>`, as many points for each peer as there are peers. Keys stay where goma
 * has them; it spreads them badly.
 *
 * @category placements
 * @since 0.1.0
 */
export const compat: Placement = {
  algorithm: Crc32.hash,
  label: (peer, i) => `${i}${hostOf(peer)}`,
  points: (_weight, peers) => peers,
  // The last of those that share a point has it.
  order: (a, b) => (hostOf(a) < hostOf(b) ? 1 : hostOf(a) > hostOf(b) ? -1 : byId(a, b))
}

/**
 * The ring of ringpop and of YARPC's `hashring32`: FarmHash32 of `<id><i>`, so many points for each peer; default 100.
 *
 * @category placements
 * @since 0.1.0
 */
export const ringpop = (pointsPerPeer = 100): Placement => ({
  algorithm: Farm32.hash,
  label: (peer, i) => `${peer.id}${i}`,
  points: () => pointsPerPeer,
  order: byId
})

/** What is kept from one set of peers to the next. */
interface Placed extends Picker.Picker {
  readonly members: ReadonlyArray<Peer>
  readonly counts: ReadonlyArray<number>
  readonly ring: Ring.Ring
}

/** Brings a ring up to date: the points of members that stay as they are are taken over. */
const place = (
  members: ReadonlyArray<Peer>,
  counts: ReadonlyArray<number>,
  placement: Placement,
  hash: Hash64,
  previous: Placed | undefined
): Ring.Ring => {
  const indexes = new Map(members.map((peer, i) => [peer.id, i]))
  const keep = Int32Array.from(previous?.members ?? [], (peer, i) => {
    const member = indexes.get(peer.id)
    if (member === undefined || counts[member] !== previous?.counts[i]) return -1
    indexes.delete(peer.id)
    return member
  })
  const join = Int32Array.from(indexes.values())
  const added = Ring.make(
    Array.from(join, (member) => counts[member]!),
    hash,
    (i, point) => hash.read(placement.label(members[join[i]!]!, point))
  )
  return Ring.merge(previous?.ring ?? Ring.empty, keep, added, join)
}

/**
 * Picks by key. A call without one goes anywhere.
 *
 * With a `bound`, such as 1.25, no peer has more than that many times its share of the calls under way: a key whose peer is
 * full goes to the next on the ring. It costs a look at every peer, when the key's own is not idle.
 *
 * @example
 * import { HashKey, RingHash } from "trunkline"
 *
 * const sticky = RingHash.make({ key: HashKey.header("x-user"), bound: 1.25 })
 * const asGomaDoes = RingHash.make({ placement: RingHash.compat })
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: {
  readonly key?: HashKey.HashKey | undefined
  readonly placement?: Placement | undefined
  readonly bound?: number | undefined
}): Picker.PickerPolicy => {
  const key = options?.key ?? HashKey.option
  const placement = options?.placement ?? xxh64()
  const bound = Math.max(1, options?.bound ?? Infinity)
  return Picker.overReady<Placed>(
    (ready, random: Random.Random, previous, set) => {
      const generator = new Sfc32(random)
      const hash = new Hash64(placement.algorithm)
      const members = [...ready].sort(placement.order)
      const counts = pointsOf(members, set.weightOf, placement)
      const ring = place(members, counts, placement, hash, previous)

      const shares = Picker.sharesOf(members, set.weightOf)
      const total = shares.reduce((sum, share) => sum + share, 0)
      const caps = shares.map((share) => (bound * share) / total)

      /** Whether a peer has its share, times the bound, of all calls under way and this one. */
      const full = (member: number, calls: number): boolean =>
        members[member]!.stats.pending >= Math.ceil(caps[member]! * calls)

      /** The first peer along the ring that may take the call; its own if none may. */
      const walk = (call: Call, from: number): Peer => {
        const calls = members.reduce((sum, { stats }) => sum + stats.pending, 1)
        let untried: Peer | undefined
        for (let step = 0, i = from; step < ring.size; step++, i = i + 1 === ring.size ? 0 : i + 1) {
          const member = ring.owner[i]!
          const peer = members[member]!
          if (call.triedPeers.length > 0 && call.triedPeers.includes(peer.id)) continue
          if (bound === Infinity || !full(member, calls)) return peer
          untried ??= peer
        }
        return untried ?? members[ring.owner[from]!]!
      }

      return {
        members,
        counts,
        ring,
        pick(call) {
          const given = key(call)
          if (given === undefined) hash.place(generator.next(), generator.next())
          else hash.read(given)
          const at = Ring.find(ring, hash)
          const peer = members[ring.owner[at]!]!
          // An idle peer is never full.
          const free = bound === Infinity || peer.stats.pending === 0
          return free && call.triedPeers.length === 0 ? peer : walk(call, at)
        }
      }
    },
    { name: "RingHash" }
  )
}
