/**
 * The ready peer with the fewest calls under way.
 *
 * An exact minimum: right for a client with much concurrency, such as a gateway, where it is better than anything that
 * looks at some peers only. Many clients with the same stale idea of the load would all run to the same peer, and
 * `PowerOfTwo` does not. Streams that stay open do not count, as `PendingLoad` says. Among equals chance decides, by weight, so that an idle pool does not send everything to the
 * first; and calls are counted by weight, so a peer with twice the weight has twice the calls.
 *
 * Calls under way are kept in a heap, which is told whenever a call begins or ends. Any other load changes with time alone,
 * of which nobody can be told, so then every peer is looked at. Give it one that counts failures, such as `PeakEwma`,
 * where a peer may fail fast: it looks idle, and would get most of the calls.
 *
 * @see https://github.com/twitter/finagle/blob/develop/finagle-core/src/main/scala/com/twitter/finagle/loadbalancer/heap/HeapLeastLoaded.scala
 */
import { Effect, Random, Stream } from "effect"
import type { Peer } from "../peer/Peer.ts"
import { Sfc32 } from "./Sfc32.ts"
import { PendingHeap } from "./PendingHeap.ts"
import * as Picker from "./Picker.ts"

/** Looks at every peer. Among equals a peer is picked as often as its weight says. */
const scan = (
  ready: ReadonlyArray<Peer>,
  weightOf: (peer: Peer) => number,
  load: Picker.Load,
  generator: Sfc32
): Picker.Picker => {
  const costOf = Picker.costByWeight(load)
  const weights = Picker.sharesOf(ready, weightOf)
  const equals = new Uint32Array(ready.length)
  /** Adds up to this the weights of the equals up to the one at this place. */
  const ends = new Float64Array(ready.length)
  return {
    pick(_call, now) {
      let least = Infinity
      let count = 0
      for (let i = 0; i < ready.length; i++) {
        const cost = costOf(ready[i]!.stats, now, weights[i]!)
        if (cost < least) {
          least = cost
          count = 0
        }
        if (cost !== least) continue
        equals[count] = i
        ends[count] = weights[i]! + (count === 0 ? 0 : ends[count - 1]!)
        count++
      }
      let chosen = 0
      if (count > 1) {
        const place = ((generator.next() >>> 0) / 2 ** 32) * ends[count - 1]!
        while (chosen < count - 1 && place >= ends[chosen]!) chosen++
      }
      return ready[equals[chosen]!]!
    }
  }
}

const byLoad = (load: Picker.LoadPolicy): Picker.PickerPolicy =>
  Picker.overReady((ready, random, _previous, set) => scan(ready, set.weightOf, set.load, new Sfc32(random)), {
    name: "LeastPending",
    load
  })

const byCalls: Picker.PickerPolicy = {
  name: "LeastPending",
  load: undefined,
  pickers: (sets) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const generator = new Sfc32(yield* Random.Random)
        const heap = yield* Effect.acquireRelease(
          Effect.sync(() => new PendingHeap(generator)),
          (heap) => Effect.sync(() => heap.close())
        )
        const least: Picker.Picker = { pick: (_call, now) => heap.take(now) }
        return Stream.map(sets, (set) => {
          Picker.connectIdle(set)
          heap.update(set.ready, set.weightOf)
          if (set.ready.length === 0) return Picker.unready(set)
          return Picker.avoidingTried(least, set.ready, (rest) => scan(rest, set.weightOf, set.load, generator))
        })
      })
    )
}

/**
 * Picks the ready peer with the least load by weight: the pending calls, in a time that grows with the logarithm of the
 * number of peers; or the load that is given, by looking at all of them.
 *
 * @example
 * import { LeastPending, PeakEwma } from "trunkline"
 *
 * const fewestCalls = LeastPending.make()
 * const quickest = LeastPending.make({ load: PeakEwma.make() })
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (options?: { readonly load?: Picker.LoadPolicy | undefined }): Picker.PickerPolicy =>
  options?.load === undefined ? byCalls : byLoad(options.load)
