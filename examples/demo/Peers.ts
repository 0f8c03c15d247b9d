/**
 * The pool's own peers, looked at.
 *
 * A peer is shared by all who hold it in one registry. Holding the pool's peers too gives their status as a Stream and
 * their numbers as they are now; it neither connects them nor keeps a call from any.
 */
import { Effect, Stream } from "effect"
import type { Endpoint } from "trunkline"
import { type Peer, PeerRegistry, type PeerStatus } from "trunkline/extend"
import type { Journal } from "./Journal.ts"

/** A peer, with the name the demo has for it and what it has been through. */
export interface Watched {
  readonly name: string
  readonly peer: Peer.Peer
  readonly history: ReadonlyArray<Change>
}

/** A state, since when, and how many attempts the pool had sent there by then. */
export interface Change {
  readonly state: PeerStatus.State
  readonly at: number
  readonly started: number
}

/** Milliseconds as a person says them. */
const span = (millis: number): string =>
  millis < 1000 ? `${Math.round(millis)} ms` : `${(millis / 1000).toFixed(1)} s`

/** Tells of the changes a person wants to know: out of the pick set, why it stays out, and back in. */
const story = (name: string, journal: Journal) => {
  let lostAt: number | undefined
  let ready = false
  let explained = false
  return ({ cause, state }: PeerStatus.PeerStatus): void => {
    if (state === "Ready") {
      const after = lostAt === undefined ? "" : ` again, after ${span(journal.now() - lostAt)}`
      journal.tell(`${name} is ready${after}`, "good")
      lostAt = undefined
    } else if (ready) {
      lostAt = journal.now()
      explained = false
      journal.tell(`${name} is out of the pick set: ${cause ?? state}`, "bad")
    } else if (state === "Down" && !explained) {
      explained = true
      journal.tell(`${name} is down: ${cause ?? "no cause"}`, "bad")
    }
    ready = state === "Ready"
  }
}

/** Holds the peer of an endpoint and tells the journal what happens to it, for as long as the scope is open. */
export const watch = Effect.fnUntraced(function* (name: string, endpoint: Endpoint.Endpoint, journal: Journal) {
  const { retain } = yield* PeerRegistry.PeerRegistry
  const peer = yield* retain(endpoint)
  const history: Array<Change> = []
  const tell = story(name, journal)
  yield* Effect.forkScoped(
    Stream.runForEach(peer.changes, (status) =>
      Effect.sync(() => {
        history.push({ state: status.state, at: journal.now(), started: peer.stats.started })
        tell(status)
      })
    )
  )
  return { name, peer, history } satisfies Watched
})
