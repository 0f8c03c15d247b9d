/**
 * The counts, bounds and durations of the channels of one endpoint.
 *
 * Counts and bounds are always kept, since each costs an addition or a comparison. Bounds hold from one reading to the next.
 * Durations go to a recorder, if metrics are on.
 */
import * as MinMax from "../telemetry/MinMax.ts"

/** Receives durations, for histograms. */
export interface Recorder {
  /** A channel connected, so many milliseconds after it had begun to. */
  readonly connected: (millis: number) => void
  /** A channel was found unresponsive: the milliseconds since its last response, and the calls that timed out since. */
  readonly unresponsive: (millis: number, calls: number) => void
}

/** Cumulative counts, and bounds. */
export class ChannelStats {
  readonly totals = {
    connects: 0,
    disconnects: 0,
    slowestConnectMillis: 0,
    opened: 0,
    added: 0,
    reused: 0,
    removed: 0,
    silences: 0,
    replaced: 0,
    primeFailures: 0,
    succeeded: 0,
    failed: 0,
    peakLoad: 0,
    peakChannels: 0
  }
  readonly channels: MinMax.Extremes = MinMax.make()
  readonly ready: MinMax.Extremes = MinMax.make()
  readonly load: MinMax.Extremes = MinMax.make()
  readonly loadOfChannel: MinMax.Extremes = MinMax.make()
  readonly #recorder: Recorder | undefined

  constructor(recorder: Recorder | undefined) {
    this.#recorder = recorder
  }

  /** The number of active channels, or of ready ones, has changed. */
  recordSize(channels: number, ready: number): void {
    if (channels > this.totals.peakChannels) this.totals.peakChannels = channels
    this.channels.see(channels)
    this.ready.see(ready)
  }

  /** The calls in flight on one channel, and on all, have changed. */
  recordLoad(ofChannel: number, ofAll: number): void {
    if (ofChannel > this.totals.peakLoad) this.totals.peakLoad = ofChannel
    this.loadOfChannel.see(ofChannel)
    this.load.see(ofAll)
  }

  recordConnect(millis: number): void {
    this.totals.connects++
    this.totals.slowestConnectMillis = Math.max(this.totals.slowestConnectMillis, millis)
    this.#recorder?.connected(millis)
  }

  recordUnresponsive(millis: number, calls: number): void {
    this.totals.silences++
    this.#recorder?.unresponsive(millis, calls)
  }
}
