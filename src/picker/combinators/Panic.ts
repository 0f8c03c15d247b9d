/**
 * When signals speak against most peers, do not believe them.
 *
 * Each signal keeps calls from a peer that looks ill; if most of them look ill, the cause is more likely one they share,
 * and sending everything to the few that are left would finish those. Below a share of peers that nothing speaks against,
 * calls go to all that are connected. A call that was picked so says it (`Call.panicked`), and the pool counts them
 * (`PoolStats.panicked`), so that nobody is let back in silence.
 *
 * @see https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/load_balancing/panic_threshold
 */
import { Function } from "effect"
import { type PeerSet, type Picker, type PickerPolicy, withoutStandby } from "../Picker.ts"
import * as PolicyWrapper from "./PolicyWrapper.ts"

const isPanic = ({ connected, verdictOf }: PeerSet, threshold: number): boolean =>
  connected.filter((peer) => verdictOf(peer).status === "Ready").length < threshold * connected.length

const panicked = (picker: Picker): Picker => ({
  pick(call, now) {
    const picked = picker.pick(call, now)
    call.panicked = true
    return picked
  }
})

/**
 * Picks among all connected peers while fewer than this share of them, from 0 to 1, is well. At 0 it never panics.
 *
 * @example
 * import { Panic, RoundRobin } from "trunkline"
 *
 * const policy = Panic.below(RoundRobin.make(), 0.5)
 *
 * @category combinators
 * @since 0.1.0
 */
export const below: {
  (threshold: number): (self: PickerPolicy) => PickerPolicy
  (self: PickerPolicy, threshold: number): PickerPolicy
} = Function.dual(2, (self: PickerPolicy, threshold: number): PickerPolicy => {
  if (threshold <= 0) return self
  return PolicyWrapper.make(self, () => {
    let panicking = false
    return {
      set: (set) => {
        panicking = isPanic(set, threshold)
        return panicking ? { ...set, ready: withoutStandby(set.connected, set.weightOf) } : set
      },
      picker: (picker) => (panicking ? panicked(picker) : picker)
    }
  })
})
