/**
 * What is known of a peer's reachability, ordered from best to worst.
 *
 * `Ready > Connecting > Idle > Down > Gone`. An idle peer could be asked to connect; a peer that is down failed to
 * connect and tries again by itself after a delay; a peer that is gone was removed, or gave up, and never comes back.
 */
import { Order } from "effect"
import type { DisconnectError } from "../transport/Disconnect.ts"

/**
 * A peer's state.
 *
 * @category models
 * @since 0.1.0
 */
export type State = "Ready" | "Connecting" | "Idle" | "Down" | "Gone"

/**
 * A peer's state, since when (milliseconds of the wall clock), and why it is not ready. How many calls it has is a number
 * that changes with every call, and is in the peer's stats.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeerStatus {
  readonly state: State
  readonly since: number
  /** The last failure; kept while the peer tries again, cleared when it is ready. */
  readonly cause: string | undefined
  /** How its last connect ended; `undefined` if there was none since it was new, or asked to disconnect. */
  readonly lastConnect: "succeeded" | "failed" | undefined
  /** Which one of the peer's statuses it is: each change counts one up, so a watcher can tell whether it missed any. */
  readonly version: number
}

const ranks: Readonly<Record<State, number>> = { Gone: 0, Down: 1, Idle: 2, Connecting: 3, Ready: 4 }

/**
 * Worse states come first.
 *
 * @category ordering
 * @since 0.1.0
 */
export const byState: Order.Order<PeerStatus> = Order.mapInput(
  Order.Number,
  (status: PeerStatus) => ranks[status.state]
)

/**
 * What happens to a peer.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "ConnectStarted" }
  | { readonly _tag: "Connected" }
  | { readonly _tag: "ConnectFailed"; readonly cause: string }
  | { readonly _tag: "Disconnected"; readonly cause: string; readonly error?: DisconnectError | undefined }
  | { readonly _tag: "Released" }
  | { readonly _tag: "GaveUp"; readonly cause: string }
  | { readonly _tag: "Removed" }

/**
 * The status of a new peer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const initial = (now: number): PeerStatus => ({
  state: "Idle",
  since: now,
  cause: undefined,
  lastConnect: undefined,
  version: 0
})

/**
 * Whether a peer may soon be ready: it is idle or connecting, and its last connect did not fail. One that failed stays
 * without hope while it tries again, until it is ready, as gRPC's TRANSIENT_FAILURE does.
 *
 * @see https://github.com/grpc/proposal/blob/master/A62-pick-first.md
 * @category getters
 * @since 0.1.0
 */
export const mayBecomeReady = ({ lastConnect, state }: PeerStatus): boolean =>
  (state === "Idle" || state === "Connecting") && lastConnect !== "failed"

/**
 * The status after an event. `Gone` is final, so a late report of a removed peer changes nothing; an event that does not
 * fit the state changes nothing either.
 *
 * @category transitions
 * @since 0.1.0
 */
export const next = (self: PeerStatus, event: Event, now: number): PeerStatus => {
  if (self.state === "Gone") return self
  const version = self.version + 1
  switch (event._tag) {
    case "ConnectStarted":
      return self.state === "Idle" || self.state === "Down"
        ? { ...self, state: "Connecting", since: now, version }
        : self
    case "Connected":
      return self.state === "Connecting"
        ? { state: "Ready", since: now, cause: undefined, lastConnect: "succeeded", version }
        : self
    case "ConnectFailed":
      return self.state === "Connecting"
        ? { state: "Down", since: now, cause: event.cause, lastConnect: "failed", version }
        : self
    case "Disconnected":
      return self.state === "Ready" ? { ...self, state: "Idle", since: now, cause: event.cause, version } : self
    case "Released":
      return self.state === "Idle"
        ? self
        : { state: "Idle", since: now, cause: undefined, lastConnect: undefined, version }
    case "GaveUp":
      return { state: "Gone", since: now, cause: event.cause, lastConnect: "failed", version }
    case "Removed":
      return { ...self, state: "Gone", since: now, version }
  }
}
