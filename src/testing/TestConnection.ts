/**
 * A connection of the in-memory network: the client's end.
 *
 * Messages cross as bytes, through the same codecs and the same dispatch as on a socket. Deadlines, cancellation, broken
 * connections, goodbyes and demand windows work as they do there, on the clock of the test.
 */
import { Effect, type Scope, type Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as CallCredentials from "../call/CallCredentials.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Response, StreamResponse } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import type { Connection } from "../transport/Connector.ts"
import type { Disconnect } from "../transport/Disconnect.ts"
import * as StateRef from "../transport/StateRef.ts"
import { type Failure, local, type Site } from "./TestAttempt.ts"
import type { TestHost } from "./TestHost.ts"
import { TestSession } from "./TestSession.ts"
import * as TestStream from "./TestStream.ts"
import * as TestUnary from "./TestUnary.ts"

class TestConnection {
  readonly host: TestHost
  readonly maxMetadataBytes: number
  readonly states: StateRef.Writable<Connectivity> = StateRef.make<Connectivity>(Connectivity.Idle())
  disconnectReason: Disconnect | undefined = undefined
  /** What new calls go on. */
  #session: TestSession | undefined
  /** All there have been; the earlier ones may still carry calls. */
  readonly #sessions: Array<TestSession> = []

  constructor(host: TestHost, maxMetadataBytes: number) {
    this.host = host
    this.maxMetadataBytes = maxMetadataBytes
  }

  readonly connect: Effect.Effect<void> = Effect.suspend(() => {
    if (this.states.current()._tag !== "Idle") return Effect.void
    this.states.set(Connectivity.Connecting())
    return Effect.andThen(
      this.host.travel,
      Effect.sync(() => this.#answer())
    )
  })

  #answer(): void {
    if (this.states.current()._tag !== "Connecting" || this.host.silent) return
    const { serving } = this.host
    if (serving === undefined) {
      return this.states.set(Connectivity.TransientFailure({ cause: `connection refused by ${this.host.address}` }))
    }
    const session = new TestSession(this.host, serving, (disconnect) => this.#disconnected(disconnect))
    this.#session = session
    this.#sessions.push(session)
    this.states.set(Connectivity.Ready())
  }

  /** No new call can begin, from this turn on. */
  #disconnected(disconnect: Disconnect): void {
    this.#session = undefined
    this.disconnectReason = disconnect
    this.states.set(Connectivity.Idle())
  }

  close(): void {
    for (const session of this.#sessions) {
      session.drop({ error: "subchannel shutdown", cause: "the connection was closed" })
    }
    this.states.set(Connectivity.Shutdown())
  }

  /** The session a call begins on. */
  #on<A, R>(method: Method<never, unknown>, f: (site: Site) => Effect.Effect<A, Failure, R>) {
    return Effect.suspend(() => {
      const { host, maxMetadataBytes } = this
      const session = this.#session
      if (session !== undefined) return f({ host, session, method, maxMetadataBytes })
      const problem = `there is no connection to ${host.address}`
      return Effect.fail(local("UNAVAILABLE", problem, { host, method }, { progress: "not_started" }))
    })
  }

  readonly unary = <I, O>(method: Method<I, O>, request: I, call: Call): Effect.Effect<Response<O>, Failure> =>
    this.#on(method, (site) => TestUnary.run(site, method, request, call))

  readonly stream = <I, O>(
    method: Method<I, O>,
    requests: Stream.Stream<I, Failure>,
    call: Call
  ): Effect.Effect<StreamResponse<O>, Failure, Scope.Scope> =>
    this.#on(method, (site) => TestStream.run(site, method, requests, call))
}

/** Opens a connection to a host, to be closed with its scope. */
export const open = (host: TestHost, maxMetadataBytes: number): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => new TestConnection(host, maxMetadataBytes)),
      (connection) => Effect.sync(() => connection.close())
    ),
    (connection) => ({
      // Nobody else can read what does not leave the process.
      transport: Interceptor.apply(CallCredentials.attach({ authority: host.address, secure: true }), {
        unary: connection.unary,
        stream: connection.stream
      }),
      connectivity: connection.states,
      connect: connection.connect,
      disconnectReason: () => connection.disconnectReason
    })
  )
