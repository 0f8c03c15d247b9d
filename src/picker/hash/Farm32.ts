/**
 * FarmHash's 32-bit fingerprint, the hash of ringpop's and YARPC's ring.
 *
 * @see https://github.com/google/farmhash/blob/master/Understanding_Hash_Functions
 */
import type { Algorithm } from "./Hash64.ts"

const c1 = 0xcc9e2d51 | 0
const c2 = 0x1b873593 | 0

const read32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)

/** Turns right. */
const turn = (a: number, bits: number): number => (a >>> bits) | (a << (32 - bits))

const stir = (h: number): number => (Math.imul(turn(h, 19), 5) + 0xe6546b64) | 0

const scramble = (a: number): number => Math.imul(turn(Math.imul(a, c1), 17), c2)

/** Takes a word into a hash. */
const take = (a: number, h: number): number => stir(h ^ scramble(a))

const finish = (h: number): number => {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

const upTo4 = (bytes: Uint8Array, length: number): number => {
  let b = 0
  let c = 9
  for (let i = 0; i < length; i++) {
    // The bytes are signed here.
    b = (Math.imul(b, c1) + ((bytes[i]! << 24) >> 24)) | 0
    c ^= b
  }
  return finish(take(b, take(length, c)))
}

const upTo12 = (bytes: Uint8Array, length: number): number => {
  const a = (length + read32(bytes, 0)) | 0
  const b = (length * 5 + read32(bytes, length - 4)) | 0
  const c = (9 + read32(bytes, (length >>> 1) & 4)) | 0
  return finish(take(c, take(b, take(a, length * 5))))
}

const upTo24 = (bytes: Uint8Array, length: number): number => {
  const middle = length >>> 1
  const c = read32(bytes, length - 8)
  const d = read32(bytes, middle)
  const f = read32(bytes, length - 4)
  let a = (turn(read32(bytes, middle - 4), 12) + f) | 0
  let h = (take(c, (Math.imul(d, c1) + length) | 0) + a) | 0
  a = (turn(a, 3) + c) | 0
  h = (take(read32(bytes, 0), h) + a) | 0
  a = (turn((a + f) | 0, 12) + d) | 0
  return finish((take(read32(bytes, 4), h) + a) | 0)
}

const longer = (bytes: Uint8Array, length: number): number => {
  let h = length
  let g = Math.imul(c1, length)
  let f = g
  h = take(read32(bytes, length - 16), take(read32(bytes, length - 4), h))
  g = take(read32(bytes, length - 12), take(read32(bytes, length - 8), g))
  f = (turn((f + scramble(read32(bytes, length - 20))) | 0, 19) + 113) | 0
  for (let at = 0, rounds = Math.floor((length - 1) / 20); rounds > 0; rounds--, at += 20) {
    const a = read32(bytes, at)
    const b = read32(bytes, at + 4)
    const c = read32(bytes, at + 8)
    const d = read32(bytes, at + 12)
    const e = read32(bytes, at + 16)
    h = (take(d, (h + a) | 0) + e) | 0
    g = (take(c, (g + b) | 0) + a) | 0
    f = (take((b + Math.imul(e, c1)) | 0, (f + c) | 0) + d) | 0
    f = (f + g) | 0
    g = (g + f) | 0
  }
  g = Math.imul(turn(Math.imul(turn(g, 11), c1), 17), c1)
  f = Math.imul(turn(Math.imul(turn(f, 11), c1), 17), c1)
  h = Math.imul(turn(stir((h + g) | 0), 17), c1)
  return Math.imul(turn(stir((h + f) | 0), 17), c1)
}

/**
 * Hashes bytes to 32 bits.
 *
 * @category algorithms
 * @since 0.1.0
 */
export const hash: Algorithm = (bytes, length, into) => {
  const shape = length <= 4 ? upTo4 : length <= 12 ? upTo12 : length <= 24 ? upTo24 : longer
  into.high = shape(bytes, length)
  into.low = 0
}
