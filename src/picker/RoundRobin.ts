/**
 * Each ready peer in turn.
 *
 * The order is shuffled once per client, so that many clients of the same backends do not move in step, and the place in
 * it is kept when the set changes: a peer that comes or goes does not send everybody back to the first.
 */
import * as Picker from "./Picker.ts"
import * as RotationOrder from "./RotationOrder.ts"

interface Cursor extends Picker.Picker {
  readonly turns: ReadonlyArray<RotationOrder.Turn>
  /** The place of the last pick. */
  readonly place: () => number
}

/**
 * Picks the ready peers in turn.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (): Picker.PickerPolicy =>
  Picker.overReady<Cursor>(
    (ready, random, previous) => {
      const turns = RotationOrder.order(ready, previous?.turns ?? [], (peer) => ({
        peer,
        place: random.nextDoubleUnsafe()
      }))
      const peers = turns.map(({ peer }) => peer)
      let next = RotationOrder.after(turns, previous?.place() ?? -1)
      return {
        turns,
        place: () => RotationOrder.placeBefore(turns, next),
        pick() {
          const peer = peers[next]!
          next = next + 1 === peers.length ? 0 : next + 1
          return peer
        }
      }
    },
    { name: "RoundRobin" }
  )
