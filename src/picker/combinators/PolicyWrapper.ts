/**
 * A picker policy around another one: it reads or changes each peer set before the inner policy gets it, and wraps each
 * picker that the inner policy makes.
 */
import { Effect, Random, Stream } from "effect"
import type { PeerSet, Picker, PickerPolicy } from "../Picker.ts"

/** One wrapper at work in one pool. What it remembers is of that pool alone. */
export interface PolicyWrapper {
  /** Takes each set in order, and returns the set that the inner policy gets. */
  readonly set: (set: PeerSet) => PeerSet
  /** Wraps a picker of the inner policy. It comes after the set it was made from. Default the picker itself. */
  readonly picker?: ((picker: Picker) => Picker) | undefined
}

/** Wraps a policy. `build` makes the wrapper anew for each pool, with the random source of the context. */
export const make = (self: PickerPolicy, build: (random: Random.Random) => PolicyWrapper): PickerPolicy => ({
  ...self,
  pickers: (sets) =>
    Stream.unwrap(
      Effect.map(Random.Random, (random) => {
        const wrapper = build(random)
        const pickers = self.pickers(Stream.map(sets, (set) => wrapper.set(set)))
        const { picker: wrap } = wrapper
        return wrap === undefined ? pickers : Stream.map(pickers, wrap)
      })
    )
})

/**
 * Whether the first argument of a combinator is the policy. If it is not, the combinator was called with its options alone,
 * in a pipe.
 */
export const isDataFirst = (args: ArrayLike<unknown>): boolean => {
  const first = args[0]
  return typeof first === "object" && first !== null && "pickers" in first
}
