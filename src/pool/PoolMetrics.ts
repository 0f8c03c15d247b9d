/**
 * A pool as numbers.
 *
 * Everything here is counted anyway and read when somebody exports it. Counts of connections are of the pool's peers, those
 * that have left included; a peer that two pools share is counted by both, because each of them has it.
 */
import { Effect, type Scope, Stream } from "effect"
import * as Instruments from "../observe/Instruments.ts"
import * as Metrics from "../observe/Metrics.ts"
import * as Sampled from "../observe/Sampled.ts"
import type { Peer } from "../peer/Peer.ts"
import type { PeerStats } from "../peer/PeerStats.ts"
import type { State } from "../peer/PeerStatus.ts"
import type { PeerPool } from "./PeerPool.ts"

const states: ReadonlyArray<State> = ["Ready", "Connecting", "Idle", "Down", "Gone"]

type Count = "connected" | "connectsFailed" | "disconnected"

/** What all peers have counted that the pool ever had. */
class Census {
  readonly #peers = new Set<Peer>()
  readonly #left: Record<Count, number> = { connected: 0, connectsFailed: 0, disconnected: 0 }

  /** Takes in new peers, and lets go of those that will count no more. */
  look(peers: ReadonlyArray<Peer>): void {
    for (const peer of peers) this.#peers.add(peer)
    for (const peer of this.#peers) {
      if (peer.status.state !== "Gone" || peers.includes(peer)) continue
      this.#peers.delete(peer)
      this.#left.connected += peer.stats.connected
      this.#left.connectsFailed += peer.stats.connectsFailed
      this.#left.disconnected += peer.stats.disconnected
    }
  }

  sum(count: Count): number {
    let sum = this.#left[count]
    for (const { stats } of this.#peers) sum += stats[count]
    return sum
  }
}

const sumOf = (peers: ReadonlyArray<Peer>, read: (stats: PeerStats) => number): number =>
  peers.reduce((sum, { stats }) => sum + read(stats), 0)

/**
 * Reports the numbers of a pool until the scope closes, if metrics are on.
 *
 * @category registration
 * @since 0.1.0
 */
export const register = Effect.fnUntraced(function* (
  pool: PeerPool["Service"]
): Effect.fn.Return<void, never, Scope.Scope> {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return
  const labels = { "grpc.target": Metrics.targetLabel(metrics, pool.target) }
  const inState = (state: State) => pool.peers().filter(({ status }) => status.state === state).length

  const census = new Census()
  yield* Effect.forkScoped(Stream.runForEach(pool.changes, ({ peers }) => Effect.sync(() => census.look(peers))))

  yield* Sampled.counter(Instruments.connectsSucceeded(labels), () => census.sum("connected"))
  yield* Sampled.counter(Instruments.connectsFailed(labels), () => census.sum("connectsFailed"))
  yield* Sampled.counter(Instruments.disconnections(labels), () => census.sum("disconnected"))
  yield* Sampled.gauge(Instruments.openConnections(labels), () => inState("Ready"))
  yield* Sampled.gauge(Instruments.pending(labels), () => sumOf(pool.peers(), ({ pending }) => pending))
  yield* Sampled.counter(Instruments.pickerRebuilds(labels), () => pool.stats.rebuilds)
  yield* Sampled.counter(Instruments.panicked(labels), () => pool.stats.panicked)
  yield* Sampled.counter(Instruments.probes(labels), () => pool.stats.probes)
  for (const state of states) {
    yield* Sampled.gauge(Instruments.peers({ ...labels, "trunkline.state": state }), () => inState(state))
  }
})
