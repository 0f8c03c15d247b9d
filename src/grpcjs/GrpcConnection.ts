/**
 * One grpc-js channel as one connection.
 *
 * A channel connects again by itself and keeps calls waiting meanwhile; a connection ends once, and whoever owns it opens
 * the next. So when the connection under a channel is of no more use, the channel is closed in the same turn: what it has
 * not sent is told so at once, and what is under way goes on.
 */
import type * as grpc from "@grpc/grpc-js"
import type { ClientHttp2Session } from "node:http2"
import type { Socket } from "node:net"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { Keepalive, type KeepaliveTimes } from "../session/Keepalive.ts"
import { Watchdog } from "../session/Watchdog.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import * as Disconnect from "../transport/Disconnect.ts"
import * as StateRef from "../transport/StateRef.ts"
import { isGraceful, SessionStreams } from "./SessionStreams.ts"

/** A call as `Channel.createCall` returns it. */
export type GrpcCall = ReturnType<grpc.Channel["createCall"]>

/** A call on a connection, which ends with it. */
export interface Occupant {
  readonly grpcCall: GrpcCall
  /** How often the connection had been looked at when the call was sent. */
  readonly look: number
  /** Set when it is known that nothing of the call has left. */
  unsent: boolean
}

/** What holds for every connection of a connector. */
export interface Limits {
  readonly maxMetadataBytes: number
  readonly keepalive: KeepaliveTimes | undefined
}

/** How long a connection that is no longer needed may take to say goodbye. */
const farewellMillis = 500

/** One connection. */
export class GrpcConnection {
  readonly endpoint: Endpoint
  readonly limits: Limits
  readonly states: StateRef.Writable<Connectivity> = StateRef.make<Connectivity>(Connectivity.Idle())
  readonly active = new Set<Occupant>()
  #channel: grpc.Channel | undefined
  #session: ClientHttp2Session | undefined
  #socket: Socket | undefined
  #streams: SessionStreams | undefined
  #watchdog: Watchdog | undefined
  #keepalive: Keepalive | undefined
  #problem: string | undefined
  #error: Disconnect.DisconnectError | undefined
  #closed = false

  constructor(endpoint: Endpoint, limits: Limits) {
    this.endpoint = endpoint
    this.limits = limits
  }

  /** Its channel, which is made with credentials that report here. */
  get channel(): grpc.Channel {
    return this.#channel!
  }

  set channel(channel: grpc.Channel) {
    this.#channel = channel
  }

  /** How often the watchdog has looked. */
  get look(): number {
    return this.#watchdog?.looks ?? 0
  }

  get isReady(): boolean {
    return this.states.current()._tag === "Ready"
  }

  /** Whether calls under way can come to no good end. */
  get isLost(): boolean {
    const [session, socket] = [this.#session, this.#socket]
    return session === undefined || socket === undefined ? !this.isReady : session.destroyed || socket.destroyed
  }

  /** Why it is of no more use, as far as is known. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Why the connection is ready no more; `undefined` while it is. */
  get disconnectReason(): Disconnect.Disconnect | undefined {
    return this.isReady ? undefined : { error: this.#error ?? "unknown", cause: this.#problem ?? "connection lost" }
  }

  /** Leaves `Idle`, once. */
  connect(): void {
    if (!this.#closed) this.channel.getConnectivityState(true)
  }

  /** The session has been opened; its listeners and grpc-js's are replaced when the server's settings come. */
  opened(session: ClientHttp2Session, socket: Socket): void {
    session.once("remoteSettings", () => this.#settled(session, socket))
  }

  #settled(session: ClientHttp2Session, socket: Socket): void {
    this.#session = session
    this.#socket = socket
    this.#watchdog = new Watchdog(this.active, session, socket, {
      leave: (problem) => this.retire(problem),
      giveUp: (problem) => this.#giveUp(problem)
    })
    const { keepalive } = this.limits
    if (keepalive !== undefined) {
      this.#keepalive = new Keepalive(session, this.active, {
        times: keepalive.of(this.endpoint.id),
        giveUp: (problem) => this.#giveUp(problem)
      })
    }
    const watchdog = this.#watchdog
    this.#streams = new SessionStreams(session, {
      opened: () => void (watchdog.asked = true),
      refused: (problem) => this.retire(problem)
    })
    // Before grpc-js's listeners and Node's own, which end calls without a word about why, or which.
    session.prependListener("goaway", (code, lastStreamId, debug) => this.#goodbye(code, lastStreamId, debug))
    // Nobody asked for it, and without a listener its error would end the process.
    session.on("stream", (pushed) => {
      pushed.on("error", () => {})
      this.#giveUp("HTTP/2 was broken by the server: it pushed a stream", "unknown")
    })
    session.prependListener("error", (error: NodeJS.ErrnoException) => this.#fail(error))
    session.prependListener("close", () => this.#gone())
    socket.prependListener("error", (error: NodeJS.ErrnoException) => this.#fail(error))
    socket.prependListener("close", () => this.#gone())
  }

  /** grpc-js has found the connection ready. */
  ready(): void {
    if (this.#session === undefined || (!this.#session.closed && !this.isLost)) {
      return this.states.set(Connectivity.Ready())
    }
    // It ended before grpc-js listened, which now holds it for good.
    this.states.set(Connectivity.TransientFailure({ cause: this.#problem ?? "connection lost" }))
    this.#closeChannel()
  }

  /** No call may begin any more; those under way go on. */
  retire(problem: string, error?: Disconnect.DisconnectError): void {
    this.#problem ??= problem
    this.#error ??= error
    if (!this.isReady) return
    this.states.set(Connectivity.Idle())
    this.#closeChannel()
  }

  #goodbye(code: number, lastStreamId: number, debug: Uint8Array | undefined): void {
    const name = Disconnect.http2ErrorCodes[code] ?? "unknown"
    const text = debug === undefined ? "" : Buffer.from(debug).toString("latin1")
    this.limits.keepalive?.blamed(this.endpoint.id, code, text)
    this.#streams?.goodbye(code, lastStreamId)
    const problem = isGraceful(code) ? "connection lost" : `the server said goodbye with code ${code} (${name})`
    this.retire(problem, Disconnect.fromGoaway(code))
  }

  #fail(error: NodeJS.ErrnoException): void {
    this.#streams?.refuseUnsent()
    this.retire(error.message, Disconnect.fromSocketCode(error.code))
  }

  #gone(): void {
    this.#stop()
    this.#streams?.refuseUnsent()
    this.retire("connection lost")
  }

  /** Nothing more can come of the connection: it ends here and now. */
  #giveUp(problem: string, error: Disconnect.DisconnectError = "connection timed out"): void {
    this.#problem = problem
    this.#error = error
    this.#streams?.refuseUnsent()
    const unsentSince = this.#watchdog?.unsentSince ?? Infinity
    for (const occupant of this.active) if (occupant.look >= unsentSince) occupant.unsent = true
    this.retire(problem)
    this.#stop()
    this.#destroy(new Error(problem))
  }

  /** Node waits for the last words of a session; a socket whose other end is silent never gets them out. */
  #destroy(error?: Error): void {
    this.#session?.destroy(error)
    this.#socket?.destroy()
  }

  #closeChannel(): void {
    if (this.#closed) return
    this.#closed = true
    this.channel.close()
  }

  #stop(): void {
    this.#keepalive?.stop()
    this.#watchdog?.stop()
  }

  /** Ends the connection, and the calls that have not ended soon after. */
  close(): void {
    this.#stop()
    this.#problem ??= "the connection was closed"
    this.#error ??= "subchannel shutdown"
    this.states.set(Connectivity.Shutdown())
    this.#closeChannel()
    setTimeout(() => this.#destroy(), farewellMillis).unref()
  }
}
