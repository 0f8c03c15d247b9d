/**
 * Why an attempt went to the peer it went to.
 *
 * Who looks at a trace knows which peer it was, and wonders why not another. The picker's name is half of the answer; the
 * other half is what was held against its other peers, which is known when the attempt has ended and read only then.
 */
import type { Call } from "../call/Call.ts"

/**
 * `chosen` by the picker as it chooses; `avoided`: peers this call has failed on were left out; `no_other` than those was
 * there; `named` by the call itself; `probe`: the one call of a peer on probation; `panic`: signals speak against so many
 * that they were not believed.
 */
export type PickReason = "chosen" | "avoided" | "no_other" | "named" | "probe" | "panic"

/** The reason of the current attempt's peer; `undefined` if it has none. */
export const of = ({ options, panicked, peer, probe, triedPeers }: Call): PickReason | undefined => {
  if (peer === undefined) return undefined
  if (panicked) return "panic"
  if (probe) return "probe"
  if (options.peer === peer) return "named"
  if (triedPeers.length === 0) return "chosen"
  return triedPeers.includes(peer) ? "no_other" : "avoided"
}
