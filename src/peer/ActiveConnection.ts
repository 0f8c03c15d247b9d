/**
 * One connection of a peer and the calls on it.
 *
 * A call keeps the connection it started on, also when the peer has lost or replaced that one. A connection is closed when
 * the last of its calls has ended.
 */
import { type Effect, Exit, Latch, Scope } from "effect"
import type { Invoker } from "../call/Interceptor.ts"
import type { Connection } from "../transport/Connector.ts"

/**
 * A connection in use.
 *
 * @category models
 * @since 0.1.0
 */
export class ActiveConnection {
  readonly connection: Connection
  readonly transport: Invoker
  /** Calls on this connection now. */
  active = 0
  /** Whether it has carried a call. */
  used = false
  readonly #scope: Scope.Closeable
  readonly #drained: Latch.Latch = Latch.makeUnsafe(true)

  constructor(connection: Connection, scope: Scope.Closeable) {
    this.connection = connection
    this.transport = connection.transport
    this.#scope = scope
  }

  /** A call begins. */
  enter(): void {
    this.used = true
    if (this.active++ === 0) this.#drained.closeUnsafe()
  }

  /** A call has ended. */
  leave(): void {
    if (--this.active === 0) this.#drained.openUnsafe()
  }

  /** Waits until no call is on this connection. */
  get drained(): Effect.Effect<void> {
    return this.#drained.await
  }

  /** Closes the connection, cancelling the calls still on it. */
  get close(): Effect.Effect<void> {
    return Scope.close(this.#scope, Exit.void)
  }
}
