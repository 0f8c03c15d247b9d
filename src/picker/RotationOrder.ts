/**
 * Whose turn it is, kept from one set of peers to the next.
 *
 * Each client has an order of its own, so that many clients of the same backends do not move in step: a peer's place in it is
 * random and stays. A peer that comes or goes changes nobody else's, and does not send everybody back to the first.
 */
import type { Peer } from "../peer/Peer.ts"

/** A peer and its place in the order, from 0 to 1. */
export interface Turn {
  readonly peer: Peer
  readonly place: number
}

/** The turns of the ready peers in order: those that are known, and new ones for the others. */
export const order = <T extends Turn>(
  ready: ReadonlyArray<Peer>,
  known: ReadonlyArray<T>,
  enter: (peer: Peer) => T
): ReadonlyArray<T> => {
  const coming = new Set(ready)
  // In order but for the new ones, which is quickly sorted.
  const turns = known.filter(({ peer }) => coming.delete(peer))
  for (const peer of coming) turns.push(enter(peer))
  return turns.sort((a, b) => a.place - b.place)
}

/** Who is next after a place: the index of the first turn behind it, or of the first of all. */
export const after = (turns: ReadonlyArray<Turn>, place: number): number =>
  Math.max(
    0,
    turns.findIndex((turn) => turn.place > place)
  )

/** The place of the one before an index, all around. */
export const placeBefore = (turns: ReadonlyArray<Turn>, index: number): number =>
  turns[(index + turns.length - 1) % turns.length]!.place
