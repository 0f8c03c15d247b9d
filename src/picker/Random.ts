/**
 * Any ready peer, each with the same chance.
 */
import { Sfc32 } from "./Sfc32.ts"
import * as Picker from "./Picker.ts"

/**
 * Picks uniformly at random among the ready peers.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (): Picker.PickerPolicy =>
  Picker.overReady(
    (ready, random) => {
      const generator = new Sfc32(random)
      return { pick: () => ready[generator.below(ready.length)]! }
    },
    { name: "Random" }
  )
