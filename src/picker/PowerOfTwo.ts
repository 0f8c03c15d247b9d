/**
 * The better of two peers chosen at random.
 *
 * Two distinct samples and a comparison get within a hair of the best peer at a cost that does not grow with the pool,
 * and, unlike an exact minimum, many clients with the same stale idea of the load do not all run to the same peer.
 *
 * Where weights differ the two samples are distinct as well, or a peer that fails would be compared with itself. Each peer is
 * in a pair as often as twice its weight says, so if all do equally well, and a pair is decided by chance, shares follow the
 * weights; and a peer that looks free, as a new one of little weight does, gets twice its share at most. Such pairs come of a
 * first draw by w (1 - w) / (1 - 2w), where w is a part of all weights, and a second by weight among the others (Brewer).
 *
 * No peer can be in more than all pairs. One that has more than half of all weights is in each, and then chance must favour it:
 * in 2w - 1 of the picks it is preferred unless it has too many calls for its weight, or is much slower than the other.
 *
 * @see Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001
 * @see Brewer, "A Model of Systematic Sampling with Unequal Probabilities", 1963 (and Brewer and Hanif, 1983, method 1)
 */
import type { Peer } from "../peer/Peer.ts"
import { Sfc32 } from "./Sfc32.ts"
import * as PendingLoad from "./PendingLoad.ts"
import * as Picker from "./Picker.ts"

/** Weights of peers added up: the place where each one's part of the line ends. */
const line = (weights: Float64Array): Float64Array => {
  let end = 0
  return weights.map((weight) => (end += weight))
}

/** Whose part of the line a place is in. */
const find = (ends: Float64Array, place: number): number => {
  let low = 0
  let high = ends.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (place < ends[middle]!) high = middle
    else low = middle + 1
  }
  return low
}

/**
 * The better of two distinct samples.
 *
 * They are drawn one pick ahead. Which of two peers is better nobody can foresee, also no processor, and while it makes good
 * for a wrong guess it need not wait for the generator as well.
 */
const equal = (ready: ReadonlyArray<Peer>, load: Picker.Load, generator: Sfc32): Picker.Picker => {
  const count = ready.length
  const all = ready.map(({ stats }) => stats)
  let first = all[0]!
  let second = all[1]!
  const draw = (): void => {
    // One throw for both: where in the first's part of the line it fell says how many further on the second is.
    const place = ((generator.next() >>> 0) * count) / 2 ** 32
    const i = place | 0
    const past = i + 1 + (((place - i) * (count - 1)) | 0) - count
    first = all[i]!
    // Around the end, without another guess: the sign of `past` is a mask.
    second = all[past + (count & (past >> 31))]!
  }
  draw()
  return {
    pick(_call, now) {
      const a = first
      const b = second
      draw()
      return (load.cost(b, now) < load.cost(a, now) ? b : a).peer
    }
  }
}

/** How much slower a peer that is preferred for its weight may be. */
const muchSlower = 10

/** Whether a cost is less by so much that not chance decides. */
const isBetter = (cost: number, other: number): boolean => cost * 1.01 < other

/** Each peer's part of all weights. */
const partsOf = (ready: ReadonlyArray<Peer>, weightOf: (peer: Peer) => number): Float64Array => {
  const shares = Picker.sharesOf(ready, weightOf)
  const total = shares.reduce((sum, share) => sum + share, 0)
  return shares.map((share) => share / total)
}

/** The better of two distinct samples, of which each is one as often as twice its part says. No part is a half or more. */
const paired = (
  ready: ReadonlyArray<Peer>,
  parts: Float64Array,
  load: Picker.Load,
  generator: Sfc32
): Picker.Picker => {
  const costOf = Picker.costByWeight(load)
  const count = ready.length
  const all = ready.map(({ stats }) => stats)
  const weights = parts.map((part) => part * count)
  const ends = line(parts)
  const firsts = line(parts.map((part) => (part * (1 - part)) / (1 - 2 * part)))
  const length = firsts[count - 1]!
  return {
    pick(_call, now) {
      const i = find(firsts, ((generator.next() >>> 0) / 2 ** 32) * length)
      // The line without the first's part.
      const place = ((generator.next() >>> 0) / 2 ** 32) * (1 - parts[i]!)
      const j = find(ends, place < ends[i]! - parts[i]! ? place : place + parts[i]!)
      const a = all[i]!
      // Rounding may have led back to the first.
      const b = all[j === i ? (j === 0 ? 1 : j - 1) : j]!
      const costA = costOf(a, now, weights[i]!)
      const costB = costOf(b, now, weights[j]!)
      return (isBetter(costB, costA) || (!isBetter(costA, costB) && generator.next() < 0) ? b : a).peer
    }
  }
}

/** The better of the heavy peer, which has half of all weights or more, and a sample of the others by weight. */
const besideHeavy = (
  heavy: number,
  ready: ReadonlyArray<Peer>,
  parts: Float64Array,
  load: Picker.Load,
  generator: Sfc32
): Picker.Picker => {
  const costOf = Picker.costByWeight(load)
  const count = ready.length
  const part = parts[heavy]!
  const weight = part * count
  const a = ready[heavy]!.stats
  const others = ready.filter((_, i) => i !== heavy).map(({ stats }) => stats)
  const otherParts = parts.filter((_, i) => i !== heavy)
  const weights = otherParts.map((part) => part * count)
  const ends = line(otherParts)
  const length = ends[count - 2]!
  const preferred = 2 * part - 1
  return {
    pick(_call, now) {
      const j = find(ends, ((generator.next() >>> 0) / 2 ** 32) * length)
      const b = others[j]!
      if (costOf(a, now, Infinity) > muchSlower * costOf(b, now, Infinity)) return b.peer
      if ((generator.next() >>> 0) / 2 ** 32 < preferred)
        return (costOf(b, now, 1) / weights[j]! < costOf(a, now, 1) / weight ? b : a).peer
      const costA = costOf(a, now, weight)
      const costB = costOf(b, now, weights[j]!)
      return (isBetter(costB, costA) || (!isBetter(costA, costB) && generator.next() < 0) ? b : a).peer
    }
  }
}

/**
 * Picks the less loaded of two distinct ready peers, in proportion to their weights. The load is the pending calls unless
 * another is given.
 *
 * @example
 * import { PeakEwma, PowerOfTwo } from "trunkline"
 *
 * const policy = PowerOfTwo.make({ load: PeakEwma.make() })
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: { readonly load?: Picker.LoadPolicy | undefined }): Picker.PickerPolicy =>
  Picker.overReady(
    (ready, random, _previous, set) => {
      const { load } = set
      const only = ready[0]!
      if (ready.length === 1) return { pick: () => only }
      const generator = new Sfc32(random)
      const parts = partsOf(ready, set.weightOf)
      if (parts.every((part) => part === parts[0])) return equal(ready, load, generator)
      const heavy = parts.findIndex((part) => part >= 1 / 2)
      return heavy < 0 ? paired(ready, parts, load, generator) : besideHeavy(heavy, ready, parts, load, generator)
    },
    { name: "PowerOfTwo", load: options?.load ?? PendingLoad.make() }
  )
