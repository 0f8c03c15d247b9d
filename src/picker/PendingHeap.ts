/**
 * Peers in the order of their calls under way.
 *
 * A heap finds the least of many at once, and sets right what has changed in a few steps, if it is told of every change:
 * also of calls that end, and of those of other pools on the same peers. So it watches the peers' counts themselves.
 *
 * Peers with equally many calls stand in a random order, in which each one comes first as often as its weight says. That
 * order is a race: whoever is put in its place is given a time later than that of the last pick, by a random step that is
 * shorter the more weight there is, and the earliest is next. Because such steps have no memory, who has waited long is
 * no worse off and who came last no better.
 */
import type { Peer } from "../peer/Peer.ts"
import type { PeerStats, PendingWatcher } from "../peer/PeerStats.ts"
import type { Sfc32 } from "./Sfc32.ts"
import { sharesOf } from "./Picker.ts"

/** Times are counted from 0 again before they are so large that a step is lost in them. */
const longestRace = 2 ** 32

/**
 * A heap of watched peers. `close` it when it is not used any more.
 *
 * @category models
 * @since 0.1.0
 */
export class PendingHeap implements PendingWatcher {
  readonly #generator: Sfc32
  #peers: ReadonlyArray<Peer> = []
  /** The place of a peer among `peers`. */
  #indexes = new Map<PeerStats, number>()
  #weights = new Float64Array(0)
  /** What peers are ordered by: pending calls by weight, and then the time. */
  #calls = new Float64Array(0)
  #times = new Float64Array(0)
  /** Indexes of peers as a heap, and where in it each of them is. */
  #heap = new Uint32Array(0)
  #places = new Uint32Array(0)
  /** The time of the last pick, of the race's own clock. */
  #now = 0
  /** The time of the last pick, in milliseconds of the monotonic clock. */
  #at = 0
  /** When some streams that were being opened are quiet, in the same milliseconds. */
  #quietAt = Infinity

  constructor(generator: Sfc32) {
    this.#generator = generator
  }

  /** Takes over a set of peers: watches those that are new, and no longer those that left. */
  update(peers: ReadonlyArray<Peer>, weightOf: (peer: Peer) => number): void {
    const indexes = new Map(peers.map(({ stats }, i) => [stats, i]))
    for (const { stats } of this.#peers) if (!indexes.has(stats)) stats.unwatch(this)
    for (const { stats } of peers) if (!this.#indexes.has(stats)) stats.watch(this)
    this.#peers = peers
    this.#indexes = indexes
    this.#weights = sharesOf(peers, weightOf)
    this.#calls = new Float64Array(peers.length)
    this.#heap = Uint32Array.from(peers, (_, i) => i)
    this.#places = Uint32Array.from(this.#heap)
    this.#race()
  }

  /** Watches nobody any more: what changes from here on it does not know. */
  close(): void {
    for (const { stats } of this.#peers) stats.unwatch(this)
  }

  /** The peer with the fewest calls; of several the one whose time is next. There must be one. */
  take(at: number): Peer {
    this.#at = at
    if (at >= this.#quietAt) this.#lookAgain()
    const least = this.#heap[0]!
    this.#now = Math.max(this.#now, this.#times[least]!)
    if (this.#now > longestRace) this.#race()
    else this.#settle(least)
    return this.#peers[least]!
  }

  pendingChanged(stats: PeerStats): void {
    const index = this.#indexes.get(stats)
    if (index !== undefined) this.#settle(index)
  }

  /** Some streams are quiet by now, and count no more. */
  #lookAgain(): void {
    this.#quietAt = Infinity
    for (let i = 0; i < this.#peers.length; i++) if (this.#peers[i]!.stats.opening > 0) this.#settle(i)
  }

  /** Begins the race anew, for everybody. */
  #race(): void {
    this.#now = 0
    this.#times = new Float64Array(this.#peers.length)
    for (let i = 0; i < this.#heap.length; i++) this.#draw(i)
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#down(this.#heap[at]!)
  }

  /** Reads a peer's calls, and gives it a time. */
  #draw(index: number): void {
    const weight = this.#weights[index]!
    const { stats } = this.#peers[index]!
    this.#calls[index] = stats.underWay(this.#at) / weight
    if (stats.opening > 0 && !stats.isQuiet(this.#at)) this.#quietAt = Math.min(this.#quietAt, stats.quietAt)
    this.#times[index] = this.#now - Math.log(((this.#generator.next() >>> 0) + 1) / 2 ** 32) / weight
  }

  #settle(index: number): void {
    this.#draw(index)
    this.#up(index)
    this.#down(index)
  }

  #isBefore(a: number, b: number): boolean {
    const difference = this.#calls[a]! - this.#calls[b]!
    return difference === 0 ? this.#times[a]! < this.#times[b]! : difference < 0
  }

  #put(index: number, place: number): void {
    this.#heap[place] = index
    this.#places[index] = place
  }

  #up(index: number): void {
    let at = this.#places[index]!
    while (at > 0) {
      const parent = this.#heap[(at - 1) >> 1]!
      if (!this.#isBefore(index, parent)) break
      this.#put(parent, at)
      at = (at - 1) >> 1
    }
    this.#put(index, at)
  }

  #down(index: number): void {
    let at = this.#places[index]!
    for (let below = 2 * at + 1; below < this.#heap.length; below = 2 * at + 1) {
      const left = this.#heap[below]!
      const right = this.#heap[below + 1]
      const first = right !== undefined && this.#isBefore(right, left) ? right : left
      if (!this.#isBefore(first, index)) break
      this.#put(first, at)
      at = first === left ? below : below + 1
    }
    this.#put(index, at)
  }
}
