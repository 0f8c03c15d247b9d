/**
 * The better of two peers chosen at random.
 *
 * Two distinct samples and a comparison get within a hair of the best peer at a cost that does not grow with the pool,
 * and, unlike an exact minimum, many clients with the same stale idea of the load do not all run to the same peer.
 *
 * @see Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001
 */
import { Dice } from "./Dice.ts"
import * as PendingLoad from "./PendingLoad.ts"
import * as Picker from "./Picker.ts"

/**
 * Picks the less loaded of two distinct ready peers. The load is the pending calls unless another is given.
 *
 * @example
 * import { PeakEwma, PowerOfTwo } from "trunkline"
 *
 * const policy = PowerOfTwo.make({ load: PeakEwma.make() })
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: { readonly load?: Picker.Load | undefined }): Picker.PickerPolicy => {
  const load = options?.load ?? PendingLoad.make()
  return Picker.overReady(
    (ready, random) => {
      const only = ready[0]!
      if (ready.length === 1) return { pick: () => only }
      const dice = new Dice(random)
      return {
        pick(_call, now) {
          const i = dice.below(ready.length)
          const other = dice.below(ready.length - 1)
          const a = ready[i]!
          const b = ready[other >= i ? other + 1 : other]!
          return load.cost(b.stats, now) < load.cost(a.stats, now) ? b : a
        }
      }
    },
    { load }
  )
}
