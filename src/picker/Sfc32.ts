/**
 * Random numbers for the hot path.
 *
 * JavaScript engines put each random fraction on the heap, but not whole numbers of 32 bits. So a picker has a generator of
 * its own (sfc32). The random source of the context seeds it: the same seed gives the same numbers.
 *
 * @see https://pracrand.sourceforge.net/RNG_engines.txt
 */
import type { Random } from "effect"

/** How many numbers are drawn until every bit of the seed has spread. */
const warmUp = 12

/**
 * A small random number generator.
 *
 * @category models
 * @since 0.1.0
 */
export class Sfc32 {
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(random: Random.Random) {
    this.#a = (random.nextDoubleUnsafe() * 2 ** 32) | 0
    this.#b = (random.nextDoubleUnsafe() * 2 ** 32) | 0
    this.#c = (random.nextDoubleUnsafe() * 2 ** 32) | 0
    for (let i = 0; i < warmUp; i++) this.next()
  }

  /** 32 random bits, signed. */
  next(): number {
    const bits = (((this.#a + this.#b) | 0) + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + bits) | 0
    return bits
  }

  /** A whole number from 0 to `bound` - 1, each with the same chance. */
  below(bound: number): number {
    return Math.floor(((this.next() >>> 0) * bound) / 2 ** 32)
  }
}
