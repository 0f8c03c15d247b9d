/**
 * What a pool shows of itself to whoever debugs the program.
 */
import type { Clock } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import * as Endpoint from "../discovery/Endpoint.ts"
import type * as Snapshot from "../introspection/Snapshot.ts"
import type { Peer } from "../peer/Peer.ts"
import * as HealthVerdict from "../signals/HealthVerdict.ts"
import type { PeerSet } from "../picker/Picker.ts"
import type { Problem } from "./Problems.ts"

/** What a pool knows when it is looked at. */
export interface Facts {
  readonly target: string
  readonly picker: string | undefined
  readonly set: PeerSet
  /** Since when what is said of a peer is said, in milliseconds of the wall clock. */
  readonly sinceOf: (peer: Peer) => number | undefined
  /** Attempts sent to a peer whatever signals said of it. */
  readonly panicked: number
  /** Parts of it that do not work. */
  readonly problems: ReadonlyArray<Problem>
  /** In milliseconds of the wall clock. */
  readonly discoveredAt: number | undefined
  readonly discoveryError: DiscoveryError | undefined
  readonly clock: Clock.Clock
}

/** Instants of the monotonic clock, told by the wall clock. */
const toWall = (clock: Clock.Clock): ((instant: number) => number) => {
  const offset = clock.currentTimeMillisUnsafe() - Deadline.nowUnsafe(clock)
  return (instant) => instant + offset
}

const readVerdict = (
  verdict: HealthVerdict.HealthVerdict,
  since: number | undefined,
  wall: (instant: number) => number
): Snapshot.Standing | undefined =>
  verdict === HealthVerdict.healthy
    ? undefined
    : {
        status: verdict.status,
        cause: verdict.cause,
        since,
        weight: verdict.weight,
        until: verdict.until === Infinity ? undefined : wall(verdict.until)
      }

const readPeer = (peer: Peer, { set, sinceOf }: Facts, wall: (instant: number) => number): Snapshot.PeerReading => {
  const { stats, status } = peer
  const endpoint = set.endpointOf(peer)
  return {
    id: peer.id,
    address: Endpoint.format(peer.endpoint.address),
    locality: endpoint.locality,
    weight: endpoint.weight,
    state: status.state,
    since: status.since,
    cause: status.cause,
    standing: readVerdict(set.verdictOf(peer), sinceOf(peer), wall),
    pending: stats.pending,
    started: stats.started,
    succeeded: stats.succeeded,
    failed: stats.failed,
    answered: stats.answered,
    answeredMillis: stats.answeredMillis,
    lastError:
      stats.lastError === undefined ? undefined : { text: stats.lastError.message, at: wall(stats.lastErrorAt) }
  }
}

/** Reads a pool. */
export const make = (facts: Facts): Snapshot.PoolReading => {
  const { clock, discoveredAt, discoveryError, panicked, picker, problems, set, target } = facts
  const wall = toWall(clock)
  return {
    target,
    picker,
    panicked,
    problems,
    discovery: { updatedAt: discoveredAt, error: discoveryError?.message },
    peers: set.peers.map((peer) => readPeer(peer, facts, wall))
  }
}
