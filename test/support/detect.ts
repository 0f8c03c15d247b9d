/** A signal at work on peers that the test moves by hand. */
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Deadline } from "trunkline"
import { type Outcome, Peer, type Signal, type HealthVerdict, StateRef } from "trunkline/extend"
import { ActiveConnection } from "../../src/peer/ActiveConnection.ts"
import { endpoint } from "./endpoints.ts"

/** Lets everything that is ready to run do so. */
export const settle = Effect.andThen(TestClock.adjust(0), TestClock.adjust(0))

/** A connected peer. */
export const connected = (name: string): Peer.Peer => {
  const peer = new Peer.Peer(endpoint(name), 0)
  connect(peer)
  return peer
}

/** Gives a peer a new connection. */
export const connect = (peer: Peer.Peer): void => {
  peer.connection = new ActiveConnection({} as never, {} as never)
  peer.transition({ _tag: "ConnectStarted" }, 0)
  peer.transition({ _tag: "Connected" }, 0)
}

/** Takes its connection from a peer. */
export const disconnect = (peer: Peer.Peer): void => {
  peer.connection = undefined
  peer.transition({ _tag: "Disconnected", cause: "lost" }, 0)
}

/** Runs a signal. What it says is merged with nothing, unless the test says how a peer stands. */
export const detect = Effect.fnUntraced(function* (signal: Signal.Signal, ...peers: ReadonlyArray<Peer.Peer>) {
  const detector = yield* signal.make
  const members = StateRef.make(peers)
  const standings = new Map<Peer.Peer, HealthVerdict.Status>()
  let latest: Signal.Verdicts = new Map()
  let emitted = 0
  yield* Effect.forkScoped(
    Stream.runForEach(
      detector.verdicts(members.changes, (peer) => standings.get(peer) ?? "Ready"),
      (verdicts) =>
        Effect.sync(() => {
          emitted++
          latest = verdicts
        })
    )
  )
  yield* settle
  const now = Effect.clockWith((clock) => Effect.sync(() => Deadline.nowUnsafe(clock)))
  return {
    /** The peers are these, or are the same and have moved. */
    tell: (next: ReadonlyArray<Peer.Peer> = members.current()) =>
      Effect.andThen(
        Effect.sync(() => members.set(next)),
        settle
      ),
    stand: (peer: Peer.Peer, status: HealthVerdict.Status) => void standings.set(peer, status),
    /** So many attempts on a peer end now. */
    finish: (peer: Peer.Peer, outcome: Outcome.Outcome, times = 1, elapsed = 0) =>
      Effect.andThen(
        Effect.map(now, (at) => {
          for (let i = 0; i < times; i++) detector.observe?.(peer, outcome, elapsed, at)
        }),
        settle
      ),
    verdictOf: (peer: Peer.Peer) => latest.get(peer),
    statusOf: (peer: Peer.Peer): HealthVerdict.Status => latest.get(peer)?.status ?? "Ready",
    weightOf: (peer: Peer.Peer): number => latest.get(peer)?.weight ?? 1,
    emitted: () => emitted
  }
})
