/**
 * Points on a circle, and whose point is the next one.
 *
 * Points are kept sorted in typed arrays, with an index from the upper bits of a hash to where its points begin, so that
 * a look-up is a step or two and not a binary search. When members come and go their points are merged in and left out in
 * one pass; the points of those that stay are neither hashed nor sorted again.
 */
import type { Hash64 } from "./Hash64.ts"

/**
 * Sorted points and the index over them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ring {
  readonly size: number
  /** The two halves of each point, unsigned. */
  readonly high: Uint32Array
  readonly low: Uint32Array
  /** Which member each point belongs to. */
  readonly owner: Uint32Array
  /** For each value of a hash's upper bits, the first point that is not before it. */
  readonly starts: Uint32Array
  /** How many lower bits the index leaves out. */
  readonly shift: number
}

/** An index with about as many places as there are points. */
const layout = (size: number): Pick<Ring, "starts" | "shift"> => {
  const bits = Math.max(1, 32 - Math.clz32(size))
  return { starts: new Uint32Array(2 ** bits + 1), shift: 32 - bits }
}

const index = (high: Uint32Array, size: number): Pick<Ring, "starts" | "shift"> => {
  const { shift, starts } = layout(size)
  let bucket = 0
  for (let i = 0; i < size; i++) {
    const of = high[i]! >>> shift
    while (bucket <= of) starts[bucket++] = i
  }
  starts.fill(size, bucket)
  return { starts, shift }
}

/**
 * The ring without points.
 *
 * @category constructors
 * @since 0.1.0
 */
export const empty: Ring = {
  size: 0,
  high: new Uint32Array(0),
  low: new Uint32Array(0),
  owner: new Uint32Array(0),
  ...index(new Uint32Array(0), 0)
}

/**
 * Merges two rings. `keep` and `join` say, for each member of either, which member of the outcome it is; -1 in `keep`
 * leaves its points out. Of equal points the one with the lower member comes first.
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge = (a: Ring, keep: Int32Array, b: Ring, join: Int32Array): Ring => {
  const high = new Uint32Array(a.size + b.size)
  const low = new Uint32Array(a.size + b.size)
  const owner = new Uint32Array(a.size + b.size)
  let size = 0
  let i = 0
  let j = 0
  while (i < a.size || j < b.size) {
    const kept = i < a.size ? keep[a.owner[i]!]! : -1
    if (i < a.size && kept < 0) {
      i++
      continue
    }
    const joined = j < b.size ? join[b.owner[j]!]! : -1
    const fromA =
      j === b.size || (i < a.size && (a.high[i]! - b.high[j]! || a.low[i]! - b.low[j]! || kept - joined) < 0)
    high[size] = fromA ? a.high[i]! : b.high[j]!
    low[size] = fromA ? a.low[i]! : b.low[j]!
    owner[size++] = fromA ? kept : joined
    if (fromA) i++
    else j++
  }
  return { size, high, low, owner, ...index(high, size) }
}

/** Puts the points of each bucket in order; there are one or two. */
const sortWithin = (starts: Uint32Array, high: Uint32Array, low: Uint32Array, owner: Uint32Array): void => {
  for (let bucket = 0; bucket + 1 < starts.length; bucket++) {
    for (let i = starts[bucket]! + 1; i < starts[bucket + 1]!; i++) {
      const h = high[i]!
      const l = low[i]!
      const member = owner[i]!
      let at = i
      for (; at > starts[bucket]!; at--) {
        const other = high[at - 1]! - h || low[at - 1]! - l || owner[at - 1]! - member
        if (other <= 0) break
        high[at] = high[at - 1]!
        low[at] = low[at - 1]!
        owner[at] = owner[at - 1]!
      }
      high[at] = h
      low[at] = l
      owner[at] = member
    }
  }
}

/**
 * Sorts the points of some members: `counts` of each, where `point` makes `hash` the `i`-th of one. Of equal points the one
 * with the lower member comes first.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (counts: ReadonlyArray<number>, hash: Hash64, point: (member: number, i: number) => void): Ring => {
  const size = counts.reduce((sum, count) => sum + count, 0)
  const { shift, starts } = layout(size)
  const unsorted = { high: new Uint32Array(size), low: new Uint32Array(size), owner: new Uint32Array(size) }
  let n = 0
  counts.forEach((count, member) => {
    for (let i = 0; i < count; i++) {
      point(member, i)
      unsorted.high[n] = hash.high
      unsorted.low[n] = hash.low
      unsorted.owner[n++] = member
      starts[(hash.high >>> shift) + 1]!++
    }
  })
  for (let bucket = 1; bucket < starts.length; bucket++) starts[bucket]! += starts[bucket - 1]!
  const next = starts.slice()
  const high = new Uint32Array(size)
  const low = new Uint32Array(size)
  const owner = new Uint32Array(size)
  for (let i = 0; i < size; i++) {
    const at = next[unsorted.high[i]! >>> shift]!++
    high[at] = unsorted.high[i]!
    low[at] = unsorted.low[i]!
    owner[at] = unsorted.owner[i]!
  }
  sortWithin(starts, high, low, owner)
  return { size, high, low, owner, starts, shift }
}

/**
 * Where the first point is that is not before a hash; after the last one comes the first.
 *
 * @category getters
 * @since 0.1.0
 */
export const find = (self: Ring, hash: Hash64): number => {
  const { high, low, size } = self
  const h = hash.high >>> 0
  const l = hash.low >>> 0
  let i = self.starts[h >>> self.shift]!
  while (i < size && (high[i]! < h || (high[i] === h && low[i]! < l))) i++
  return i === size ? 0 : i
}
