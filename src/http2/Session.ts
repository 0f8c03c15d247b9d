/**
 * One HTTP/2 connection to one endpoint, as a client has it.
 *
 * It opens when asked, is ready when the server has sent its settings, and takes no more calls once the server says
 * goodbye or the socket is gone. Node keeps the frames; this keeps the state and the calls.
 */
import * as http2 from "node:http2"
import * as tls from "node:tls"
import { authorityOf, type Endpoint } from "../discovery/Endpoint.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import * as Loss from "../transport/Loss.ts"
import type { ClientTls } from "../transport/Tls.ts"
import * as Watched from "../transport/Watched.ts"
import { connectionWindow, streamWindow } from "./FlowControl.ts"
import { openSocket } from "./Socket.ts"

/** How a session is opened. */
export interface Options {
  readonly tls: ClientTls | undefined
  readonly maxReceiveMessageBytes: number
  readonly maxSendMessageBytes: number
  readonly keepalive: { readonly timeMillis: number; readonly timeoutMillis: number } | undefined
}

/** A call on a session, which ends with it. */
export interface Occupant {
  readonly cancel: (reason: string) => void
}

/** How long a closed connection may take to say goodbye. */
const farewellMillis = 500

/** One connection. */
export class Session {
  readonly endpoint: Endpoint
  readonly options: Options
  readonly authority: string
  readonly scheme: "http" | "https"
  readonly states: Watched.Writable<Connectivity> = Watched.make<Connectivity>(Connectivity.Idle())
  readonly occupants = new Set<Occupant>()
  /** Calls the server takes at one time. */
  maxCalls = Infinity
  /** Told when the connection becomes ready, when it stops being so, and when it takes more or fewer calls. */
  onChange: () => void = () => {}
  #http2: http2.ClientHttp2Session | undefined
  #problem: string | undefined
  #error: Loss.DisconnectError | undefined
  #keepalive: NodeJS.Timeout | undefined

  constructor(endpoint: Endpoint, options: Options) {
    this.endpoint = endpoint
    this.options = options
    this.authority = authorityOf(endpoint)
    this.scheme = options.tls === undefined ? "http" : "https"
  }

  /** Why the connection is gone; `undefined` while it is there. */
  get lost(): string | undefined {
    return this.#http2 === undefined || this.#http2.destroyed ? (this.#problem ?? "connection lost") : undefined
  }

  /** Why the connection is ready no more; `undefined` while it is. */
  get loss(): Loss.Loss | undefined {
    return this.isReady ? undefined : { error: this.#error ?? "unknown", cause: this.#problem ?? "connection lost" }
  }

  get isReady(): boolean {
    return this.states.current()._tag === "Ready"
  }

  /** A call's stream says why it broke, which is often before the connection does. */
  blame(problem: string): void {
    if (this.#http2?.destroyed) this.#problem ??= problem
  }

  /** Opens an HTTP/2 stream. Throws when the connection takes no more. */
  request(headers: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream {
    if (this.#http2 === undefined) throw new Error("not connected")
    return this.#http2.request(headers, { endStream: false })
  }

  /** Leaves `Idle`. */
  connect(): void {
    if (this.states.current()._tag !== "Idle" || this.#http2 !== undefined) return
    this.states.set(Connectivity.Connecting())
    const { authority, endpoint, options, scheme } = this
    let session: http2.ClientHttp2Session
    try {
      const socket = openSocket(endpoint, authority, options.tls).setNoDelay(true)
      session = http2.connect(`${scheme}://${authority}`, {
        createConnection: () => socket,
        settings: { enablePush: false, initialWindowSize: streamWindow }
      })
    } catch (error) {
      // Keys and names that TLS will not even look at.
      return this.#gone(error instanceof Error ? error.message : "cannot connect")
    }
    this.#http2 = session
    session.on("connect", (_, socket) => {
      if (socket instanceof tls.TLSSocket && socket.alpnProtocol !== "h2") {
        session.destroy(new Error("the server does not offer HTTP/2 (ALPN)"))
      } else session.setLocalWindowSize(connectionWindow)
    })
    session.on("remoteSettings", ({ maxConcurrentStreams }) => {
      this.maxCalls = maxConcurrentStreams ?? Infinity
      if (this.states.current()._tag === "Connecting") {
        this.states.set(Connectivity.Ready())
        this.#keepAlive(session)
      }
      this.onChange()
    })
    session.on("goaway", (code) => {
      this.#error ??= Loss.fromGoaway(code)
      if (code !== http2.constants.NGHTTP2_NO_ERROR) this.#problem = `the server said goodbye with code ${code}`
      this.#leave()
    })
    session.on("error", (error: NodeJS.ErrnoException) => {
      this.#problem ??= error.message
      this.#error ??= Loss.fromSocketCode(error.code)
    })
    session.on("close", () => this.#gone("connection lost"))
  }

  /** No call may begin any more; those under way go on. */
  #leave(): void {
    if (!this.isReady) return
    this.states.set(Connectivity.Idle())
    this.onChange()
  }

  #gone(otherwise: string): void {
    clearInterval(this.#keepalive)
    const cause = (this.#problem ??= otherwise)
    const { _tag } = this.states.current()
    if (_tag === "Connecting") {
      this.states.set(Connectivity.TransientFailure({ cause }))
      this.onChange()
    } else this.#leave()
  }

  /** Pings, and gives a connection up whose other end does not answer (gRFC A8). */
  #keepAlive(session: http2.ClientHttp2Session): void {
    const { keepalive } = this.options
    if (keepalive === undefined) return
    const giveUp = () => {
      this.#problem = `no answer to a ping within ${keepalive.timeoutMillis} ms`
      this.#error = "connection timed out"
      session.destroy()
    }
    this.#keepalive = setInterval(() => {
      if (this.occupants.size === 0 || session.destroyed) return
      const limit = setTimeout(giveUp, keepalive.timeoutMillis)
      session.ping(() => clearTimeout(limit))
    }, keepalive.timeMillis)
  }

  /** Ends every call and the connection. */
  close(reason: string): void {
    clearInterval(this.#keepalive)
    this.#problem ??= reason
    this.#error ??= "subchannel shutdown"
    for (const occupant of [...this.occupants]) occupant.cancel(reason)
    const session = this.#http2
    const wasReady = this.states.current()._tag !== "Connecting"
    this.states.set(Connectivity.Shutdown())
    if (session === undefined || session.destroyed) return
    if (!wasReady) return session.destroy()
    // After the resets of the calls just cancelled, which are sent in the next turn.
    setImmediate(() => session.close())
    setTimeout(() => session.destroy(), farewellMillis).unref()
  }
}
