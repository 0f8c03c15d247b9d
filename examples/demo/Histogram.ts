/**
 * Latencies, for their percentiles.
 *
 * A run may record a million of them. Buckets that each are 2 % wider than the one before answer within 1 % and take the
 * same few kilobytes however many there are.
 */

/** The upper end of the first bucket and the lower end of the last, in milliseconds. */
const least = 0.01
const most = 600_000

const growth = Math.log(1.02)

const bucketOf = (millis: number): number =>
  millis <= least ? 0 : Math.ceil(Math.log(Math.min(millis, most) / least) / growth)

/** The middle of a bucket, as logarithms go. */
const middleOf = (bucket: number): number => least * Math.exp((bucket - 0.5) * growth)

export class Histogram {
  readonly #counts = new Uint32Array(bucketOf(most) + 1)
  #count = 0
  #max = 0

  get count(): number {
    return this.#count
  }

  /** The largest latency, exactly. */
  get max(): number {
    return this.#max
  }

  record(millis: number): void {
    this.#counts[bucketOf(millis)]!++
    this.#count++
    this.#max = Math.max(this.#max, millis)
  }

  /** The latency that so many of a hundred do not exceed; nothing if none was recorded. */
  percentile(percent: number): number | undefined {
    if (this.#count === 0) return undefined
    const rank = Math.min(this.#count, Math.max(1, Math.ceil((percent / 100) * this.#count)))
    if (rank === this.#count) return this.#max
    let bucket = 0
    for (let seen = this.#counts[0]!; seen < rank; seen += this.#counts[bucket]!) bucket++
    return Math.min(this.#max, middleOf(bucket))
  }

  /** Records all that another has recorded. */
  add(other: Histogram): this {
    for (let i = 0; i < this.#counts.length; i++) this.#counts[i]! += other.#counts[i]!
    this.#count += other.#count
    this.#max = Math.max(this.#max, other.#max)
    return this
  }

  clear(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#max = 0
  }
}
