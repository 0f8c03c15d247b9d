/**
 * Which peer takes this call.
 *
 * Picking has two planes. The data plane is a `Picker`: a synchronous, total function over a snapshot, called once per
 * attempt. The control plane is a `PickerPolicy`: it turns the stream of a pool's peer sets into a stream of pickers, so
 * that membership and status change by Stream, coalesced, while load is read from each peer's stats at the moment of the
 * pick.
 */
import { Effect, Random, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { Peer } from "../peer/Peer.ts"
import * as PeerStatus from "../peer/PeerStatus.ts"
import type { HealthVerdict } from "../signals/HealthVerdict.ts"
import type { PeerStats } from "../peer/PeerStats.ts"
import type { Outcome } from "../status/Outcome.ts"
import type { RpcError } from "../status/RpcError.ts"

/**
 * No peer can take the call now: wait for the next picker.
 *
 * @category models
 * @since 0.1.0
 */
export interface Queue {
  readonly _tag: "Queue"
}

/**
 * No peer can take the call now, and none is about to: it fails as `UNAVAILABLE` with the pool's report of its peers,
 * unless it waits for a ready peer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Down {
  readonly _tag: "Down"
}

/**
 * The call fails with this error at once, unless it waits for a ready peer.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fail {
  readonly _tag: "Fail"
  readonly error: RpcError
}

/**
 * The call fails with this error whatever it waits for: it is refused on purpose.
 *
 * @category models
 * @since 0.1.0
 */
export interface Drop {
  readonly _tag: "Drop"
  readonly error: RpcError
}

/**
 * The answer of a pick.
 *
 * @category models
 * @since 0.1.0
 */
export type Pick = Peer | Queue | Down | Fail | Drop

/**
 * Picks a peer. `now` is in milliseconds of the monotonic clock, for metrics that decay.
 *
 * @category models
 * @since 0.1.0
 */
export interface Picker {
  readonly pick: (call: Call, now: number) => Pick
}

/**
 * The peers of a pool at one moment, each with the status it had then.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeerSet {
  /** All of them, in discovery's order. */
  readonly peers: ReadonlyArray<Peer>
  /** Those with a connection, whatever else is said of them. */
  readonly connected: ReadonlyArray<Peer>
  /**
   * Those with a connection that may be sent calls. One on probation is among them until it has been sent its one call. One
   * of weight 0 is among them only if nobody else is.
   */
  readonly ready: ReadonlyArray<Peer>
  /** What discovery last said of a peer. */
  readonly endpointOf: (peer: Peer) => Endpoint
  /** A peer's share of the calls in comparison with others, 0 or more: discovery's weight times what signals make of it. */
  readonly weightOf: (peer: Peer) => number
  /** What the pool's signals say of a peer. */
  readonly verdictOf: (peer: Peer) => HealthVerdict
  /** How busy peers are, as this pool measures it for the policy; the calls under way if the policy measures nothing. */
  readonly load: Load
}

/**
 * A measure of how busy a peer is, at work in one pool; lower is better. `observe` is told of every finished attempt.
 *
 * @category models
 * @since 0.1.0
 */
export interface Load {
  readonly cost: (stats: PeerStats, now: number) => number
  /**
   * The same where weights differ. `weight` is the peer's in comparison with the mean of those it is compared with: of a peer
   * with twice the weight a call under way counts half. What has no calls in it, such as a latency, is the same for any
   * weight; at `Infinity` nothing else is left. Default `cost`.
   */
  readonly costByWeight?: ((stats: PeerStats, now: number, weight: number) => number) | undefined
  /**
   * `elapsed` is in milliseconds: to the end of a unary call, to the first message of a stream. `retryAfter` is how long the
   * server asked to be left alone when it failed, in milliseconds; 0 or nothing if it did not ask.
   */
  readonly observe: (stats: PeerStats, outcome: Outcome, elapsed: number, now: number, retryAfter?: number) => void
}

/**
 * A way of measuring. It is a value and holds nothing; each pool makes the memory of it for itself, so that one policy
 * may serve many pools.
 *
 * @category models
 * @since 0.1.0
 */
export interface LoadPolicy {
  readonly make: () => Load
}

/**
 * A way of picking.
 *
 * @category models
 * @since 0.1.0
 */
export interface PickerPolicy {
  /** What people call it. */
  readonly name?: string | undefined
  /** How it measures peers; `undefined` if it does not. Its pickers find what was measured in `PeerSet.load`. */
  readonly load: LoadPolicy | undefined
  readonly pickers: (sets: Stream.Stream<PeerSet>) => Stream.Stream<Picker>
}

/**
 * The answer that no peer can take the call now.
 *
 * @category constants
 * @since 0.1.0
 */
export const queue: Queue = { _tag: "Queue" }

/**
 * The answer that no peer can take the call, and none is about to.
 *
 * @category constants
 * @since 0.1.0
 */
export const down: Down = { _tag: "Down" }

/**
 * The picker of a set of which nothing is known yet.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: Picker = { pick: () => queue }

const hopeless: Picker = { pick: () => down }

/**
 * Whether a peer that takes no call now may soon do: it is idle, or connecting and did not fail before, or connected and
 * kept from calls by no more than a probe under way.
 *
 * @category getters
 * @since 0.1.0
 */
export const mayBecomeReady = (peer: Peer, verdictOf: PeerSet["verdictOf"]): boolean =>
  peer.status.state === "Ready" ? verdictOf(peer).status !== "Ejected" : PeerStatus.mayBecomeReady(peer.status)

/**
 * The picker of a set with no ready peer: calls wait while one of its peers may soon be ready, and otherwise fail. Of an
 * empty set it says nothing: its pool knows whether there is anybody to wait for. It is for policies that use part of a
 * pool's peers, too: what the others are does not count.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/wait-for-ready.md
 * @category constructors
 * @since 0.1.0
 */
export const unready = ({ peers, verdictOf }: PeerSet): Picker =>
  peers.length === 0 || peers.some((peer) => mayBecomeReady(peer, verdictOf)) ? empty : hopeless

/** Asks every idle peer to connect. @internal */
export const connectIdle = (set: PeerSet): void => {
  for (const peer of set.peers) if (peer.status.state === "Idle") peer.requestConnect()
}

/** Whether a number can be a share of the calls. @internal */
export const isWeight = (weight: number): boolean => weight > 0 && weight < Infinity

/**
 * Those of some peers that are sent calls: one of weight 0 is only while there is nobody else.
 *
 * @category getters
 * @since 0.1.0
 */
export const withoutStandby = (peers: ReadonlyArray<Peer>, weightOf: (peer: Peer) => number): ReadonlyArray<Peer> => {
  const weighty = peers.filter((peer) => weightOf(peer) > 0)
  return weighty.length === 0 || weighty.length === peers.length ? peers : weighty
}

/**
 * The weights of some peers, all of them above 0 and finite. Peers that have none, because all of them are of weight 0 or a
 * set was made by hand, count as the mean of the others, or as 1.
 *
 * @category getters
 * @since 0.1.0
 */
export const weightsOf = (peers: ReadonlyArray<Peer>, weightOf: (peer: Peer) => number): Float64Array<ArrayBuffer> => {
  const weights = Float64Array.from(peers, weightOf)
  const some = weights.filter(isWeight)
  if (some.length === weights.length) return weights
  const mean = some.reduce((sum, weight) => sum + weight / some.length, 0)
  return weights.map((weight) => (isWeight(weight) ? weight : mean || 1))
}

/** The cost of a peer of a weight. A function of its own, because peers of equal weights are compared by a shorter one. */
export const costByWeight = (load: Load): NonNullable<Load["costByWeight"]> =>
  load.costByWeight ?? ((stats, now) => load.cost(stats, now))

/** The smallest share of the heaviest weight that pickers can tell from 0: their random numbers have 32 bits. */
const minShare = 2 ** -32

/**
 * The weights of some peers in comparison with the heaviest, which has 1.
 *
 * @category getters
 * @since 0.1.0
 */
export const sharesOf = (peers: ReadonlyArray<Peer>, weightOf: (peer: Peer) => number): Float64Array<ArrayBuffer> => {
  const weights = weightsOf(peers, weightOf)
  const heaviest = weights.reduce((most, weight) => Math.max(most, weight), 0)
  return weights.map((weight) => Math.max(minShare, weight / heaviest))
}

/** Whether a call would go where it has failed. @internal */
export const isTried = (picked: Pick, { triedPeers }: Call): boolean =>
  picked._tag === "Peer" && triedPeers.includes(picked.id)

/**
 * Picks again among the other ready peers when a retried call would go where it has failed. A picker that knows better,
 * such as the next on a ring, answers with another peer itself.
 *
 * @internal
 */
export const avoidingTried = (
  self: Picker,
  ready: ReadonlyArray<Peer>,
  among: (rest: ReadonlyArray<Peer>) => Picker
): Picker => {
  const again = (picked: Pick, call: Call, now: number): Pick => {
    if (!isTried(picked, call)) return picked
    const rest = ready.filter((peer) => !call.triedPeers.includes(peer.id))
    return rest.length === 0 ? picked : among(rest).pick(call, now)
  }
  return {
    pick(call, now) {
      const picked = self.pick(call, now)
      return call.triedPeers.length === 0 ? picked : again(picked, call, now)
    }
  }
}

/**
 * The policy of most balancers: keep every peer connected, and pick among the ready ones, of which a retried call gets one
 * it has not failed on if there is any. `build` is called for each new set with the random source of this pool, what it
 * returned before, to carry a cursor over, and the whole set; and for the rest of the ready peers when a call has failed on
 * the one it picked.
 *
 * @example
 * import { Picker } from "trunkline/extend"
 *
 * const first = Picker.overReady((ready) => ({ pick: () => ready[0]! }))
 *
 * @category constructors
 * @since 0.1.0
 */
export const overReady = <P extends Picker>(
  build: (ready: ReadonlyArray<Peer>, random: Random.Random, previous: P | undefined, set: PeerSet) => P,
  options?: { readonly load?: LoadPolicy | undefined; readonly name?: string | undefined }
): PickerPolicy => ({
  name: options?.name,
  load: options?.load,
  pickers: (sets) =>
    Stream.unwrap(
      Effect.map(Random.Random, (random) => {
        let previous: P | undefined
        return Stream.map(sets, (set) => {
          connectIdle(set)
          if (set.ready.length === 0) return unready(set)
          previous = build(set.ready, random, previous, set)
          return avoidingTried(previous, set.ready, (rest) => build(rest, random, undefined, set))
        })
      })
    )
})
