/**
 * Tells a dead connection from a slow server (grpc-gcp's unresponsive detection).
 *
 * On both, calls end at their deadline. A connection counts as unresponsive after several such calls in a row, all started
 * after the last response, and a minimum time without a response. Each response resets the count. Each replacement without
 * a response doubles the time, so that a slow server is not reconnected to for ever.
 */

/**
 * When a connection counts as unresponsive.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** Calls in a row that ended at their deadline. */
  readonly failures: number
  /** Milliseconds without a response. */
  readonly millis: number
}

/**
 * The detector of one channel.
 *
 * @category models
 * @since 0.1.0
 */
export class UnresponsiveDetector {
  readonly #settings: Settings
  #respondedAt: number
  #timeouts = 0
  #window: number

  constructor(settings: Settings, now: number) {
    this.#settings = settings
    this.#respondedAt = now
    this.#window = settings.millis
  }

  /** Milliseconds without a response after which the connection counts as unresponsive. */
  get window(): number {
    return this.#window
  }

  /** Calls that ended at their deadline since the last response. */
  get timeouts(): number {
    return this.#timeouts
  }

  /** Milliseconds since the last response. */
  millisSinceResponse(now: number): number {
    return now - this.#respondedAt
  }

  /** The server responded. */
  recordResponse(now: number): void {
    this.#respondedAt = now
    this.#timeouts = 0
    this.#window = this.#settings.millis
  }

  /** A call ended at its deadline. Returns whether the connection counts as unresponsive now. */
  recordTimeout(startedAt: number, now: number): boolean {
    // A call that was in flight at the last response tells nothing about the time after it.
    if (startedAt < this.#respondedAt) return false
    this.#timeouts++
    return this.#timeouts >= this.#settings.failures && now - this.#respondedAt >= this.#window
  }

  /** The connection was replaced. The new one has twice the time to respond. */
  recordReplacement(now: number): void {
    this.#respondedAt = now
    this.#timeouts = 0
    this.#window *= 2
  }
}
