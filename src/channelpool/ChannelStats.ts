/**
 * What has happened on the channels of one endpoint, in numbers.
 *
 * Everything is counted whether anybody looks or not: it is an addition each. Bounds are kept between two looks of whoever
 * reports them; how long things took goes to a meter, if there is one.
 */
import * as MinMax from "../telemetry/MinMax.ts"

/** Who is told how long things took. */
export interface Meter {
  /** A channel got its connection, so many milliseconds after it had wanted one. */
  readonly connected: (millis: number) => void
  /** Nothing had been heard on a channel for so many milliseconds, and so many calls had ended at their deadline. */
  readonly silent: (millis: number, calls: number) => void
}

/** Counts that only grow, and bounds. */
export class Counts {
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
    mostLoad: 0,
    mostChannels: 0
  }
  readonly channels: MinMax.Extremes = MinMax.make()
  readonly ready: MinMax.Extremes = MinMax.make()
  readonly load: MinMax.Extremes = MinMax.make()
  readonly loadOfChannel: MinMax.Extremes = MinMax.make()
  readonly #meter: Meter | undefined

  constructor(meter: Meter | undefined) {
    this.#meter = meter
  }

  /** The channels in use and how many of them are ready are others now. */
  size(channels: number, ready: number): void {
    if (channels > this.totals.mostChannels) this.totals.mostChannels = channels
    this.channels.see(channels)
    this.ready.see(ready)
  }

  /** A call more or less on one channel, and on all. */
  busy(ofChannel: number, ofAll: number): void {
    if (ofChannel > this.totals.mostLoad) this.totals.mostLoad = ofChannel
    this.loadOfChannel.see(ofChannel)
    this.load.see(ofAll)
  }

  connected(millis: number): void {
    this.totals.connects++
    this.totals.slowestConnectMillis = Math.max(this.totals.slowestConnectMillis, millis)
    this.#meter?.connected(millis)
  }

  silent(millis: number, calls: number): void {
    this.totals.silences++
    this.#meter?.silent(millis, calls)
  }
}
