/**
 * The ready peer with the fewest calls under way.
 *
 * An exact minimum, found by looking at every peer: right for a client with few peers and much concurrency, such as a
 * gateway. Equal peers have equal chances, so that an idle pool does not send everything to the first. With many peers or
 * many clients `PowerOfTwo` is as good and does not herd. Give it a load that counts failures, such as `PeakEwma`, where a
 * peer may fail fast: it looks idle, and would get most of the calls.
 *
 * A heap would find the minimum of many peers sooner, but would have to be told of every call that ends, also of those of
 * other pools on the same peers, and nobody tells pickers. Over a few peers it would be no faster
 * (test/bench/picks/README.md).
 */
import { Dice } from "./Dice.ts"
import * as PendingLoad from "./PendingLoad.ts"
import * as Picker from "./Picker.ts"

/**
 * Picks the ready peer with the least load: the pending calls, unless another is given.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: { readonly load?: Picker.Load | undefined }): Picker.PickerPolicy => {
  const load = options?.load ?? PendingLoad.make()
  return Picker.overReady(
    (ready, random) => {
      const dice = new Dice(random)
      const equals = new Uint32Array(ready.length)
      return {
        pick(_call, now) {
          let least = Infinity
          let count = 0
          for (let i = 0; i < ready.length; i++) {
            const cost = load.cost(ready[i]!.stats, now)
            if (cost < least) {
              least = cost
              count = 0
            }
            if (cost === least) equals[count++] = i
          }
          return ready[equals[count === 1 ? 0 : dice.below(count)]!]!
        }
      }
    },
    { name: "LeastPending", load }
  )
}
