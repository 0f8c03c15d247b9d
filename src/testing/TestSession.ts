/**
 * One open connection to a host: what carries calls until it breaks, or until it is told goodbye and they have ended.
 */
import { Deferred, Effect } from "effect"
import type { RpcError } from "../status/RpcError.ts"
import type { Disconnect } from "../transport/Disconnect.ts"
import type { Attached, Serving, TestHost } from "./TestHost.ts"

export class TestSession implements Attached {
  readonly #host: TestHost
  readonly #serving: Serving
  /** Told when no new call may begin. */
  readonly #onDisconnect: (disconnect: Disconnect) => void
  readonly #broken = Deferred.makeUnsafe<string>()
  #isOpen = true
  #calls = 0

  constructor(host: TestHost, serving: Serving, onDisconnect: (disconnect: Disconnect) => void) {
    this.#host = host
    this.#serving = serving
    this.#onDisconnect = onDisconnect
    host.attach(this)
  }

  /** Who answers on it: the host as it is, or as it was when it stopped. */
  get serving(): Serving {
    return this.#host.serving ?? this.#serving
  }

  /** The other side, or this one, has gone without a word. */
  drop(disconnect: Disconnect): void {
    this.#leave(disconnect)
    this.#host.detach(this)
    Deferred.doneUnsafe(this.#broken, Effect.succeed(disconnect.cause))
  }

  /** The other side has said goodbye. */
  retire(disconnect: Disconnect): void {
    this.#leave(disconnect)
    if (this.#calls === 0) this.#host.detach(this)
  }

  #leave(disconnect: Disconnect): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#onDisconnect(disconnect)
  }

  /** Carries a call for as long as the connection holds. */
  carry<A, R>(
    exchange: Effect.Effect<A, RpcError, R>,
    broken: (reason: string) => RpcError
  ): Effect.Effect<A, RpcError, R> {
    return Effect.acquireUseRelease(
      Effect.sync(() => void this.#calls++),
      () =>
        Effect.raceFirst(
          exchange,
          Effect.flatMap(Deferred.await(this.#broken), (reason) => Effect.fail(broken(reason)))
        ),
      () =>
        Effect.sync(() => {
          this.#calls--
          if (this.#calls === 0 && !this.#isOpen) this.#host.detach(this)
        })
    )
  }
}
