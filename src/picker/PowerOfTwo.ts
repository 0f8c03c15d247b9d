/**
 * The better of two peers chosen at random.
 *
 * Two distinct samples and a comparison get within a hair of the best peer at a cost that does not grow with the pool,
 * and, unlike an exact minimum, many clients with the same stale idea of the load do not all run to the same peer.
 *
 * Where weights differ a peer is sampled as often as its weight says, and its load counts as much more as its weight is
 * less. The load alone would not do: a new peer has the fewest calls, so it would win whatever its weight.
 *
 * @see Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001
 */
import type { Peer } from "../peer/Peer.ts"
import { Dice } from "./Dice.ts"
import * as PendingLoad from "./PendingLoad.ts"
import * as Picker from "./Picker.ts"

/** Weights of peers added up: the place where each one's part of the line ends. */
const line = (weights: ReadonlyArray<number>): Float64Array => {
  let end = 0
  return Float64Array.from(weights, (weight) => (end += weight))
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
 * for a wrong guess it need not wait for the dice as well.
 */
const equal = (ready: ReadonlyArray<Peer>, load: Picker.Load, dice: Dice): Picker.Picker => {
  const count = ready.length
  const all = ready.map(({ stats }) => stats)
  let first = all[0]!
  let second = all[1]!
  const draw = (): void => {
    // One throw for both: where in the first's part of the line it fell says how many further on the second is.
    const place = ((dice.throw() >>> 0) * count) / 2 ** 32
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

/** The better of two samples by weight. They may be one and the same: of two peers, both would always be sampled. */
const weighted = (
  ready: ReadonlyArray<Peer>,
  weights: ReadonlyArray<number>,
  load: Picker.Load,
  dice: Dice
): Picker.Picker => {
  const ends = line(weights)
  const total = ends[ends.length - 1]!
  return {
    pick(_call, now) {
      const i = find(ends, ((dice.throw() >>> 0) / 2 ** 32) * total)
      const j = find(ends, ((dice.throw() >>> 0) / 2 ** 32) * total)
      const a = ready[i]!
      const b = ready[j]!
      return load.cost(b.stats, now) / weights[j]! < load.cost(a.stats, now) / weights[i]! ? b : a
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
      const dice = new Dice(random)
      const weights = ready.map(set.weightOf)
      if (weights.some((weight) => weight !== weights[0])) return weighted(ready, weights, load, dice)
      return equal(ready, load, dice)
    },
    { name: "PowerOfTwo", load: options?.load ?? PendingLoad.make() }
  )
