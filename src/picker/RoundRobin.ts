/**
 * Each ready peer in turn.
 *
 * The order is shuffled once per client, so that many clients of the same backends do not move in step, and the place in
 * it is kept when the set changes: a peer that comes or goes does not send everybody back to the first.
 */
import type { Random } from "effect"
import type { Peer } from "../peer/Peer.ts"
import * as Picker from "./Picker.ts"

/** A peer and its place in this client's order, from 0 to 1. */
interface Entry {
  readonly peer: Peer
  readonly place: number
}

interface Cursor extends Picker.Picker {
  readonly order: ReadonlyArray<Entry>
  /** The place of the last pick. */
  readonly place: () => number
}

/** Keeps the place of every known peer and gives a new one a random place. */
const placed = (ready: ReadonlyArray<Peer>, random: Random.Random, known: ReadonlyArray<Entry>) => {
  const coming = new Set(ready)
  // In order but for the new ones, which is quickly sorted.
  const order = known.filter(({ peer }) => coming.delete(peer))
  for (const peer of coming) order.push({ peer, place: random.nextDoubleUnsafe() })
  return order.sort((a, b) => a.place - b.place)
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
      const order = placed(ready, random, previous?.order ?? [])
      const peers = order.map(({ peer }) => peer)
      const last = previous?.place() ?? -1
      let next = Math.max(
        0,
        order.findIndex(({ place }) => place > last)
      )
      return {
        order,
        place: () => order[(next + order.length - 1) % order.length]!.place,
        pick() {
          const peer = peers[next]!
          next = next + 1 === peers.length ? 0 : next + 1
          return peer
        }
      }
    },
    { name: "RoundRobin" }
  )
