/**
 * The metrics of channel pools.
 *
 * Endpoints that share a label share their series: counts and bounds of groups are sums, and bounds of channels are over the
 * channels of all of them. So target labels bound the number of series, and no endpoint overwrites another. A label is
 * reported while an endpoint has it.
 */
import { Effect, Exit, type Metric, Scope } from "effect"
import type { Endpoint } from "../discovery/Endpoint.ts"
import * as Instruments from "./ChannelPoolMetricDefinitions.ts"
import type * as MinMax from "../telemetry/MinMax.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as ObservableMetric from "../telemetry/ObservableMetric.ts"
import type { Channel } from "./Channel.ts"
import type { Recorder } from "./ChannelStats.ts"
import type { ChannelGroup } from "./ChannelGroup.ts"

type Labels = { readonly "grpc.target": string }
type Read = (group: ChannelGroup) => number

/** The counters, and how each is read. */
const counters = (labels: Labels): ReadonlyArray<readonly [Metric.Counter<number>, Read]> => [
  [Instruments.channelConnects(labels), ({ stats }) => stats.totals.connects],
  [Instruments.channelDisconnects(labels), ({ stats }) => stats.totals.disconnects],
  [Instruments.channelCalls({ ...labels, "trunkline.result": "ok" }), ({ stats }) => stats.totals.succeeded],
  [Instruments.channelCalls({ ...labels, "trunkline.result": "error" }), ({ stats }) => stats.totals.failed],
  [Instruments.channelFallbacks({ ...labels, "trunkline.result": "ok" }), ({ keys }) => keys.fallbacks],
  [Instruments.channelFallbacks({ ...labels, "trunkline.result": "error" }), ({ keys }) => keys.failedFallbacks],
  [Instruments.channelsScaled({ ...labels, "trunkline.direction": "up" }), ({ stats }) => stats.totals.added],
  [Instruments.channelsScaled({ ...labels, "trunkline.direction": "down" }), ({ stats }) => stats.totals.removed],
  [Instruments.primeFailures(labels), ({ stats }) => stats.totals.primeFailures],
  [Instruments.silences(labels), ({ stats }) => stats.totals.silences]
]

/** The gauges, and how each is read. */
const gauges = (labels: Labels): ReadonlyArray<readonly [Metric.Gauge<number>, Read]> => [
  [Instruments.channels(labels), ({ active }) => active.length],
  [Instruments.channelsAllowed(labels), ({ settings }) => settings.max],
  [Instruments.channelKeys(labels), ({ keys }) => keys.size]
]

/** A number whose bounds are reported. */
interface Bounded {
  readonly of: (labels: Labels & { readonly "trunkline.extreme": string }) => Metric.Gauge<number>
  readonly bounds: (group: ChannelGroup) => MinMax.Extremes
}

const ofGroups: ReadonlyArray<Bounded & { readonly now: Read }> = [
  { of: Instruments.channelsBetween, bounds: ({ stats }) => stats.channels, now: ({ active }) => active.length },
  { of: Instruments.readyBetween, bounds: ({ stats }) => stats.ready, now: (group) => group.ready },
  { of: Instruments.loadBetween, bounds: ({ stats }) => stats.load, now: ({ load }) => load }
]

const ofChannels: ReadonlyArray<Bounded & { readonly now: (channel: Channel) => number }> = [
  { of: Instruments.channelLoadBetween, bounds: ({ stats }) => stats.loadOfChannel, now: ({ load }) => load },
  { of: Instruments.channelKeysBetween, bounds: ({ keys }) => keys.keysPerTarget, now: ({ keys }) => keys }
]

/** The minimum and the maximum of some numbers; 0 of none. */
const min = (numbers: ReadonlyArray<number>): number => (numbers.length === 0 ? 0 : Math.min(...numbers))
const max = (numbers: ReadonlyArray<number>): number => Math.max(0, ...numbers)

/** The calls of each channel since the last reading. */
class CallsSince {
  #before = new Map<Channel, number>()

  take(channels: ReadonlyArray<Channel>): ReadonlyArray<number> {
    const calls = channels.map((channel) => channel.calls - (this.#before.get(channel) ?? 0))
    this.#before = new Map(channels.map((channel) => [channel, channel.calls]))
    return calls
  }
}

/** The metrics of the endpoints that share a label. */
class TargetMetrics {
  readonly labels: Labels
  readonly scope: Scope.Closeable = Scope.makeUnsafe()
  readonly groups = new Set<ChannelGroup>()
  readonly #counters: ReadonlyArray<readonly [Metric.Counter<number>, Read]>
  /** The counts of the endpoints that have left. */
  readonly #departed: Array<number>

  constructor(labels: Labels) {
    this.labels = labels
    this.#counters = counters(labels)
    this.#departed = this.#counters.map(() => 0)
  }

  leave(group: ChannelGroup): void {
    this.groups.delete(group)
    for (const [i, [, read]] of this.#counters.entries()) this.#departed[i]! += read(group)
  }

  #each<A>(read: (group: ChannelGroup) => A): ReadonlyArray<A> {
    return [...this.groups].map(read)
  }

  #sum(read: Read): number {
    return this.#each(read).reduce((sum, number) => sum + number, 0)
  }

  get #channels(): ReadonlyArray<Channel> {
    return [...this.groups].flatMap(({ active }) => active)
  }

  #extremes({ of }: Bounded, min: () => number, max: () => number) {
    return Effect.andThen(
      ObservableMetric.gauge(of({ ...this.labels, "trunkline.extreme": "least" }), min),
      ObservableMetric.gauge(of({ ...this.labels, "trunkline.extreme": "most" }), max)
    )
  }

  /** Reports until the scope closes. */
  get report(): Effect.Effect<void, never, Scope.Scope> {
    const callsForMin = new CallsSince()
    const callsForMax = new CallsSince()
    const calls = { of: Instruments.channelCallsBetween }
    return Effect.all(
      [
        ...this.#counters.map(([metric, read], i) =>
          ObservableMetric.counter(metric, () => this.#departed[i]! + this.#sum(read))
        ),
        ...gauges(this.labels).map(([metric, read]) => ObservableMetric.gauge(metric, () => this.#sum(read))),
        ...ofGroups.map((bounded) =>
          this.#extremes(
            bounded,
            () => this.#sum((group) => bounded.bounds(group).takeLeast(bounded.now(group))),
            () => this.#sum((group) => bounded.bounds(group).takeMost(bounded.now(group)))
          )
        ),
        ...ofChannels.map((bounded) =>
          this.#extremes(
            bounded,
            () => min(this.#each((group) => bounded.bounds(group).takeLeast(min(group.active.map(bounded.now))))),
            () => max(this.#each((group) => bounded.bounds(group).takeMost(max(group.active.map(bounded.now)))))
          )
        ),
        ObservableMetric.gauge(calls.of({ ...this.labels, "trunkline.extreme": "least" }), () =>
          min(callsForMin.take(this.#channels))
        ),
        ObservableMetric.gauge(calls.of({ ...this.labels, "trunkline.extreme": "most" }), () =>
          max(callsForMax.take(this.#channels))
        )
      ],
      { discard: true }
    )
  }
}

/** Reports the endpoints of a channel pool. */
export interface ChannelPoolMetrics {
  /** Records the durations of an endpoint's channels; `undefined` without metrics. */
  readonly recorderOf: (endpoint: Endpoint) => Recorder | undefined
  /** Reports the numbers of an endpoint until the scope closes. */
  readonly report: (group: ChannelGroup) => Effect.Effect<void, never, Scope.Scope>
}

const disabled: ChannelPoolMetrics = { recorderOf: () => undefined, report: () => Effect.void }

/** The metrics of a channel pool, which report nothing if metrics are off. */
export const make: Effect.Effect<ChannelPoolMetrics> = Effect.gen(function* () {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return disabled
  const registry = yield* Effect.context<never>()
  const byTarget = new Map<string, TargetMetrics>()
  const labelsOf = ({ id }: Endpoint): Labels => ({ "grpc.target": Metrics.targetLabel(metrics, id) })

  const enter = (group: ChannelGroup): Effect.Effect<TargetMetrics> =>
    Effect.suspend(() => {
      const labels = labelsOf(group.endpoint)
      const known = byTarget.get(labels["grpc.target"])
      const target = known ?? new TargetMetrics(labels)
      target.groups.add(group)
      if (known !== undefined) return Effect.succeed(target)
      byTarget.set(labels["grpc.target"], target)
      return target.report.pipe(Scope.provide(target.scope), Effect.provideContext(registry), Effect.as(target))
    })

  const leave = (group: ChannelGroup, target: TargetMetrics): Effect.Effect<void> =>
    Effect.suspend(() => {
      target.leave(group)
      if (target.groups.size > 0) return Effect.void
      byTarget.delete(target.labels["grpc.target"])
      return Scope.close(target.scope, Exit.void)
    })

  return {
    recorderOf: (endpoint) => {
      const labels = labelsOf(endpoint)
      const connectDuration = Instruments.channelConnectDuration(labels)
      const silenceDuration = Instruments.silenceDuration(labels)
      const silentCalls = Instruments.silentCalls(labels)
      return {
        connected: (millis) => connectDuration.updateUnsafe(millis / 1000, registry),
        unresponsive: (millis, calls) => {
          silenceDuration.updateUnsafe(millis / 1000, registry)
          silentCalls.updateUnsafe(calls, registry)
        }
      }
    },
    report: (group) => Effect.asVoid(Effect.acquireRelease(enter(group), (target) => leave(group, target)))
  }
})
