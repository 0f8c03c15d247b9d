/**
 * A server of the in-memory network: handlers behind an address, and what can go wrong there.
 */
import { Duration, Effect, Exit, type Fiber, FiberSet, Latch, Scope } from "effect"
import type { RpcError } from "../status/RpcError.ts"
import type { Application } from "../server/Server.ts"
import type { Disconnect } from "../transport/Disconnect.ts"
import * as StateRef from "../transport/StateRef.ts"

/** Runs one call's handler on the host. */
type Run = <A>(effect: Effect.Effect<A, RpcError>) => Fiber.Fiber<A, RpcError>

/** What a host serves, and how it runs a call. */
export interface Serving {
  readonly application: Application
  readonly maxMetadataBytes: number
  readonly run: Run
}

/** A connection as its host sees it. */
export interface Attached {
  /** Breaks it, with the calls on it. */
  readonly drop: (disconnect: Disconnect) => void
  /** Takes no new call on it; it ends when those under way have. */
  readonly retire: (disconnect: Disconnect) => void
}

/**
 * An address of the network, with or without a server behind it.
 */
export class TestHost {
  readonly address: string
  /** Closed while nothing passes in either direction. */
  readonly thawed: Latch.Latch = Latch.makeUnsafe(true)
  /** Accepts connections and never answers on them. */
  silent = false
  latency: Duration.Duration = Duration.zero
  readonly #attached = new Set<Attached>()
  readonly #connections = StateRef.make(0)
  #serving: (Serving & { readonly scope: Scope.Closeable }) | undefined

  constructor(address: string) {
    this.address = address
  }

  get serving(): Serving | undefined {
    return this.#serving
  }

  /** How many connections there are, those included that only end their calls. */
  get connections(): number {
    return this.#attached.size
  }

  attach(connection: Attached): void {
    this.#attached.add(connection)
    this.#connections.set(this.#attached.size)
  }

  detach(connection: Attached): void {
    if (this.#attached.delete(connection)) this.#connections.set(this.#attached.size)
  }

  /** One way across the network. */
  get travel(): Effect.Effect<void> {
    const { latency } = this
    return Duration.isZero(latency) ? this.thawed.await : Effect.andThen(Effect.sleep(latency), this.thawed.await)
  }

  /** Starts answering, in place of what answered until now. */
  start(application: Application, maxMetadataBytes: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.make()
      const before = this.#serving
      if (before !== undefined) yield* Scope.addFinalizer(scope, Scope.close(before.scope, Exit.void))
      const run = yield* Scope.provide(FiberSet.makeRuntime<never, unknown, RpcError>(), scope)
      this.#serving = { application, maxMetadataBytes, scope, run: run as Run }
    })
  }

  /** Breaks every connection. */
  drop(disconnect: Disconnect): void {
    for (const connection of [...this.#attached]) connection.drop(disconnect)
  }

  /** Says goodbye on every connection. */
  retire(disconnect: Disconnect): void {
    for (const connection of [...this.#attached]) connection.retire(disconnect)
  }

  /** Dies: connections break, calls on them fail, new connections are refused. */
  die(disconnect: Disconnect): Effect.Effect<void> {
    return Effect.suspend(() => {
      const end = this.#end()
      this.drop(disconnect)
      return end
    })
  }

  /**
   * Stops in good order: new connections are refused and calls under way go on, for so long at the most. What is left then
   * is ended by the server, which its clients are told as `UNAVAILABLE`.
   */
  stop(disconnect: Disconnect, timeout: Duration.Duration): Effect.Effect<void> {
    return Effect.suspend(() => {
      const end = this.#end()
      this.retire(disconnect)
      const deserted = StateRef.until(this.#connections, (connections) => connections === 0)
      const drained = Duration.isZero(timeout) ? Effect.void : Effect.timeoutOption(deserted, timeout)
      return Effect.andThen(drained, end)
    })
  }

  /** Serves nobody new. The effect ends the calls that are served. */
  #end(): Effect.Effect<void> {
    const serving = this.#serving
    this.#serving = undefined
    return serving === undefined ? Effect.void : Scope.close(serving.scope, Exit.void)
  }
}
