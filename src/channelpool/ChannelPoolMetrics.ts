/**
 * Channel pools as numbers.
 *
 * Endpoints that have one label are reported as one: their counts and bounds are added up, and what is said of a channel
 * holds for the channels of all of them. So a program bounds its series with the labels of its targets, and none is written
 * over by another. A label is reported while there is an endpoint that has it.
 */
import { Effect, Exit, type Metric, Scope } from "effect"
import type { Endpoint } from "../discovery/Endpoint.ts"
import * as Instruments from "./ChannelPoolMetricDefinitions.ts"
import type * as MinMax from "../telemetry/MinMax.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as ObservableMetric from "../telemetry/ObservableMetric.ts"
import type { Channel } from "./Channel.ts"
import type { Meter } from "./ChannelStats.ts"
import type { ChannelGroup } from "./ChannelGroup.ts"

type Labels = { readonly "grpc.target": string }
type Read = (group: ChannelGroup) => number

/** What only grows. */
const counters = (labels: Labels): ReadonlyArray<readonly [Metric.Counter<number>, Read]> => [
  [Instruments.channelConnects(labels), ({ counts }) => counts.totals.connects],
  [Instruments.channelDisconnects(labels), ({ counts }) => counts.totals.disconnects],
  [Instruments.channelCalls({ ...labels, "trunkline.result": "ok" }), ({ counts }) => counts.totals.succeeded],
  [Instruments.channelCalls({ ...labels, "trunkline.result": "error" }), ({ counts }) => counts.totals.failed],
  [Instruments.channelFallbacks({ ...labels, "trunkline.result": "ok" }), ({ keys }) => keys.fallbacks],
  [Instruments.channelFallbacks({ ...labels, "trunkline.result": "error" }), ({ keys }) => keys.failedFallbacks],
  [Instruments.channelsScaled({ ...labels, "trunkline.direction": "up" }), ({ counts }) => counts.totals.added],
  [Instruments.channelsScaled({ ...labels, "trunkline.direction": "down" }), ({ counts }) => counts.totals.removed],
  [Instruments.primeFailures(labels), ({ counts }) => counts.totals.primeFailures],
  [Instruments.silences(labels), ({ counts }) => counts.totals.silences]
]

/** What there is now. */
const gauges = (labels: Labels): ReadonlyArray<readonly [Metric.Gauge<number>, Read]> => [
  [Instruments.channels(labels), ({ active }) => active.length],
  [Instruments.channelsAllowed(labels), ({ settings }) => settings.max],
  [Instruments.channelKeys(labels), ({ keys }) => keys.size]
]

/** What is bounded: the bounds themselves, and what the number is now. */
interface Bounded {
  readonly of: (labels: Labels & { readonly "trunkline.extreme": string }) => Metric.Gauge<number>
  readonly bounds: (group: ChannelGroup) => MinMax.Extremes
}

const ofGroups: ReadonlyArray<Bounded & { readonly now: Read }> = [
  { of: Instruments.channelsBetween, bounds: ({ counts }) => counts.channels, now: ({ active }) => active.length },
  { of: Instruments.readyBetween, bounds: ({ counts }) => counts.ready, now: (group) => group.ready },
  { of: Instruments.loadBetween, bounds: ({ counts }) => counts.load, now: ({ load }) => load }
]

const ofChannels: ReadonlyArray<Bounded & { readonly now: (channel: Channel) => number }> = [
  { of: Instruments.channelLoadBetween, bounds: ({ counts }) => counts.loadOfChannel, now: ({ load }) => load },
  { of: Instruments.channelKeysBetween, bounds: ({ keys }) => keys.keysOfPlace, now: ({ keys }) => keys }
]

/** The least and the most of some numbers; 0 of none. */
const least = (numbers: ReadonlyArray<number>): number => (numbers.length === 0 ? 0 : Math.min(...numbers))
const most = (numbers: ReadonlyArray<number>): number => Math.max(0, ...numbers)

/** The calls of each channel since it was asked the last time. */
class CallsSince {
  #before = new Map<Channel, number>()

  take(channels: ReadonlyArray<Channel>): ReadonlyArray<number> {
    const calls = channels.map((channel) => channel.calls - (this.#before.get(channel) ?? 0))
    this.#before = new Map(channels.map((channel) => [channel, channel.calls]))
    return calls
  }
}

/** The endpoints of one label. */
class Ensemble {
  readonly labels: Labels
  readonly scope: Scope.Closeable = Scope.makeUnsafe()
  readonly groups = new Set<ChannelGroup>()
  readonly #counters: ReadonlyArray<readonly [Metric.Counter<number>, Read]>
  /** What those that have left had counted. */
  readonly #left: Array<number>

  constructor(labels: Labels) {
    this.labels = labels
    this.#counters = counters(labels)
    this.#left = this.#counters.map(() => 0)
  }

  leave(group: ChannelGroup): void {
    this.groups.delete(group)
    for (const [i, [, read]] of this.#counters.entries()) this.#left[i]! += read(group)
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

  #extremes({ of }: Bounded, least: () => number, most: () => number) {
    return Effect.andThen(
      ObservableMetric.gauge(of({ ...this.labels, "trunkline.extreme": "least" }), least),
      ObservableMetric.gauge(of({ ...this.labels, "trunkline.extreme": "most" }), most)
    )
  }

  /** Reports until the scope closes. */
  get report(): Effect.Effect<void, never, Scope.Scope> {
    const fewest = new CallsSince()
    const busiest = new CallsSince()
    const calls = { of: Instruments.channelCallsBetween }
    return Effect.all(
      [
        ...this.#counters.map(([metric, read], i) =>
          ObservableMetric.counter(metric, () => this.#left[i]! + this.#sum(read))
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
            () => least(this.#each((group) => bounded.bounds(group).takeLeast(least(group.active.map(bounded.now))))),
            () => most(this.#each((group) => bounded.bounds(group).takeMost(most(group.active.map(bounded.now)))))
          )
        ),
        ObservableMetric.gauge(calls.of({ ...this.labels, "trunkline.extreme": "least" }), () =>
          least(fewest.take(this.#channels))
        ),
        ObservableMetric.gauge(calls.of({ ...this.labels, "trunkline.extreme": "most" }), () =>
          most(busiest.take(this.#channels))
        )
      ],
      { discard: true }
    )
  }
}

/** What measures the endpoints of a channel pool. */
export interface Measure {
  /** Who is to be told how long things take on the channels of an endpoint. */
  readonly meterOf: (endpoint: Endpoint) => Meter | undefined
  /** Reports the numbers of an endpoint until the scope closes. */
  readonly report: (group: ChannelGroup) => Effect.Effect<void, never, Scope.Scope>
}

const nothing: Measure = { meterOf: () => undefined, report: () => Effect.void }

/** What measures a channel pool, if metrics are on. */
export const make: Effect.Effect<Measure> = Effect.gen(function* () {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return nothing
  const registry = yield* Effect.context<never>()
  const ensembles = new Map<string, Ensemble>()
  const labelsOf = ({ id }: Endpoint): Labels => ({ "grpc.target": Metrics.targetLabel(metrics, id) })

  const enter = (group: ChannelGroup): Effect.Effect<Ensemble> =>
    Effect.suspend(() => {
      const labels = labelsOf(group.endpoint)
      const known = ensembles.get(labels["grpc.target"])
      const ensemble = known ?? new Ensemble(labels)
      ensemble.groups.add(group)
      if (known !== undefined) return Effect.succeed(ensemble)
      ensembles.set(labels["grpc.target"], ensemble)
      return ensemble.report.pipe(Scope.provide(ensemble.scope), Effect.provideContext(registry), Effect.as(ensemble))
    })

  const leave = (group: ChannelGroup, ensemble: Ensemble): Effect.Effect<void> =>
    Effect.suspend(() => {
      ensemble.leave(group)
      if (ensemble.groups.size > 0) return Effect.void
      ensembles.delete(ensemble.labels["grpc.target"])
      return Scope.close(ensemble.scope, Exit.void)
    })

  return {
    meterOf: (endpoint) => {
      const labels = labelsOf(endpoint)
      const connectDuration = Instruments.channelConnectDuration(labels)
      const silenceDuration = Instruments.silenceDuration(labels)
      const silentCalls = Instruments.silentCalls(labels)
      return {
        connected: (millis) => connectDuration.updateUnsafe(millis / 1000, registry),
        silent: (millis, calls) => {
          silenceDuration.updateUnsafe(millis / 1000, registry)
          silentCalls.updateUnsafe(calls, registry)
        }
      }
    },
    report: (group) => Effect.asVoid(Effect.acquireRelease(enter(group), (ensemble) => leave(group, ensemble)))
  }
})
