/**
 * A part of the peers for each client.
 *
 * Many clients times many backends is too many connections, and calls so thin that no client learns how its peers fare.
 * So each client uses only some of them. Which ones must differ between the clients, so that all backends get their share,
 * and must hardly change when backends come and go.
 *
 * `rendezvous` needs nothing but chance: each client ranks the peers by a hash with a seed of its own. Some backends are
 * in more subsets than others. `aperture` knows the client's place among its fellows, and gives every backend exactly the
 * same share of them.
 *
 * @see https://github.com/grpc/proposal/blob/master/A68-random-subsetting.md
 * @see https://twitter.github.io/finagle/guide/ApertureLoadBalancers.html
 */
import { Function, type Random } from "effect"
import type { Peer } from "../../peer/Peer.ts"
import { Hash64 } from "../hash/Hash64.ts"
import { type PeerSet, type PickerPolicy, withoutStandby } from "../Picker.ts"
import * as PolicyWrapper from "./PolicyWrapper.ts"
import * as Xxh64 from "../hash/Xxh64.ts"

/** The shares of a client in peers, above 0 and at most 1; who is not in it is not used. */
type Shares = ReadonlyMap<Peer, number>

const restricted = (set: PeerSet, shares: Shares): PeerSet => ({
  ...set,
  peers: set.peers.filter((peer) => shares.has(peer)),
  connected: set.connected.filter((peer) => shares.has(peer)),
  ready: set.ready.filter((peer) => shares.has(peer)),
  weightOf: (peer) => set.weightOf(peer) * (shares.get(peer) ?? 1)
})

/** Gives a policy a subset of each set. Peers that leave the subset are disconnected. */
const over = (
  self: PickerPolicy,
  size: number,
  build: (random: Random.Random) => (peers: ReadonlyArray<Peer>) => Shares
): PickerPolicy =>
  PolicyWrapper.make(self, (random) => {
    const choose = build(random)
    const sharesOf = (peers: ReadonlyArray<Peer>): Shares =>
      peers.length <= size ? new Map(peers.map((peer) => [peer, 1])) : choose(peers)
    // Peers of weight 0 stand by outside the subset, so that they take no place in it.
    const subsetOf = ({ peers, weightOf }: PeerSet): Shares => {
      const weighty = withoutStandby(peers, weightOf)
      const standby = weighty === peers ? [] : peers.filter((peer) => !(weightOf(peer) > 0))
      return standby.length === 0 ? sharesOf(peers) : new Map([...sharesOf(standby), ...sharesOf(weighty)])
    }
    let last: Shares = new Map()
    return {
      set: (set) => {
        const all = set.peers.length <= size
        const shares = all ? sharesOf(set.peers) : subsetOf(set)
        for (const peer of last.keys()) if (!shares.has(peer)) peer.requestDisconnect()
        last = shares
        return all ? set : restricted(set, shares)
      }
    }
  })

/**
 * The options of `rendezvous`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RendezvousOptions {
  /** How many peers a client uses. */
  readonly size: number
  /** Makes the choice; clients with one seed choose alike. Default a random one for each pool. */
  readonly seed?: string | undefined
}

/**
 * Uses `size` peers, chosen at random for each client. A backend that comes or goes changes at most one of them.
 *
 * @example
 * import { PowerOfTwo, Subset } from "trunkline"
 *
 * const policy = Subset.rendezvous(PowerOfTwo.make(), { size: 12 })
 *
 * @category combinators
 * @since 0.1.0
 */
export const rendezvous: {
  (options: RendezvousOptions): (self: PickerPolicy) => PickerPolicy
  (self: PickerPolicy, options: RendezvousOptions): PickerPolicy
} = Function.dual(2, (self: PickerPolicy, { seed, size }: RendezvousOptions) =>
  over(self, size, (random) => {
    const hash = new Hash64(Xxh64.hash)
    let ownSeed = seed
    return (peers) => {
      ownSeed ??= String(random.nextDoubleUnsafe())
      const ranked = peers.map((peer) => {
        hash.read(`${peer.id}/${ownSeed}`)
        return { peer, high: hash.high >>> 0, low: hash.low >>> 0 }
      })
      ranked.sort((a, b) => b.high - a.high || b.low - a.low)
      return new Map(ranked.slice(0, size).map(({ peer }) => [peer, 1]))
    }
  })
)

/**
 * The options of `aperture`.
 *
 * @category models
 * @since 0.1.0
 */
export interface ApertureOptions {
  /** This client's number, from 0. The first number beyond the last client counts as 0 again. */
  readonly ordinal: number
  /** How many clients there are. */
  readonly clients: number
  /** How many peers a client uses at least. Default 12. */
  readonly size?: number | undefined
}

/**
 * Uses about `size` peers (at least, default 12), beginning at this client's place on the ring of all peers. All clients
 * must know the same peers and the same number of clients. Two neighbours share the peer at the edge of their subsets: it
 * has a share of its weight in each, so the policy must be one that reads weights, such as `PowerOfTwo`.
 *
 * @example
 * import { PowerOfTwo, Subset } from "trunkline"
 *
 * const policy = Subset.aperture(PowerOfTwo.make(), { ordinal: 3, clients: 40 })
 *
 * @category combinators
 * @since 0.1.0
 */
export const aperture: {
  (options: ApertureOptions): (self: PickerPolicy) => PickerPolicy
  (self: PickerPolicy, options: ApertureOptions): PickerPolicy
} = Function.dual(2, (self: PickerPolicy, options: ApertureOptions) => {
  const clients = Math.max(1, Math.floor(options.clients))
  const ordinal = Math.floor(options.ordinal) % clients
  const size = options.size ?? 12
  return over(self, size, () => (peers) => {
    const ring = [...peers].sort((a, b) => (a.id < b.id ? -1 : 1))
    const servers = ring.length
    // In units of one part in servers x clients, so that every edge is a whole number.
    const begin = ordinal * servers
    const width = Math.min(clients, Math.ceil((size * clients) / servers)) * servers
    const shares = new Map<Peer, number>()
    for (const [i, peer] of ring.entries()) {
      // The ring is laid out twice, for a part that runs over its end.
      const covered = [i, i + servers].map(
        (place) => Math.min((place + 1) * clients, begin + width) - Math.max(place * clients, begin)
      )
      const share = covered.reduce((sum, length) => sum + Math.max(0, length), 0) / clients
      if (share > 0) shares.set(peer, share)
    }
    return shares
  })
})
