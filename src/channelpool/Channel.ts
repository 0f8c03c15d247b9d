/**
 * One of several connections to an endpoint, and the calls on it.
 *
 * A channel outlives its connections. Its peer reconnects after a lost connection and is replaced when it does not respond.
 * Keys that are bound to the channel stay bound to it.
 */
import { type Effect, Latch } from "effect"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import type { AffinityTarget } from "../affinity/AffinityTable.ts"
import * as Penalty from "./Penalty.ts"
import type { UnresponsiveDetector } from "./UnresponsiveDetector.ts"
import type { ChannelPeer } from "./ChannelPeer.ts"

/** A channel of a group. */
export class Channel implements AffinityTarget {
  readonly id: number
  /** The peer that connects it now. */
  current: ChannelPeer
  /** Calls in flight, and all calls so far. */
  load = 0
  calls = 0
  keys = 0
  penalty: Penalty.Penalty = Penalty.none
  readonly detector: UnresponsiveDetector | undefined
  /** How many drains have begun; an earlier drain that wakes up sees that it is outdated. */
  drains = 0
  draining = false
  replacing = false
  readonly #idle: Latch.Latch = Latch.makeUnsafe(true)

  constructor(id: number, current: ChannelPeer, detector: UnresponsiveDetector | undefined) {
    this.id = id
    this.current = current
    this.detector = detector
  }

  /** The connection, if there is one. */
  get connection(): ActiveConnection | undefined {
    return this.current.peer.connection
  }

  get isReady(): boolean {
    return this.current.peer.connection !== undefined
  }

  /** A call starts. */
  enter(): void {
    this.calls++
    if (this.load++ === 0) this.#idle.closeUnsafe()
  }

  /** A call has ended. */
  leave(): void {
    if (--this.load === 0) this.#idle.openUnsafe()
  }

  /** Waits until no call is in flight. */
  get idle(): Effect.Effect<void> {
    return this.#idle.await
  }

  /** The load and the penalty, which picks compare. */
  cost(settings: Penalty.Settings, now: number): number {
    return this.penalty === Penalty.none ? this.load : this.load + Penalty.forPick(this.penalty, settings, now)
  }
}
