/**
 * The latency of the last full period, by percentile.
 *
 * Answers are counted in buckets of one millisecond up to 128, and of at most a sixty-fourth of their size beyond. Two
 * periods are kept: the one being filled and the full one before it, which is the one that is read, so that a percentile
 * does not jump with every answer. Periods change when somebody looks; there is no timer.
 */

/** Milliseconds of a period. */
const period = 3000

/** Buckets that are one millisecond wide. */
const exact = 128
/** Buckets of each later doubling. */
const perDoubling = 64
/** Doublings: up to about 70 minutes, which is where everything longer is counted. */
const doublings = 15

const bucketOf = (millis: number): number => {
  const value = Math.max(1, Math.ceil(millis))
  if (value < exact) return value
  const doubling = Math.min(doublings - 1, 31 - Math.clz32(Math.min(value, 2 ** 30)) - 7)
  const width = 2 ** (doubling + 1)
  return exact + doubling * perDoubling + Math.min(perDoubling - 1, Math.floor((value - exact * 2 ** doubling) / width))
}

/** The longest latency of a bucket, in milliseconds. */
const upperBound = (bucket: number): number => {
  if (bucket < exact) return bucket
  const doubling = Math.floor((bucket - exact) / perDoubling)
  const within = (bucket - exact) % perDoubling
  return exact * 2 ** doubling + (within + 1) * 2 ** (doubling + 1) - 1
}

class Histogram {
  readonly counts: Uint32Array = new Uint32Array(exact + doublings * perDoubling)
  total = 0

  clear(): void {
    if (this.total > 0) this.counts.fill(0)
    this.total = 0
  }
}

/** What is known of a method's latencies. Times are milliseconds of the monotonic clock. */
export class LatencyWindow {
  #filling = new Histogram()
  #full = new Histogram()
  #number = 0

  /** An answer came after `millis`. */
  add(millis: number, now: number): void {
    this.#turn(now)
    this.#filling.counts[bucketOf(millis)]!++
    this.#filling.total++
  }

  /** The latency, at least 1 ms, that so many percent of the answers kept; `undefined` with fewer than `minSamples`. */
  percentile(percentile: number, minSamples: number, now: number): number | undefined {
    this.#turn(now)
    const { counts, total } = this.#full
    if (total < Math.max(1, minSamples)) return undefined
    const rank = Math.min(total, Math.max(1, Math.ceil((percentile / 100) * total)))
    let seen = 0
    for (let bucket = 1; bucket < counts.length; bucket++) {
      seen += counts[bucket]!
      if (seen >= rank) return upperBound(bucket)
    }
    return undefined
  }

  #turn(now: number): void {
    const number = Math.floor(now / period)
    if (number <= this.#number) return
    const last = this.#full
    this.#full = this.#filling
    this.#filling = last
    last.clear()
    // After a silence the period before this one was empty.
    if (number > this.#number + 1) this.#full.clear()
    this.#number = number
  }
}
