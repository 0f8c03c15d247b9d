/**
 * XXH64, the hash gRPC's rings are made with.
 *
 * Its arithmetic is on 64-bit words. Here a word is two 32-bit halves, and what a step makes is left in two variables of
 * this module, because a pair to return would be an allocation.
 *
 * @see https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
 */
import type { Algorithm } from "./Hash64.ts"

/** The word of the last step. */
let high = 0
let low = 0

const p1h = 0x9e3779b1 | 0
const p1l = 0x85ebca87 | 0
const p2h = 0xc2b2ae3d | 0
const p2l = 0x27d4eb4f | 0
const p3h = 0x165667b1 | 0
const p3l = 0x9e3779f9 | 0
const p4h = 0x85ebca77 | 0
const p4l = 0xc2b2ae63 | 0
const p5h = 0x27d4eb2f | 0
const p5l = 0x165667c5 | 0

const add = (ah: number, al: number, bh: number, bl: number): void => {
  low = (al + bl) | 0
  high = (ah + bh + (low >>> 0 < al >>> 0 ? 1 : 0)) | 0
}

/** The upper half of a product of two halves. */
const upper = (a: number, b: number): number => {
  const a0 = a & 0xffff
  const a1 = a >>> 16
  const b0 = b & 0xffff
  const b1 = b >>> 16
  const middle = (Math.imul(a1, b0) + (Math.imul(a0, b0) >>> 16)) | 0
  const carry = ((middle & 0xffff) + Math.imul(a0, b1)) | 0
  return (Math.imul(a1, b1) + (middle >>> 16) + (carry >>> 16)) | 0
}

const multiply = (ah: number, al: number, bh: number, bl: number): void => {
  high = (upper(al, bl) + Math.imul(ah, bl) + Math.imul(al, bh)) | 0
  low = Math.imul(al, bl)
}

/** Turns a word left by 1 to 31 bits. */
const turn = (ah: number, al: number, bits: number): void => {
  high = (ah << bits) | (al >>> (32 - bits))
  low = (al << bits) | (ah >>> (32 - bits))
}

const read32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)

/** Takes the eight bytes at `at` into a lane. */
const round = (ah: number, al: number, bytes: Uint8Array, at: number): void => {
  multiply(read32(bytes, at + 4), read32(bytes, at), p2h, p2l)
  mix(ah, al)
}

/** Adds the word of the last step to a lane, and stirs. */
const mix = (ah: number, al: number): void => {
  add(ah, al, high, low)
  turn(high, low, 31)
  multiply(high, low, p1h, p1l)
}

/** Joins a lane to the hash. */
const join = (ah: number, al: number, laneHigh: number, laneLow: number): void => {
  multiply(laneHigh, laneLow, p2h, p2l)
  mix(0, 0)
  multiply(ah ^ high, al ^ low, p1h, p1l)
  add(high, low, p4h, p4l)
}

/** The stripes of 32 bytes, each over four lanes; says where they end. */
const stripes = (bytes: Uint8Array, length: number): number => {
  add(p1h, p1l, p2h, p2l)
  let ah = high
  let al = low
  let bh = p2h
  let bl = p2l
  let ch = 0
  let cl = 0
  add(~p1h, ~p1l, 0, 1)
  let dh = high
  let dl = low
  let at = 0
  for (; at + 32 <= length; at += 32) {
    round(ah, al, bytes, at)
    ah = high
    al = low
    round(bh, bl, bytes, at + 8)
    bh = high
    bl = low
    round(ch, cl, bytes, at + 16)
    ch = high
    cl = low
    round(dh, dl, bytes, at + 24)
    dh = high
    dl = low
  }
  turn(ah, al, 1)
  const sh = high
  const sl = low
  turn(bh, bl, 7)
  add(sh, sl, high, low)
  const th = high
  const tl = low
  turn(ch, cl, 12)
  add(th, tl, high, low)
  const uh = high
  const ul = low
  turn(dh, dl, 18)
  add(uh, ul, high, low)
  join(high, low, ah, al)
  join(high, low, bh, bl)
  join(high, low, ch, cl)
  join(high, low, dh, dl)
  return at
}

/**
 * Hashes bytes, with the seed 0.
 *
 * @category algorithms
 * @since 0.1.0
 */
export const hash: Algorithm = (bytes, length, into) => {
  let at = 0
  high = p5h
  low = p5l
  if (length >= 32) at = stripes(bytes, length)
  add(high, low, 0, length)
  for (; at + 8 <= length; at += 8) {
    const h = high
    const l = low
    round(0, 0, bytes, at)
    turn(high ^ h, low ^ l, 27)
    multiply(high, low, p1h, p1l)
    add(high, low, p4h, p4l)
  }
  if (at + 4 <= length) {
    const h = high
    const l = low
    multiply(0, read32(bytes, at), p1h, p1l)
    turn(high ^ h, low ^ l, 23)
    multiply(high, low, p2h, p2l)
    add(high, low, p3h, p3l)
    at += 4
  }
  for (; at < length; at++) {
    const h = high
    const l = low
    multiply(0, bytes[at]!, p5h, p5l)
    turn(high ^ h, low ^ l, 11)
    multiply(high, low, p1h, p1l)
  }
  multiply(high, low ^ (high >>> 1), p2h, p2l)
  multiply(high ^ (high >>> 29), low ^ ((high << 3) | (low >>> 29)), p3h, p3l)
  into.high = high
  into.low = low ^ high
}
