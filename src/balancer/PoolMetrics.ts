/**
 * A pool as numbers.
 *
 * What is counted anyway is read when somebody exports it; what signals and pickers decide they tell to the witness that the
 * pool is made with. Counts of connections are of the pool's peers, those that have left included; a peer that two pools
 * share is counted by both, because each of them has it.
 */
import { type Context, Effect, Scope, Stream } from "effect"
import * as MetricDefinitions from "../telemetry/MetricDefinitions.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as ObservableMetric from "../telemetry/ObservableMetric.ts"
import { ConnectionCounts } from "../peer/ConnectionCounts.ts"
import type { Peer } from "../peer/Peer.ts"
import type { State } from "../peer/PeerStatus.ts"
import * as MetricsRecorder from "../signals/MetricsRecorder.ts"
import type { DisconnectError } from "../transport/Disconnect.ts"
import type { PeerPool } from "./PeerPool.ts"

const states: ReadonlyArray<State> = ["Ready", "Connecting", "Idle", "Down", "Gone"]

/** What all peers have counted that the pool ever had. */
class Census {
  readonly #peers = new Set<Peer>()
  readonly #left = new ConnectionCounts()

  /** Takes in new peers, and lets go of those that will count no more. */
  look(peers: ReadonlyArray<Peer>): void {
    for (const peer of peers) this.#peers.add(peer)
    for (const peer of this.#peers) {
      if (peer.status.state !== "Gone" || peers.includes(peer)) continue
      this.#peers.delete(peer)
      this.#left.add(peer.stats.connections)
    }
  }

  /** What ended connections so far. */
  get errors(): ReadonlySet<DisconnectError> {
    const found = new Set(this.#left.lost.keys())
    for (const { stats } of this.#peers) for (const error of stats.connections.lost.keys()) found.add(error)
    return found
  }

  sum(read: (connections: ConnectionCounts) => number): number {
    let sum = read(this.#left)
    for (const { stats } of this.#peers) sum += read(stats.connections)
    return sum
  }
}

const pendingOf = (peers: ReadonlyArray<Peer>): number => peers.reduce((sum, { stats }) => sum + stats.pending, 0)

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
  const scope = yield* Effect.scope
  const labels = { "grpc.target": Metrics.targetLabel(metrics, pool.target) }
  const inState = (state: State) => pool.peers().filter(({ status }) => status.state === state).length

  const census = new Census()
  const known = new Set<DisconnectError>()
  const look = Effect.fnUntraced(function* (peers: ReadonlyArray<Peer>) {
    census.look(peers)
    for (const error of census.errors) {
      if (known.has(error)) continue
      known.add(error)
      yield* ObservableMetric.counter(
        MetricDefinitions.disconnections({ ...labels, "grpc.disconnect_error": error }),
        () => census.sum(({ lost }) => lost.get(error) ?? 0)
      )
    }
  })
  yield* Effect.forkScoped(Stream.runForEach(pool.changes, ({ peers }) => Scope.provide(look(peers), scope)))

  yield* ObservableMetric.counter(MetricDefinitions.connectsSucceeded(labels), () => census.sum(({ made }) => made))
  yield* ObservableMetric.counter(MetricDefinitions.connectsFailed(labels), () => census.sum(({ failed }) => failed))
  yield* ObservableMetric.gauge(MetricDefinitions.openConnections(labels), () => inState("Ready"))
  yield* ObservableMetric.gauge(MetricDefinitions.pending(labels), () => pendingOf(pool.peers()))
  yield* ObservableMetric.counter(MetricDefinitions.pickerRebuilds(labels), () => pool.stats.rebuilds)
  yield* ObservableMetric.counter(MetricDefinitions.panicked(labels), () => pool.stats.panicked)
  yield* ObservableMetric.counter(MetricDefinitions.probes(labels), () => pool.stats.probes)
  for (const state of states) {
    yield* ObservableMetric.gauge(MetricDefinitions.peers({ ...labels, "trunkline.state": state }), () =>
      inState(state)
    )
  }
})

/** Counts what is decided about the peers of a target. */
const witness = (target: string, registry: Context.Context<never>): MetricsRecorder.MetricsRecorder => {
  const labels = { "grpc.target": target }
  const fallbacks = MetricDefinitions.roundRobinFallbacks(labels)
  const notYetUsables = MetricDefinitions.weightsNotYetUsable(labels)
  const stales = MetricDefinitions.weightsStale(labels)
  const allWeights = MetricDefinitions.weights(labels)
  return {
    tripped: (reason) =>
      MetricDefinitions.breakerTrips({ ...labels, "trunkline.reason": reason }).updateUnsafe(1, registry),
    ejected(method) {
      const detected = { ...labels, "grpc.lb.outlier_detection.detection_method": method }
      MetricDefinitions.ejectionsEnforced(detected).updateUnsafe(1, registry)
    },
    spared(method, reason) {
      const detected = { ...labels, "grpc.lb.outlier_detection.detection_method": method }
      const spared = { ...detected, "grpc.lb.outlier_detection.unenforced_reason": reason }
      MetricDefinitions.ejectionsUnenforced(spared).updateUnsafe(1, registry)
    },
    weighed({ fallback, notYetUsable, stale, weights }) {
      fallbacks.updateUnsafe(fallback ? 1 : 0, registry)
      notYetUsables.updateUnsafe(notYetUsable, registry)
      stales.updateUnsafe(stale, registry)
      for (const weight of weights) allWeights.updateUnsafe(weight, registry)
    }
  }
}

/**
 * Makes a pool that counts what its signals and its picker decide, if metrics are on.
 *
 * @category registration
 * @since 0.1.0
 */
export const witnessed = Effect.fnUntraced(function* <A, E, R>(
  self: Effect.Effect<A, E, R>,
  target: string
): Effect.fn.Return<A, E, R> {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return yield* self
  const counting = witness(Metrics.targetLabel(metrics, target), yield* Effect.context<never>())
  return yield* Effect.provideService(self, MetricsRecorder.Current, counting)
})
