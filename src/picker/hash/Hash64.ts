/**
 * Hashes of keys without allocation.
 *
 * A pick by key hashes on the hot path, and 64 bits fit in no JavaScript number that is not allocated: a `bigint` always
 * is, and so is a fraction or an integer beyond 32 bits once it leaves the function that made it. So a hash writes two
 * 32-bit halves into an object its picker owns, and text becomes UTF-8 in a buffer that is used again.
 */

/**
 * A key as a call gives it.
 *
 * @category models
 * @since 0.1.0
 */
export type Key = string | Uint8Array

/**
 * Hashes the first `length` bytes into two 32-bit halves, signed. A hash of 32 bits leaves `low` 0.
 *
 * @category models
 * @since 0.1.0
 */
export type Algorithm = (bytes: Uint8Array, length: number, into: Hash64) => void

const lead = (code: number): boolean => code >= 0xd800 && code < 0xdc00
const trail = (code: number): boolean => code >= 0xdc00 && code < 0xe000

/**
 * A hash, and the buffer it reads text from.
 *
 * @category models
 * @since 0.1.0
 */
export class Hash64 {
  high = 0
  low = 0
  readonly #algorithm: Algorithm
  #buffer = new Uint8Array(192)

  constructor(algorithm: Algorithm) {
    this.#algorithm = algorithm
  }

  /** Becomes the hash of a key; text is hashed as UTF-8. */
  read(key: Key): void {
    if (typeof key !== "string") return this.#algorithm(key, key.length, this)
    const length = this.#encode(key)
    this.#algorithm(this.#buffer, length, this)
  }

  /** Becomes two halves as they are, such as random ones. */
  place(high: number, low: number): void {
    this.high = high
    this.low = low
  }

  /** Writes text into the buffer as `TextEncoder` would, and says how long it is. */
  #encode(text: string): number {
    if (this.#buffer.length < text.length * 3) this.#buffer = new Uint8Array(text.length * 6)
    const buffer = this.#buffer
    let length = 0
    for (let i = 0; i < text.length; i++) {
      let code = text.charCodeAt(i)
      if (code < 0x80) {
        buffer[length++] = code
        continue
      }
      if (lead(code) && trail(text.charCodeAt(i + 1))) {
        code = 0x10000 + ((code - 0xd800) << 10) + (text.charCodeAt(++i) - 0xdc00)
        buffer[length++] = 0xf0 | (code >> 18)
        buffer[length++] = 0x80 | ((code >> 12) & 0x3f)
      } else if (code < 0x800) {
        buffer[length++] = 0xc0 | (code >> 6)
        buffer[length++] = 0x80 | (code & 0x3f)
        continue
      } else {
        if (lead(code) || trail(code)) code = 0xfffd
        buffer[length++] = 0xe0 | (code >> 12)
      }
      buffer[length++] = 0x80 | ((code >> 6) & 0x3f)
      buffer[length++] = 0x80 | (code & 0x3f)
    }
    return length
  }
}
