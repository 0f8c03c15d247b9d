/**
 * A retried call goes where it has not failed yet.
 *
 * Most pickers see to that themselves, among the peers they pick from. Those that pick from some of the ready peers only, a
 * group, a zone, a subset, have nobody else to give when all of these were tried; and a picker of one's own may not look.
 * Around them this gives the call to any other ready peer. Which side of a combinator it is on says how far a retry goes:
 * around `Priority` it may leave the group, inside it may not.
 */
import { Effect, Random, Stream } from "effect"
import type { Peer } from "../peer/Peer.ts"
import { Sfc32 } from "./Sfc32.ts"
import * as Picker from "./Picker.ts"

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
export const from = (self: Picker.PickerPolicy): Picker.PickerPolicy => ({
  ...self,
  pickers: (sets) =>
    Stream.unwrap(
      Effect.map(Random.Random, (random) => {
        const dice = new Sfc32(random)
        const anyOf = (peers: ReadonlyArray<Peer>): Picker.Picker => ({ pick: () => peers[dice.below(peers.length)]! })
        let ready: Picker.PeerSet["ready"] = []
        const seen = Stream.map(sets, (set) => {
          ready = set.ready
          return set
        })
        return Stream.map(self.pickers(seen), (picker) => Picker.avoidingTried(picker, ready, anyOf))
      })
    )
})
