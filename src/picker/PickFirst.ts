/**
 * One peer: the first, in the order discovery gave, that can be reached.
 *
 * A peer is asked to connect when the ones before it have failed, and calls stay on the peer in use until it is lost. A
 * peer that failed keeps trying in the background, so it can be used again when the one in use is lost.
 *
 * @see https://github.com/grpc/proposal/blob/master/A62-pick-first.md
 */
import { Stream } from "effect"
import type { Peer } from "../peer/Peer.ts"
import * as Picker from "./Picker.ts"

/** Asks the first peer that is neither ready nor failing to connect, unless one before it is on its way already. */
const connectNext = (peers: ReadonlyArray<Peer>): void => {
  for (const peer of peers) {
    const { state } = peer.status
    if (state === "Idle") peer.requestConnect()
    if (state !== "Down") return
  }
}

/**
 * Sends every call to the first reachable peer.
 *
 * @category policies
 * @since 0.1.0
 */
export const make = (): Picker.PickerPolicy => ({
  name: "PickFirst",
  load: undefined,
  pickers: (sets) =>
    Stream.suspend(() => {
      let current: Peer | undefined
      return Stream.map(sets, (set) => {
        const peer = current !== undefined && set.ready.includes(current) ? current : set.ready[0]
        current = peer
        if (peer !== undefined) return { pick: () => peer }
        connectNext(set.peers)
        return Picker.empty
      })
    })
})
