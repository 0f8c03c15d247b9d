/**
 * The connections of one peer, or of several, counted.
 */
import type { DisconnectError } from "../transport/Disconnect.ts"

const never: ReadonlyMap<DisconnectError, number> = new Map()

/**
 * Connects that became ready, connects that did not, and ready connections that are no more, by what ended them.
 *
 * @category models
 * @since 0.1.0
 */
export class ConnectionCounts {
  made = 0
  failed = 0
  /** Most peers never lose one, so the first loss makes the map. */
  #lost = never

  /** What ended connections, and how many each. */
  get lost(): ReadonlyMap<DisconnectError, number> {
    return this.#lost
  }

  /** Connections are no more: they ended in this way. */
  lose(error: DisconnectError, connections = 1): void {
    this.#lost = new Map(this.#lost).set(error, (this.#lost.get(error) ?? 0) + connections)
  }

  /** Takes over what another has counted. */
  add(other: ConnectionCounts): void {
    this.made += other.made
    this.failed += other.failed
    for (const [error, connections] of other.lost) this.lose(error, connections)
  }
}
