/**
 * A sum over the last so many milliseconds.
 *
 * The window is ten slots that are emptied when somebody looks, so it has neither a timer nor a clock: every caller brings
 * the time it already knows. What comes late, with a time before the newest slot, is counted there.
 */

const slots = 10

/** A sum that forgets; times are milliseconds of the monotonic clock. */
export class SlidingSum {
  readonly #slotMillis: number
  readonly #sums: Float64Array = new Float64Array(slots)
  /** The number of the newest slot, counted from the clock's zero. */
  #newest = 0
  #total = 0

  constructor(windowMillis: number) {
    this.#slotMillis = windowMillis / slots
  }

  add(amount: number, now: number): void {
    this.#forget(now)
    this.#sums[this.#newest % slots]! += amount
    this.#total += amount
  }

  total(now: number): number {
    this.#forget(now)
    return this.#total
  }

  #forget(now: number): void {
    const slot = Math.floor(now / this.#slotMillis)
    if (slot <= this.#newest) return
    const from = Math.max(this.#newest + 1, slot - slots + 1)
    for (let i = from; i <= slot; i++) {
      this.#total -= this.#sums[i % slots]!
      this.#sums[i % slots] = 0
    }
    this.#newest = slot
  }
}
