/**
 * A connection to a simulated server: the client's end of it.
 *
 * It does what a wire does: it opens and is refused, breaks with the calls on it, and ends an attempt at its deadline. No
 * message crosses; the answer to a call is which server gave it.
 */
import { Effect, type Scope } from "effect"
import type { Call } from "../call/Call.ts"
import type { Response, Unary } from "../call/Interceptor.ts"
import * as Metadata from "../call/Metadata.ts"
import type { Code } from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import type { Connection } from "../transport/Connector.ts"
import * as StateRef from "../transport/StateRef.ts"
import type { Alarm, SimulationClock } from "./SimulationClock.ts"
import type { Log } from "./SimulationLog.ts"
import type { Job, SimulationServer } from "./SimulationServer.ts"

/** A server's place in the network. */
export class Site {
  readonly server: SimulationServer
  readonly clock: SimulationClock
  readonly log: Log
  readonly index: number
  /** Its open connections. */
  readonly open = new Set<{ readonly drop: () => void }>()
  readonly answer: Effect.Effect<Response<unknown>>
  /** The errors there have been: they are values, and each costs a stack. */
  readonly #failures = new Map<string, Effect.Effect<never, RpcError.RpcError>>()

  constructor(server: SimulationServer, clock: SimulationClock, log: Log, index: number) {
    this.server = server
    this.clock = clock
    this.log = log
    this.index = index
    this.answer = Effect.succeed({ message: index, headers: Metadata.empty, trailers: Metadata.empty })
    server.onReachable = (reachable) => {
      if (!reachable) for (const connection of [...this.open]) connection.drop()
    }
  }

  fail(code: Code, message: string, progress?: RpcError.Progress): Effect.Effect<never, RpcError.RpcError> {
    const key = `${code} ${message}`
    const known = this.#failures.get(key)
    if (known !== undefined) return known
    const failure = Effect.fail(RpcError.make(code, message, { peer: this.server.name, origin: "remote", progress }))
    this.#failures.set(key, failure)
    return failure
  }
}

/** A call on its way: `lose` ends it when its connection breaks. */
interface Attempt {
  readonly lose: () => void
}

/** Opens a connection to a server, to be closed with its scope. */
export const open = (site: Site): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new SimulationConnection(site)),
    (connection) => Effect.sync(() => connection.close())
  )

class SimulationConnection implements Connection {
  readonly connectivity: StateRef.Writable<Connectivity> = StateRef.make<Connectivity>(Connectivity.Idle())
  readonly #site: Site
  readonly #attempts = new Set<Attempt>()

  constructor(site: Site) {
    this.#site = site
  }

  readonly connect: Effect.Effect<void> = Effect.sync(() => {
    if (this.connectivity.current()._tag !== "Idle") return
    if (this.#site.server.reachable) {
      this.#site.open.add(this)
      this.connectivity.set(Connectivity.Ready())
    } else {
      this.connectivity.set(Connectivity.TransientFailure({ cause: "connection refused" }))
    }
  })

  /** The connection breaks. */
  drop(): void {
    if (!this.#site.open.delete(this)) return
    for (const attempt of [...this.#attempts]) attempt.lose()
    this.connectivity.set(Connectivity.Idle())
  }

  close(): void {
    this.drop()
    this.connectivity.set(Connectivity.Shutdown())
  }

  readonly #unary = (call: Call): Effect.Effect<Response<unknown>, RpcError.RpcError> =>
    Effect.callback((resume) => {
      const site = this.#site
      const { clock, log, server } = site
      if (!site.open.has(this)) return resume(site.fail("UNAVAILABLE", "not connected", "not_started"))
      log.attempt(clock.now, site.index)
      let deadline: Alarm | undefined
      const end = (answer: Effect.Effect<Response<unknown>, RpcError.RpcError>): void => {
        deadline?.cancel()
        this.#attempts.delete(attempt)
        resume(answer)
      }
      const job: Job = server.accept((code) =>
        end(code === undefined ? site.answer : site.fail(code, "simulated failure"))
      )
      const leave = (code: Code, message: string): void => {
        server.leave(job)
        end(site.fail(code, message))
      }
      const attempt: Attempt = { lose: () => leave("UNAVAILABLE", "connection lost") }
      this.#attempts.add(attempt)
      if (call.attemptDeadline !== Infinity) {
        deadline = clock.at(call.attemptDeadline, () => leave("DEADLINE_EXCEEDED", "deadline exceeded"))
      }
      return Effect.sync(() => {
        deadline?.cancel()
        this.#attempts.delete(attempt)
        server.leave(job)
      })
    })

  readonly transport = {
    unary: ((_method, _request, call) => this.#unary(call)) as Unary,
    stream: () => Effect.die("a simulation has no streams")
  }
}
