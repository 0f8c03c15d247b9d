/**
 * Equal keys go to the same peer: the one that scores highest for the key.
 *
 * A peer's score for a key depends on nothing but the two and the peer's weight, so a peer that comes or goes moves exactly
 * its own keys, with no table to keep and shares as even as the hash. It looks at every peer for each pick, which is as fast
 * as anything up to some dozens of them.
 *
 * @see https://www.eecs.umich.edu/techreports/cse/96/CSE-TR-316-96.pdf
 */
import { Sfc32 } from "./Sfc32.ts"
import { Hash64 } from "./hash/Hash64.ts"
import * as HashKey from "./hash/HashKey.ts"
import * as Picker from "./Picker.ts"
import * as Xxh64 from "./hash/Xxh64.ts"

/** Stirs a key's hash and a peer's into 32 bits. */
const mix = (keyHigh: number, keyLow: number, peerHigh: number, peerLow: number): number => {
  let h = Math.imul(keyLow ^ peerLow, 0x9e3779b1)
  h = Math.imul(h ^ (h >>> 15) ^ keyHigh ^ peerHigh, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

const noneTried: ReadonlyArray<string> = []

/**
 * Picks by key. A call without one goes anywhere.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: { readonly key?: HashKey.HashKey | undefined }): Picker.PickerPolicy => {
  const key = options?.key ?? HashKey.option
  return Picker.overReady(
    (ready, random, _previous, set) => {
      const generator = new Sfc32(random)
      const hash = new Hash64(Xxh64.hash)
      const peers = [...ready].sort((a, b) => (a.id < b.id ? -1 : 1))
      const weights = Picker.sharesOf(peers, set.weightOf)
      const equal = weights.every((weight) => weight === weights[0])
      const high = new Int32Array(peers.length)
      const low = new Int32Array(peers.length)
      peers.forEach((peer, i) => {
        hash.read(peer.id)
        high[i] = hash.high
        low[i] = hash.low
      })
      /** The peer that scores highest and is not among the tried; -1 if all are. */
      const highest = (tried: ReadonlyArray<string>): number => {
        let best = -1
        let highestScore = -1
        for (let i = 0; i < peers.length; i++) {
          const stirred = mix(hash.high, hash.low, high[i]!, low[i]!)
          // Of equal weights the order is that of the hashes, without a logarithm each.
          const score = equal ? stirred : -weights[i]! / Math.log((stirred + 0.5) / 2 ** 32)
          if (score > highestScore && (tried.length === 0 || !tried.includes(peers[i]!.id))) {
            highestScore = score
            best = i
          }
        }
        return best
      }

      return {
        pick(call) {
          const given = key(call)
          if (given === undefined) hash.place(generator.next(), generator.next())
          else hash.read(given)
          const best = highest(call.triedPeers)
          return peers[best < 0 ? highest(noneTried) : best]!
        }
      }
    },
    { name: "Rendezvous" }
  )
}
