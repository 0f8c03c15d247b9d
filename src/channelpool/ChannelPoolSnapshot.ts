/**
 * A snapshot of a channel pool, and its part that the debug page shows.
 */
import type { ChannelPoolReading } from "../introspection/Snapshot.ts"

/**
 * One connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChannelSnapshot {
  readonly id: number
  readonly ready: boolean
  /** Whether it takes no new calls and closes when it is idle. */
  readonly draining: boolean
  /** Calls in flight, and all calls so far. */
  readonly load: number
  readonly calls: number
  /** Keys bound to it. */
  readonly keys: number
  /** The calls that its failures count as in picks. */
  readonly penalty: number
}

/**
 * The connections of one endpoint as they are now, and their counts.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly endpoint: string
  readonly channels: ReadonlyArray<ChannelSnapshot>
  /** Active channels, their maximum, and how many of them are connected. */
  readonly size: number
  readonly max: number
  readonly ready: number
  /** Calls in flight on them. */
  readonly load: number
  readonly keys: number
  /** Connections made and lost, and the longest time a channel took to connect, in milliseconds. */
  readonly connects: number
  readonly disconnects: number
  readonly slowestConnectMillis: number
  /** Channels opened; added for a high load, of those reused while they drained; and removed. */
  readonly opened: number
  readonly added: number
  readonly reused: number
  readonly removed: number
  /** Unresponsive channels found, and those of them that were replaced. */
  readonly silences: number
  readonly replaced: number
  /** Channels that could not be primed. */
  readonly primeFailures: number
  /** Calls of keys that used another channel because theirs was not ready, and that found none. */
  readonly fallbacks: number
  readonly failedFallbacks: number
  /** Calls that succeeded and failed. */
  readonly succeeded: number
  readonly failed: number
  /** The maximum of calls in flight on one channel so far, and of active channels. */
  readonly peakLoad: number
  readonly peakChannels: number
}

/** The part that the debug page shows. */
export const make = ({
  channels,
  endpoint,
  failedFallbacks,
  fallbacks,
  keys,
  load,
  max,
  primeFailures,
  ready,
  silences
}: Snapshot): ChannelPoolReading => ({
  endpoint,
  max,
  ready,
  load,
  keys,
  silences,
  primeFailures,
  fallbacks,
  failedFallbacks,
  channels
})
