/**
 * A channel pool as it is at one moment, and what a debug page shows of it.
 */
import type { ChannelPoolReading } from "../introspection/Snapshot.ts"

/**
 * One connection as it is now.
 *
 * @category models
 * @since 0.1.0
 */
export interface ChannelSnapshot {
  readonly id: number
  readonly ready: boolean
  /** Whether it takes no new call and is about to be closed. */
  readonly draining: boolean
  /** Calls under way, and calls ever. */
  readonly load: number
  readonly calls: number
  /** Keys bound to it. */
  readonly keys: number
  /** What its failures weigh in picks now, in calls. */
  readonly penalty: number
}

/**
 * The connections of one endpoint as they are now, and what has happened to them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly endpoint: string
  readonly channels: ReadonlyArray<ChannelSnapshot>
  /** Channels that calls are picked for, how many there may be at most, and how many of them are connected. */
  readonly size: number
  readonly max: number
  readonly ready: number
  /** Calls under way on them. */
  readonly load: number
  readonly keys: number
  /** Connections made and lost, and the longest time, in milliseconds, a channel in use was without one. */
  readonly connects: number
  readonly disconnects: number
  readonly slowestConnectMillis: number
  /** Channels opened; added because the load wanted them, taken back while they drained included; and taken away. */
  readonly opened: number
  readonly added: number
  readonly reused: number
  readonly removed: number
  /** Channels on which nothing was heard, and those of them that were exchanged. */
  readonly silences: number
  readonly replaced: number
  /** Channels that did not get ready to be used. */
  readonly primeFailures: number
  /** Calls of keys that went elsewhere because their channel was not ready, and that found no other. */
  readonly fallbacks: number
  readonly failedFallbacks: number
  /** Calls that ended well, and not. */
  readonly succeeded: number
  readonly failed: number
  /** The most calls one channel had at one time, and the most channels there were. */
  readonly mostLoad: number
  readonly mostChannels: number
}

/** Reads the connections of one endpoint. */
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
