/**
 * What `LeastPending` is not: a heap of peers by calls under way.
 *
 * Here to be compared with. It has to be told of every call that ends, which no picker is, so it is exact only in this
 * benchmark; equal peers are not in a random order either.
 */
import type { Peer, Picker } from "trunkline"

export interface PendingHeap extends Picker.Picker {
  readonly finished: (peer: Peer.Peer) => void
}

export const make = (ready: ReadonlyArray<Peer.Peer>): PendingHeap => {
  const heap = [...ready]
  const places = new Map(heap.map((peer, i) => [peer, i]))
  const put = (peer: Peer.Peer, at: number): void => {
    heap[at] = peer
    places.set(peer, at)
  }
  /** Moves a peer to where its `pending` belongs. */
  const settle = (peer: Peer.Peer, pending: number): void => {
    let at = places.get(peer)!
    for (let up = (at - 1) >> 1; at > 0 && heap[up]!.stats.pending > pending; up = (at - 1) >> 1) {
      put(heap[up]!, at)
      at = up
    }
    for (let down = 2 * at + 1; down < heap.length; down = 2 * at + 1) {
      if (down + 1 < heap.length && heap[down + 1]!.stats.pending < heap[down]!.stats.pending) down++
      if (heap[down]!.stats.pending >= pending) break
      put(heap[down]!, at)
      at = down
    }
    put(peer, at)
  }
  return {
    pick() {
      const peer = heap[0]!
      settle(peer, peer.stats.pending + 1)
      return peer
    },
    finished: (peer) => settle(peer, peer.stats.pending)
  }
}
