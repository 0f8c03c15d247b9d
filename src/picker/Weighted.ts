/**
 * Each ready peer in turn, as often as its weight says.
 *
 * Every peer has a stride, its weight over the heaviest one's. Going round, each one's strides add up, and it takes a call
 * when they have come to a whole. So a peer's calls are spread over the whole round instead of coming in a row, after any
 * number of picks nobody is more than about a call off its share, and a pick looks at as many peers as the heaviest weight
 * is over the mean. Strides that have added up are kept when the set changes.
 *
 * @see https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md
 */
import { Duration, Effect, type Random, Stream } from "effect"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import type { Peer } from "../peer/Peer.ts"
import * as MetricsRecorder from "../signals/MetricsRecorder.ts"
import * as Picker from "./Picker.ts"
import * as RotationOrder from "./RotationOrder.ts"
import type { Weights } from "./Weights.ts"

/** Where a peer is: its place in this client's order, its connection, and what has added up. */
interface Position extends RotationOrder.Turn {
  readonly connection: ActiveConnection | undefined
  readonly sum: number
}

interface Strides extends Picker.Picker {
  /** In the order of their places. */
  readonly positions: () => ReadonlyArray<Position>
  /** The place of the last pick. */
  readonly place: () => number
}

/** A report is one measurement: it may change a share by this factor from the mean, and no more. */
const maxRatio = 10

/** The mean of the weights that are some; 1 if there is none. */
const meanOf = (weights: Float64Array): number => {
  let sum = 0
  let count = 0
  for (const weight of weights) {
    if (!Picker.isWeight(weight)) continue
    sum += weight
    count++
  }
  return count === 0 ? 1 : sum / count
}

/** Writes what was reported over the weights, within bounds; those nobody reported on have the mean. */
const readReports = (
  peers: ReadonlyArray<Peer>,
  reports: Weights,
  now: number,
  into: Float64Array,
  recorder: MetricsRecorder.MetricsRecorder | undefined
): void => {
  let reported = 0
  let stale = 0
  for (let i = 0; i < peers.length; i++) {
    const weight = reports.get(peers[i]!.id, now)
    into[i] = weight ?? 0
    if (weight !== undefined) reported++
    else if (reports.isStale(peers[i]!.id, now)) stale++
  }
  const notYetUsable = peers.length - reported - stale
  recorder?.weighted({ weights: [...into], notYetUsable, stale, fallback: reported < 2 })
  const mean = meanOf(into)
  for (let i = 0; i < peers.length; i++) {
    // Of one report alone it cannot be said whether it is much.
    into[i] = reported < 2 || into[i] === 0 ? 1 : Math.min(maxRatio, Math.max(1 / maxRatio, into[i]! / mean))
  }
}

/** The policy, and who is told of weights by report. */
const over = (
  reports: Weights | undefined,
  period: number,
  recorder: MetricsRecorder.MetricsRecorder
): Picker.PickerPolicy =>
  Picker.overReady<Strides>((ready, random: Random.Random, previous, set) => {
    const restart = (peer: Peer): void => {
      if (previous !== undefined) reports?.restart(peer.id)
    }
    const enter = (peer: Peer): Position => {
      restart(peer)
      return { peer, place: random.nextDoubleUnsafe(), connection: peer.connection, sum: random.nextDoubleUnsafe() }
    }
    const starts = RotationOrder.order(ready, previous?.positions() ?? [], enter)
    // Another connection may lead to another process.
    for (const { connection, peer } of starts) if (connection !== peer.connection) restart(peer)
    const peers = starts.map(({ peer }) => peer)
    const connections = peers.map(({ connection }) => connection)

    /** A picker among the peers that a retried call has not tried yet records no weights. */
    const isWholeSet = ready === set.ready
    const own = Picker.sharesOf(peers, set.weightOf)
    const reported = new Float64Array(peers.length).fill(1)
    const strides = new Float64Array(peers.length)
    const sums = new Float64Array(starts.map(({ sum }) => sum))

    const update = (now: number): void => {
      if (reports !== undefined)
        readReports(peers, reports, now, reported, isWholeSet && now > -Infinity ? recorder : undefined)
      let heaviest = 0
      for (let i = 0; i < peers.length; i++) {
        strides[i] = own[i]! * reported[i]!
        heaviest = Math.max(heaviest, strides[i]!)
      }
      for (let i = 0; i < peers.length; i++) strides[i]! /= heaviest
    }
    update(-Infinity)

    let next = RotationOrder.after(starts, previous?.place() ?? -1)
    let updateAt = -Infinity
    return {
      positions: () => starts.map(({ peer, place }, i) => ({ peer, place, connection: connections[i], sum: sums[i]! })),
      place: () => RotationOrder.placeBefore(starts, next),
      pick(_call, now) {
        if (reports !== undefined && now >= updateAt) {
          update(now)
          updateAt = now + period
        }
        while (true) {
          const i = next
          next = i + 1 === peers.length ? 0 : i + 1
          const sum = sums[i]! + strides[i]!
          sums[i] = sum >= 1 ? sum - 1 : sum
          if (sum >= 1) return peers[i]!
        }
      }
    }
  })

/**
 * Picks in turn, by weight: discovery's, as the pool's signals change it, times what the peers report of themselves if
 * `reports` are given. Reports are looked at when calls come, at most every `updatePeriod` (default 1 second, at least 100
 * milliseconds).
 *
 * @example
 * import { Weighted } from "trunkline"
 * import { Weights } from "trunkline/extend"
 *
 * const byDiscovery = Weighted.make()
 *
 * const reports = Weights.make()
 * const byReport = Weighted.make({ reports })
 * // With each answer that carries a report:
 * reports.report("10.0.0.1:50051", { queriesPerSecond: 120, utilization: 0.4 }, 0)
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: {
  readonly reports?: Weights | undefined
  readonly updatePeriod?: Duration.Input | undefined
}): Picker.PickerPolicy => {
  const reports = options?.reports
  const period = Math.max(100, Duration.toMillis(options?.updatePeriod ?? "1 second"))
  return {
    name: "Weighted",
    load: undefined,
    pickers: (sets) =>
      Stream.unwrap(Effect.map(MetricsRecorder.Current, (recorder) => over(reports, period, recorder).pickers(sets)))
  }
}
