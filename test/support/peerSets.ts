/** Peers and sets of peers that a test makes by hand, and what policies make of them. */
import { Clock, Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Endpoint, PendingLoad } from "trunkline"
import { Call, Peer, Picker, HealthVerdict, StateRef } from "trunkline/extend"

/** Lets everything that is ready to run do so. */
export const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

/** A peer that nobody has asked to connect. */
export const idle = (name: string, attributes?: Endpoint.Attributes): Peer.Peer =>
  new Peer.Peer(Endpoint.make(Endpoint.Address.Tcp({ host: name, port: 1 }), attributes), 0)

/** Moves a peer. */
export const move = (peer: Peer.Peer, to: "Ready" | "Connecting" | "Down" | "Idle"): Peer.Peer => {
  if (peer.status.state === to) return peer
  if (peer.status.state === "Ready") peer.transition({ _tag: "Disconnected", cause: "lost" }, 0)
  if (to !== "Idle") peer.transition({ _tag: "ConnectStarted" }, 0)
  if (to === "Ready") peer.transition({ _tag: "Connected" }, 0)
  if (to === "Down") peer.transition({ _tag: "ConnectFailed", cause: "refused" }, 0)
  return peer
}

export const ready = (name: string, attributes?: Endpoint.Attributes): Peer.Peer =>
  move(idle(name, attributes), "Ready")

/** The set of some peers as they are now, some of them under a verdict. */
export const setOf = (
  peers: ReadonlyArray<Peer.Peer>,
  verdicts: ReadonlyMap<Peer.Peer, HealthVerdict.HealthVerdict> = new Map()
): Picker.PeerSet => {
  const verdictOf = (peer: Peer.Peer) => verdicts.get(peer) ?? HealthVerdict.healthy
  const weightOf = (peer: Peer.Peer) => peer.endpoint.weight * verdictOf(peer).weight
  const connected = peers.filter((peer) => peer.status.state === "Ready")
  return {
    peers,
    connected,
    ready: Picker.withoutStandby(
      connected.filter((peer) => verdictOf(peer).status !== "Ejected"),
      weightOf
    ),
    endpointOf: (peer) => peer.endpoint,
    weightOf,
    verdictOf,
    load: PendingLoad.pending
  }
}

/** A policy at work, whose set the test changes. */
export const run = Effect.fnUntraced(function* (policy: Picker.PickerPolicy, initial: Picker.PeerSet) {
  const sets = StateRef.make(initial)
  const clock = yield* Clock.Clock
  let picker = Picker.empty
  yield* Effect.forkScoped(
    Stream.runForEach(policy.pickers(sets.changes), (next) => Effect.sync(() => void (picker = next)))
  )
  yield* settle
  const newCall = () => new Call.Call(CallOptions.Current.defaultValue(), clock, Infinity)
  const pick = (call = newCall()) => {
    const picked = picker.pick(call, 0)
    return picked._tag === "Peer" ? picked.endpoint.id.split(":")[0]! : picked._tag
  }
  return {
    newCall,
    pick,
    /** How often each peer is picked, in so many picks. */
    counts: (picks: number) => {
      const seen: Record<string, number> = {}
      for (let i = 0; i < picks; i++) {
        const name = pick()
        seen[name] = (seen[name] ?? 0) + 1
      }
      return seen
    },
    set: (next: Picker.PeerSet) =>
      Effect.andThen(
        Effect.sync(() => sets.set(next)),
        settle
      )
  }
})

/** Whether a peer has been asked to connect. */
export const isAsked = Effect.fnUntraced(function* (peer: Peer.Peer) {
  const asked = yield* Effect.forkChild(peer.connectRequested)
  yield* settle
  return asked.pollUnsafe() !== undefined
})
