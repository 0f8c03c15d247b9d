/**
 * A server of the in-memory network: handlers behind an address, and what can go wrong there.
 */
import { Duration, Effect, Exit, type Fiber, FiberSet, Latch, Scope } from "effect"
import type { RpcError } from "../status/RpcError.ts"
import type { Application } from "../server/Server.ts"
import type { Loss } from "../transport/Loss.ts"

/** Runs one call's handler on the host. */
type Run = <A>(effect: Effect.Effect<A, RpcError>) => Fiber.Fiber<A, RpcError>

/** What a host serves, and how it runs a call. */
export interface Serving {
  readonly application: Application
  readonly run: Run
}

/** A connection as its host sees it. */
export interface Attached {
  readonly drop: (loss: Loss) => void
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
  readonly attached: Set<Attached> = new Set()
  #serving: (Serving & { readonly scope: Scope.Closeable }) | undefined

  constructor(address: string) {
    this.address = address
  }

  get serving(): Serving | undefined {
    return this.#serving
  }

  /** One way across the network. */
  get travel(): Effect.Effect<void> {
    const { latency } = this
    return Duration.isZero(latency) ? this.thawed.await : Effect.andThen(Effect.sleep(latency), this.thawed.await)
  }

  /** Starts answering. */
  start(application: Application): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.make()
      const run = yield* Scope.provide(FiberSet.makeRuntime<never, unknown, RpcError>(), scope)
      this.#serving = { application, scope, run: run as Run }
    })
  }

  /** Dies: connections break, calls on them fail, new connections are refused. */
  stop(loss: Loss): Effect.Effect<void> {
    return Effect.suspend(() => {
      const serving = this.#serving
      this.#serving = undefined
      for (const connection of [...this.attached]) connection.drop(loss)
      return serving === undefined ? Effect.void : Scope.close(serving.scope, Exit.void)
    })
  }
}
