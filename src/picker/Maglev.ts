/**
 * Equal keys go to the same peer, found in a table.
 *
 * Each peer has its own order of all the table's slots, and they take turns to claim the next one that is free, as often as
 * their weights say. A look-up is one read, and shares are even to about the number of peers over the number of slots. The
 * price is paid when a peer comes or goes: the whole table is filled again, and about one key in a hundred moves between
 * peers that stay. Where that matters, or sets change often, `RingHash` and `Rendezvous` are better.
 *
 * @see https://research.google/pubs/maglev-a-fast-and-reliable-software-network-load-balancer/
 */
import type { Peer } from "../peer/Peer.ts"
import { Sfc32 } from "./Sfc32.ts"
import { Hash64 } from "./hash/Hash64.ts"
import * as HashKey from "./hash/HashKey.ts"
import * as Picker from "./Picker.ts"
import * as Xxh64 from "./hash/Xxh64.ts"

const isPrime = (n: number): boolean => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return false
  return n > 1
}

/** Every step through a table of a prime size visits all of it. */
const primeFrom = (n: number): number => {
  while (!isPrime(n)) n++
  return n
}

/** Which member each slot belongs to. `shares` are the members' weights in comparison with the heaviest. */
const fill = (slots: number, peers: ReadonlyArray<Peer>, shares: Float64Array, hash: Hash64): Uint32Array => {
  const at = new Uint32Array(peers.length)
  const step = new Uint32Array(peers.length)
  const saved = new Float64Array(peers.length).fill(1)
  peers.forEach((peer, i) => {
    hash.read(peer.id)
    at[i] = (hash.high >>> 0) % slots
    step[i] = ((hash.low >>> 0) % (slots - 1)) + 1
  })
  const table = new Uint32Array(slots)
  for (let left = slots; left > 0;) {
    for (let i = 0; i < peers.length && left > 0; i++) {
      if (saved[i]! < 1) {
        saved[i]! += shares[i]!
        continue
      }
      saved[i]! += shares[i]! - 1
      let slot = at[i]!
      // 0 is a free slot.
      while (table[slot] !== 0) slot = slot + step[i]! >= slots ? slot + step[i]! - slots : slot + step[i]!
      table[slot] = i + 1
      at[i] = slot
      left--
    }
  }
  return table
}

/**
 * Picks by key. A call without one goes anywhere. The table has `slots` slots, or the next prime number of them; default
 * 65537, good for some hundred peers.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: {
  readonly key?: HashKey.HashKey | undefined
  readonly slots?: number | undefined
}): Picker.PickerPolicy => {
  const key = options?.key ?? HashKey.option
  const slots = primeFrom(Math.max(3, Math.ceil(options?.slots ?? 65537)))
  return Picker.overReady(
    (ready, random, _previous, set) => {
      const generator = new Sfc32(random)
      const hash = new Hash64(Xxh64.hash)
      const peers = [...ready].sort((a, b) => (a.id < b.id ? -1 : 1))
      const table = fill(slots, peers, Picker.sharesOf(peers, set.weightOf), hash)
      return {
        pick(call) {
          const given = key(call)
          if (given === undefined) return peers[table[generator.below(slots)]! - 1]!
          hash.read(given)
          const slot = (hash.high >>> 0) % slots
          const peer = peers[table[slot]! - 1]!
          if (call.triedPeers.length === 0) return peer
          // Neighbours in the table are strangers, so the keys of a peer that fails spread over all the others.
          for (let i = 0; i < slots; i++) {
            const next = peers[table[(slot + i) % slots]! - 1]!
            if (!call.triedPeers.includes(next.id)) return next
          }
          return peer
        }
      }
    },
    { name: "Maglev" }
  )
}
