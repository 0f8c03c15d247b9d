/** What was recorded in the last whole second: what a live table shows. Instants are milliseconds. */
import { Histogram } from "./Histogram.ts"

const secondOf = (now: number): number => Math.floor(now / 1000)

export class LastSecond {
  #second = -Infinity
  #running = new Histogram()
  #complete = new Histogram()

  record(millis: number, now: number): void {
    this.#turn(now)
    this.#running.record(millis)
  }

  /** The latencies recorded in the second before the running one. */
  at(now: number): Histogram {
    this.#turn(now)
    return this.#complete
  }

  #turn(now: number): void {
    const passed = secondOf(now) - this.#second
    if (passed === 0) return
    const oldest = this.#complete
    oldest.clear()
    this.#complete = this.#running
    this.#running = oldest
    if (passed !== 1) this.#complete.clear()
    this.#second = secondOf(now)
  }
}
