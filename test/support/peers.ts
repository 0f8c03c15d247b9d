/** Peers in the state a test wants, and what pickers make of them. */
import { Clock, Effect, Queue, Stream } from "effect"
import { CallOptions, PendingLoad } from "trunkline"
import { Call, Peer, type Picker, HealthVerdict } from "trunkline/extend"
import { endpoint } from "./endpoints.ts"

/** A call made with these options. */
export const callWith = (
  options: Partial<CallOptions.CallOptions>,
  clock: Clock.Clock = Clock.Clock.defaultValue()
): Call.Call => new Call.Call({ ...CallOptions.Current.defaultValue(), ...options }, clock, Infinity)

/** A peer at port 1, unless the name has one. */
export const peerAt = (name: string, state: "Ready" | "Down" | "Idle" = "Ready", weight = 1): Peer.Peer => {
  const peer = new Peer.Peer({ ...endpoint(name.includes(":") ? name : `${name}:1`), weight }, 0)
  if (state !== "Idle") peer.transition({ _tag: "ConnectStarted" }, 0)
  if (state === "Ready") peer.transition({ _tag: "Connected" }, 0)
  if (state === "Down") peer.transition({ _tag: "ConnectFailed", cause: "refused" }, 0)
  return peer
}

export const setOf = (...peers: ReadonlyArray<Peer.Peer>): Picker.PeerSet => {
  const ready = peers.filter((peer) => peer.status.state === "Ready")
  return {
    peers,
    connected: ready,
    ready,
    endpointOf: (peer) => peer.endpoint,
    weightOf: (peer) => peer.endpoint.weight,
    verdictOf: () => HealthVerdict.healthy,
    load: PendingLoad.pending
  }
}

/** Starts a policy over some sets, one at a time, and leaves it running in the test's scope. */
export const start = Effect.fnUntraced(function* (policy: Picker.PickerPolicy, ...sets: ReadonlyArray<Picker.PeerSet>) {
  const pickers: Array<Picker.Picker> = []
  const given = yield* Queue.unbounded<Picker.PeerSet>()
  yield* policy.pickers(Stream.fromQueue(given)).pipe(
    Stream.runForEach((picker) => Effect.sync(() => pickers.push(picker))),
    Effect.forkScoped
  )
  const load = policy.load?.make()
  const give = Effect.fnUntraced(function* (set: Picker.PeerSet) {
    yield* Queue.offer(given, { ...set, load: load ?? set.load })
    for (let i = 0; i < 20; i++) yield* Effect.yieldNow
  })
  for (const set of sets) yield* give(set)
  return { give, pickers, latest: () => pickers.at(-1)! }
})

/** The pickers a policy makes of some sets. */
export const pickersOf = (policy: Picker.PickerPolicy, ...sets: ReadonlyArray<Picker.PeerSet>) =>
  Effect.scoped(Effect.map(start(policy, ...sets), ({ pickers }) => pickers))

/** The ids of so many picks. */
export const picks = Effect.fnUntraced(function* (picker: Picker.Picker, count: number, now = 0) {
  const call = callWith({}, yield* Clock.Clock)
  return Array.from({ length: count }, () => {
    const picked = picker.pick(call, now)
    return picked._tag === "Peer" ? picked.id : picked._tag
  })
})

export const share = (ids: ReadonlyArray<string>, id: string): number =>
  ids.filter((other) => other === id).length / ids.length
