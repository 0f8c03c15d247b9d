/**
 * Chance for the hot path.
 *
 * A random fraction is a number on the heap each time, whoever makes it. Whole numbers of 32 bits are not. So a picker
 * throws its own dice (sfc32), which the random source of the context has seeded: the same seed throws the same.
 *
 * @see https://pracrand.sourceforge.net/RNG_engines.txt
 */
import type { Random } from "effect"

/** Throws until the seed has spread. */
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
    for (let i = 0; i < warmUp; i++) this.throw()
  }

  /** 32 random bits, signed. */
  throw(): number {
    const thrown = (((this.#a + this.#b) | 0) + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + thrown) | 0
    return thrown
  }

  /** A whole number from 0 up to `sides`, each with the same chance. */
  below(sides: number): number {
    return Math.floor(((this.throw() >>> 0) * sides) / 2 ** 32)
  }
}
