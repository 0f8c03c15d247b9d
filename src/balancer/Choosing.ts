/**
 * Which peer a call goes to, and counting it there: one synchronous step, so that a burst of calls sees its own effect.
 */
import type { Call } from "../call/Call.ts"
import type { Peer } from "../peer/Peer.ts"
import type * as Picker from "../picker/Picker.ts"
import { queue } from "../picker/Picker.ts"
import * as RpcError from "../status/RpcError.ts"
import type { SignalAggregator } from "./SignalAggregator.ts"
import { Lease, type Observers } from "./Lease.ts"
import type { PoolStats } from "./PoolStats.ts"
import type { Publishing } from "./Publishing.ts"
import type { Waiting } from "./Waiting.ts"

/** What choosing asks. */
export interface Parts {
  readonly publishing: Publishing
  readonly signals: SignalAggregator
  readonly waiting: Waiting
  readonly observers: Observers
  readonly stats: PoolStats
}

/** How often a pick is repeated that answered with a peer just lost or one this call has failed on. */
const repicks = 3

/**
 * Counts a call onto a peer if there is one now that takes it, or says why the call is not to wait for one; `undefined` if it
 * is to. `since` is when it began to wait; default now.
 */
export const make = ({
  signals,
  observers,
  publishing,
  stats,
  waiting
}: Parts): ((call: Call, now: number, since?: number) => Lease | RpcError.RpcError | undefined) => {
  const allowed = (call: Call, picked: Picker.Pick): picked is Peer =>
    picked._tag === "Peer" &&
    picked.connection !== undefined &&
    (call.panicked || call.pinned || signals.allows(picked))

  const pick = (call: Call, now: number): Picker.Pick => {
    call.panicked = false
    call.pinned = false
    return publishing.picker.pick(call, now)
  }

  const choose = (call: Call, now: number): Picker.Pick => {
    let picked = pick(call, now)
    for (let i = 0; i < repicks && picked._tag === "Peer"; i++) {
      if (allowed(call, picked) && !call.triedPeers.includes(picked.id)) break
      picked = pick(call, now)
    }
    return picked._tag !== "Peer" || allowed(call, picked) ? picked : queue
  }

  /** What becomes of a call that got no peer: the reason why it fails, if it is not to wait. */
  const unpicked = (call: Call, picked: Exclude<Picker.Pick, Peer>, waited: number): RpcError.RpcError | undefined => {
    publishing.wake()
    if (picked._tag === "Drop") return RpcError.annotate(picked.error, { progress: "dropped" })
    if (picked._tag === "Fail" && call.options.whenNotReady !== "wait") return picked.error
    return waiting.refusal(call, picked._tag === "Down", waited)
  }

  return (call, now, since = now) => {
    const chosen = choose(call, now)
    if (chosen._tag !== "Peer") return unpicked(call, chosen, now - since)
    const probe = call.panicked ? undefined : signals.takeProbe(chosen)
    call.probe = probe !== undefined
    const lease = new Lease(chosen, chosen.connection!, observers, call, now)
    if (call.panicked) stats.panicked++
    else if (probe !== undefined) {
      lease.probes(probe)
      stats.probes++
      publishing.touch()
    }
    return lease
  }
}
