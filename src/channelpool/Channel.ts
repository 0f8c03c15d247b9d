/**
 * One of several connections to an endpoint, and the calls on it.
 *
 * A channel is a place, not a socket: the peer in it connects again when its connection is lost, and is exchanged for
 * another when it does not answer any more. What is bound to a place stays bound to it.
 */
import { type Effect, Latch } from "effect"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import type { Place } from "../affinity/AffinityTable.ts"
import * as Penalty from "./Penalty.ts"
import type { Silence } from "./UnresponsiveDetector.ts"
import type { Tenant } from "./ChannelConnection.ts"

/** A place for a connection. */
export class Channel implements Place {
  readonly id: number
  tenant: Tenant
  /** Calls under way, and calls ever. */
  load = 0
  calls = 0
  keys = 0
  penalty: Penalty.Penalty = Penalty.none
  readonly silence: Silence | undefined
  /** How often it was taken out of use; the number of the drain that is under way. */
  drains = 0
  draining = false
  replacing = false
  readonly #idle: Latch.Latch = Latch.makeUnsafe(true)

  constructor(id: number, tenant: Tenant, silence: Silence | undefined) {
    this.id = id
    this.tenant = tenant
    this.silence = silence
  }

  /** The connection, if there is one. */
  get connection(): ActiveConnection | undefined {
    return this.tenant.peer.connection
  }

  get isReady(): boolean {
    return this.tenant.peer.connection !== undefined
  }

  enter(): void {
    this.calls++
    if (this.load++ === 0) this.#idle.closeUnsafe()
  }

  leave(): void {
    if (--this.load === 0) this.#idle.openUnsafe()
  }

  /** Waits until no call is on it. */
  get idle(): Effect.Effect<void> {
    return this.#idle.await
  }

  /** What a pick compares. */
  cost(settings: Penalty.Settings, now: number): number {
    return this.penalty === Penalty.none ? this.load : this.load + Penalty.forPick(this.penalty, settings, now)
  }
}
