/**
 * What a channel pool shows of itself to whoever debugs the program.
 */
import type { ChannelPoolReading } from "../observe/Snapshot.ts"
import type { Snapshot } from "./ChannelPool.ts"

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
