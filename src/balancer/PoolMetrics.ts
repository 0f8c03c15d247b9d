/**
 * The metrics of a pool.
 *
 * The pool and its peers keep counts anyway, and an exporter reads them. The decisions of signals and pickers are counted by
 * the `MetricsRecorder` that the pool is made with. Counts of connections include peers that have left the pool. A peer that
 * two pools share is counted by both.
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

/** The connection counts of all peers that the pool has, or ever had. */
class ConnectionTotals {
  readonly #peers = new Set<Peer>()
  readonly #departed = new ConnectionCounts()

  /** Adds new peers, and replaces peers that are gone by their last counts. */
  update(peers: ReadonlyArray<Peer>): void {
    for (const peer of peers) this.#peers.add(peer)
    for (const peer of this.#peers) {
      if (peer.status.state !== "Gone" || peers.includes(peer)) continue
      this.#peers.delete(peer)
      this.#departed.add(peer.stats.connections)
    }
  }

  /** The errors that have ended connections so far. */
  get errors(): ReadonlySet<DisconnectError> {
    const found = new Set(this.#departed.lost.keys())
    for (const { stats } of this.#peers) for (const error of stats.connections.lost.keys()) found.add(error)
    return found
  }

  sum(read: (connections: ConnectionCounts) => number): number {
    let sum = read(this.#departed)
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

  const totals = new ConnectionTotals()
  const known = new Set<DisconnectError>()
  const update = Effect.fnUntraced(function* (peers: ReadonlyArray<Peer>) {
    totals.update(peers)
    for (const error of totals.errors) {
      if (known.has(error)) continue
      known.add(error)
      yield* ObservableMetric.counter(
        MetricDefinitions.disconnections({ ...labels, "grpc.disconnect_error": error }),
        () => totals.sum(({ lost }) => lost.get(error) ?? 0)
      )
    }
  })
  yield* Effect.forkScoped(Stream.runForEach(pool.changes, ({ peers }) => Scope.provide(update(peers), scope)))

  yield* ObservableMetric.counter(MetricDefinitions.connectsSucceeded(labels), () => totals.sum(({ made }) => made))
  yield* ObservableMetric.counter(MetricDefinitions.connectsFailed(labels), () => totals.sum(({ failed }) => failed))
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

/** Counts what signals and pickers decide about the peers of a target. */
const recorder = (target: string, registry: Context.Context<never>): MetricsRecorder.MetricsRecorder => {
  const labels = { "grpc.target": target }
  const fallbacks = MetricDefinitions.roundRobinFallbacks(labels)
  const notYetUsables = MetricDefinitions.weightsNotYetUsable(labels)
  const stales = MetricDefinitions.weightsStale(labels)
  const allWeights = MetricDefinitions.weights(labels)
  return {
    breakerOpened: (reason) =>
      MetricDefinitions.breakerTrips({ ...labels, "trunkline.reason": reason }).updateUnsafe(1, registry),
    ejected(method) {
      const detected = { ...labels, "grpc.lb.outlier_detection.detection_method": method }
      MetricDefinitions.ejectionsEnforced(detected).updateUnsafe(1, registry)
    },
    unenforced(method, reason) {
      const detected = { ...labels, "grpc.lb.outlier_detection.detection_method": method }
      const unenforced = { ...detected, "grpc.lb.outlier_detection.unenforced_reason": reason }
      MetricDefinitions.ejectionsUnenforced(unenforced).updateUnsafe(1, registry)
    },
    weighted({ fallback, notYetUsable, stale, weights }) {
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
export const recorded = Effect.fnUntraced(function* <A, E, R>(
  self: Effect.Effect<A, E, R>,
  target: string
): Effect.fn.Return<A, E, R> {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return yield* self
  const metricsRecorder = recorder(Metrics.targetLabel(metrics, target), yield* Effect.context<never>())
  return yield* Effect.provideService(self, MetricsRecorder.Current, metricsRecorder)
})
