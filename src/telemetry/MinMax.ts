/**
 * The least and the most a number has been since somebody last asked.
 *
 * A gauge that is read each minute says nothing of the seconds between: the burst that filled every connection is over by
 * then. So bounds are kept between two readings, and each reading starts them again from what the number is by then. The
 * least and the most are read, and start again, each by itself, as they are two series. Two readers share the bounds: each
 * sees what has been since either of them looked.
 */

/** A number's bounds since they were last read. */
export class Extremes {
  #least: number
  #most: number

  constructor(value: number) {
    this.#least = value
    this.#most = value
  }

  /** The number has another value. */
  see(value: number): void {
    if (value < this.#least) this.#least = value
    if (value > this.#most) this.#most = value
  }

  /** The least it was, that it is `now` included, which is where it starts again. */
  takeLeast(now: number): number {
    const least = Math.min(this.#least, now)
    this.#least = now
    return least
  }

  /** The most it was. */
  takeMost(now: number): number {
    const most = Math.max(this.#most, now)
    this.#most = now
    return most
  }
}

/** Bounds of a number that is 0. */
export const make = (): Extremes => new Extremes(0)
