/** What a simulation is of: its servers, its clients and how long it runs. */
import type { Duration } from "effect"
import type { Client } from "./SimulationClient.ts"
import type { Server } from "./SimulationServer.ts"

/**
 * What to simulate.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** They are called `server-0:1` and so on, in this order. */
  readonly servers: ReadonlyArray<Server>
  readonly clients: ReadonlyArray<Client>
  /** How long calls are begun. */
  readonly duration: Duration.Input
  /** How long calls may go on after that; what has not ended then is `unfinished`. Default 10 minutes. */
  readonly drain?: Duration.Input | undefined
  /** Another seed is another course of events. Default always the same one. */
  readonly seed?: string | number | undefined
}
