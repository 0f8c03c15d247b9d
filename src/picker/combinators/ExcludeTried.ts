/**
 * A retried call goes where it has not failed yet.
 *
 * Most pickers see to that themselves, among the peers they pick from. Those that pick from some of the ready peers only, a
 * group, a zone, a subset, have nobody else to give when all of these were tried; and a picker of one's own may not look.
 * Around them this gives the call to any other ready peer. Which side of a combinator it is on says how far a retry goes:
 * around `Priority` it may leave the group, inside it may not.
 */
import type { Peer } from "../../peer/Peer.ts"
import { Sfc32 } from "../Sfc32.ts"
import * as Picker from "../Picker.ts"
import * as PolicyWrapper from "./PolicyWrapper.ts"

/**
 * Picks by the policy, and any other ready peer for a call that has failed on the one the policy picks, while there is one.
 *
 * @example
 * import { ExcludeTried, PowerOfTwo, Priority } from "trunkline"
 *
 * // A retry may go to a lower group before the first one is down.
 * const policy = ExcludeTried.from(Priority.failover(PowerOfTwo.make()))
 *
 * @category combinators
 * @since 0.1.0
 */
export const from = (self: Picker.PickerPolicy): Picker.PickerPolicy =>
  PolicyWrapper.make(self, (random) => {
    const generator = new Sfc32(random)
    const anyOf = (peers: ReadonlyArray<Peer>): Picker.Picker => ({ pick: () => peers[generator.below(peers.length)]! })
    let ready: Picker.PeerSet["ready"] = []
    return {
      set: (set) => {
        ready = set.ready
        return set
      },
      picker: (picker) => Picker.avoidingTried(picker, ready, anyOf)
    }
  })
