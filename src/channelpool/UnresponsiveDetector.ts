/**
 * Telling a connection that is dead from one that is slow.
 *
 * A connection whose other side vanished looks like one whose server thinks: calls on it end at their deadlines. Only
 * several calls in a row, all started after anything was last heard, over some time, say that nobody is there. Whatever is
 * heard starts the count again. After each replacement that brought no answer the time doubles, so that a server that is
 * really slow is not reconnected to for ever.
 */

/**
 * How much silence is too much.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  /** Calls that ended at their deadline. */
  readonly failures: number
  /** Milliseconds without an answer. */
  readonly millis: number
}

/**
 * What was heard on a channel.
 *
 * @category models
 * @since 0.1.0
 */
export class Silence {
  readonly #settings: Settings
  #heard: number
  #failures = 0
  #window: number

  constructor(settings: Settings, now: number) {
    this.#settings = settings
    this.#heard = now
    this.#window = settings.millis
  }

  /** Milliseconds of silence that are too much now. */
  get window(): number {
    return this.#window
  }

  /** Calls that have ended at their deadline since anything was heard. */
  get failures(): number {
    return this.#failures
  }

  /** How long nothing has been heard. */
  silentMillis(now: number): number {
    return now - this.#heard
  }

  /** The server said something. */
  heard(now: number): void {
    this.#heard = now
    this.#failures = 0
    this.#window = this.#settings.millis
  }

  /** A call that started then ended at its deadline; whether that was one too many. */
  timedOut(started: number, now: number): boolean {
    // A call that was under way when something was heard says nothing of the time after.
    if (started < this.#heard) return false
    this.#failures++
    return this.#failures >= this.#settings.failures && now - this.#heard >= this.#window
  }

  /** The connection was replaced; the new one has twice the time to say something. */
  replaced(now: number): void {
    this.#heard = now
    this.#failures = 0
    this.#window *= 2
  }
}
