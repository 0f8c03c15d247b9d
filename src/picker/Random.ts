/**
 * Any ready peer, each with the same chance.
 */
import * as Picker from "./Picker.ts"

/**
 * Picks uniformly at random among the ready peers.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (): Picker.PickerPolicy =>
  Picker.overReady((ready, random) => ({ pick: () => ready[Math.floor(random.nextDoubleUnsafe() * ready.length)]! }), {
    name: "Random"
  })
