/**
 * The connections that a peer has open: the one that takes new calls, and those that only carry the calls they have.
 */
import { type Duration, Effect, Exit, Scope } from "effect"
import type { Connection } from "../transport/Connector.ts"
import { ActiveConnection } from "./ActiveConnection.ts"

/** The open connections of one peer. Each is closed once, whoever closes it. */
export class OpenConnections {
  readonly #open = new Set<ActiveConnection>()
  readonly #connect: Effect.Effect<Connection, never, Scope.Scope>

  constructor(connect: Effect.Effect<Connection, never, Scope.Scope>) {
    this.#connect = connect
  }

  /** Opens a connection in a scope of its own. It may not be ready yet. */
  get open(): Effect.Effect<ActiveConnection> {
    const opened = Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.make()
      const opening = Scope.provide(this.#connect, scope)
      const active = new ActiveConnection(yield* Effect.onError(opening, () => Scope.close(scope, Exit.void)), scope)
      this.#open.add(active)
      return active
    })
    return Effect.uninterruptible(opened)
  }

  /** Closes a connection, with the calls on it. */
  close(active: ActiveConnection): Effect.Effect<void> {
    return Effect.suspend(() => (this.#open.delete(active) ? active.close : Effect.void))
  }

  /** Closes each connection when its last call has ended; the waiting goes on in a scope. */
  retire(scope: Scope.Scope): Effect.Effect<void> {
    const retireOne = (active: ActiveConnection) => Effect.andThen(active.drained, this.close(active))
    return Effect.suspend(() =>
      Effect.forEach([...this.#open], (active) => Effect.forkIn(retireOne(active), scope), { discard: true })
    )
  }

  /** Waits for the calls on all connections up to a timeout, and closes the connections. */
  drain(timeout: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(
        [...this.#open],
        (active) => Effect.ensuring(Effect.timeoutOption(active.drained, timeout), this.close(active)),
        { concurrency: "unbounded", discard: true }
      )
    )
  }
}
