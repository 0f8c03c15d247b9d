/**
 * The ready peer with the fewest calls under way.
 *
 * An exact minimum, found by looking at every peer: right for a client with few peers and much concurrency, such as a
 * gateway. Equal peers are taken at random, so that an idle pool does not send everything to the first. With many peers
 * or many clients `PowerOfTwo` is as good and does not herd.
 */
import type { Peer } from "../peer/Peer.ts"
import * as PendingLoad from "./PendingLoad.ts"
import * as Picker from "./Picker.ts"

/**
 * Picks the ready peer with the fewest pending calls.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (): Picker.PickerPolicy =>
  Picker.overReady(
    (ready, random) => ({
      pick() {
        // The n-th of the equal ones replaces the one kept with a chance of 1 in n, so each is equally likely.
        let best: Peer = ready[0]!
        let equals = 1
        for (let i = 1; i < ready.length; i++) {
          const peer = ready[i]!
          if (peer.stats.pending < best.stats.pending) {
            best = peer
            equals = 1
          } else if (peer.stats.pending === best.stats.pending && random.nextDoubleUnsafe() * ++equals < 1) {
            best = peer
          }
        }
        return best
      }
    }),
    { name: "LeastPending", load: PendingLoad.make() }
  )
