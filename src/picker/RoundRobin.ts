/**
 * Each ready peer in turn.
 *
 * The order is shuffled once per client, so that many clients of the same backends do not move in step, and the place in
 * it is kept when the set changes: a peer that comes or goes does not send everybody back to the first.
 */
import type { Random } from "effect"
import type { Peer } from "../peer/Peer.ts"
import * as Picker from "./Picker.ts"

interface Cursor extends Picker.Picker {
  /** The place of each ready peer in this client's order, from 0 to 1. */
  readonly order: ReadonlyMap<string, number>
  /** The place of the last pick. */
  readonly place: () => number
}

/** Keeps the place of every known peer and gives a new one a random place. */
const placed = (ready: ReadonlyArray<Peer>, random: Random.Random, known: ReadonlyMap<string, number>) => {
  const order = new Map<string, number>()
  for (const peer of ready) order.set(peer.id, known.get(peer.id) ?? random.nextDoubleUnsafe())
  return order
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
      const order = placed(ready, random, previous?.order ?? new Map())
      const peers = [...ready].sort((a, b) => order.get(a.id)! - order.get(b.id)!)
      const places = peers.map((peer) => order.get(peer.id)!)
      const last = previous?.place() ?? -1
      let next = Math.max(
        0,
        places.findIndex((place) => place > last)
      )
      return {
        order,
        place: () => places[(next + places.length - 1) % places.length]!,
        pick() {
          const peer = peers[next]!
          next = next + 1 === peers.length ? 0 : next + 1
          return peer
        }
      }
    },
    { name: "RoundRobin" }
  )
