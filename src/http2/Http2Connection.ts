/**
 * One HTTP/2 connection to one endpoint, as a client has it.
 *
 * It opens when asked, is ready when the server has sent its settings, and takes no more calls from the turn on in which
 * it can know that none can be sent: the server says goodbye, the socket is gone, Node has closed or destroyed the
 * session, its stream ids are used up, or nothing leaves it any more. Node keeps the frames; this keeps the state and the
 * calls.
 */
import * as http2 from "node:http2"
import type * as net from "node:net"
import { Result } from "effect"
import { authorityOf, type Endpoint } from "../discovery/Endpoint.ts"
import { open } from "../socket/Opening.ts"
import { explain, type Way } from "../socket/Way.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import * as Disconnect from "../transport/Disconnect.ts"
import * as StateRef from "../transport/StateRef.ts"
import { connectionWindow, sessionMemory, streamWindow } from "./FlowControl.ts"
import { Keepalive, type KeepaliveTimes } from "../session/Keepalive.ts"
import { type FieldProblem, fromThrown } from "./RequestFields.ts"
import { Watchdog } from "../session/Watchdog.ts"

/** How a session is opened. */
export interface Options {
  readonly way: Way
  readonly maxReceiveMessageBytes: number
  readonly maxSendMessageBytes: number
  readonly maxMetadataBytes: number
  readonly keepalive: KeepaliveTimes | undefined
}

/** A call on a session, which ends with it. */
export interface Occupant {
  readonly stream: http2.ClientHttp2Stream | undefined
  /** How often the session had been looked at when the call was sent. */
  readonly look: number
  readonly cancel: (reason: string) => void
  /** The server says that it will not look at the call. */
  readonly refuse: (reason: string) => void
  /** The connection is about to be lost, and nothing of the call was ever sent. */
  readonly neverSent: () => void
}

/** How long a connection that is no longer needed may take to say goodbye. */
const farewellMillis = 500

/** Node's own bound of a header block, in bytes. */
const nodeBlock = 65_535

/** What the protocol's own fields take of a header block. */
const ownFields = 2048

/** One connection. */
export class Http2Connection {
  readonly endpoint: Endpoint
  readonly options: Options
  readonly authority: string
  readonly scheme: "http" | "https"
  readonly states: StateRef.Writable<Connectivity> = StateRef.make<Connectivity>(Connectivity.Idle())
  readonly occupants = new Set<Occupant>()
  /** Calls the server takes at one time. */
  maxCalls = Infinity
  /** Told when the connection becomes ready, when it stops being so, and when it takes more or fewer calls. */
  onChange: () => void = () => {}
  #http2: http2.ClientHttp2Session | undefined
  #socket: net.Socket | undefined
  #abandon: () => void = () => {}
  #problem: string | undefined
  #error: Disconnect.DisconnectError | undefined
  #keepalive: Keepalive | undefined
  #watchdog: Watchdog | undefined

  constructor(endpoint: Endpoint, options: Options) {
    this.endpoint = endpoint
    this.options = options
    this.authority = authorityOf(endpoint)
    this.scheme = options.way.identity === undefined ? "http" : "https"
  }

  /** Why the connection is gone; `undefined` while it is there. */
  get lost(): string | undefined {
    const session = this.#http2
    if (session !== undefined && !session.destroyed && !this.#socket!.destroyed) return undefined
    return this.#problem ?? "connection lost"
  }

  /** Why the connection is ready no more; `undefined` while it is. */
  get disconnectReason(): Disconnect.Disconnect | undefined {
    return this.isReady ? undefined : { error: this.#error ?? "unknown", cause: this.#problem ?? "connection lost" }
  }

  get isReady(): boolean {
    return this.states.current()._tag === "Ready"
  }

  /** How often the watchdog has looked. */
  get look(): number {
    return this.#watchdog?.looks ?? 0
  }

  /** A call's stream says why it broke, which is often before the connection does. */
  blame(problem: string): void {
    if (this.lost === undefined) return
    this.#problem ??= problem
    this.#leave()
  }

  /** There is something to send. */
  ask(): void {
    if (this.#watchdog !== undefined) this.#watchdog.asked = true
  }

  /**
   * Opens an HTTP/2 stream; `undefined` when the connection takes none, which it then says by its state. What Node has
   * against a header field is not the connection's fault.
   */
  request(headers: http2.OutgoingHttpHeaders): http2.ClientHttp2Stream | FieldProblem | undefined {
    const session = this.#http2
    if (session === undefined || !this.isReady) return undefined
    if (session.closed || this.lost !== undefined) return this.#takesNone("connection lost")
    this.ask()
    let stream: http2.ClientHttp2Stream
    try {
      stream = session.request(headers, { endStream: false })
    } catch (error) {
      return fromThrown(error) ?? this.#takesNone(error instanceof Error ? error.message : "no call can be sent")
    }
    if (stream.id !== undefined) return stream
    // It got no id, and never will: its error follows, and belongs to no call.
    stream.on("error", () => {})
    return this.#takesNone("its stream ids are used up")
  }

  #takesNone(problem: string): undefined {
    this.#problem ??= problem
    this.#leave()
  }

  /** Leaves `Idle`. */
  connect(): void {
    if (this.states.current()._tag !== "Idle" || this.#http2 !== undefined) return
    this.states.set(Connectivity.Connecting())
    this.#abandon = open(this.options.way, (opened) =>
      Result.match(opened, {
        onFailure: (problem) => this.#gone(problem),
        onSuccess: (socket) => this.#begin(socket)
      })
    )
  }

  /** HTTP/2 begins on a socket that is open. */
  #begin(socket: net.Socket): void {
    this.#socket = socket
    // Before Node's own listeners, so that no call is begun between the end of the socket and that of the session.
    socket.on("error", (error: NodeJS.ErrnoException) => this.#fail(error))
    socket.on("end", () => this.#leave())
    socket.on("close", () => this.#socketClosed())
    const headerBlock = Math.max(nodeBlock, this.options.maxMetadataBytes + ownFields)
    // The authority is a field of each request; here it would have to be a URL's.
    const session = http2.connect(`${this.scheme}://localhost`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: streamWindow, maxHeaderListSize: headerBlock },
      maxHeaderListPairs: Math.ceil(headerBlock / 32),
      // Over its own bound Node sends nothing and closes the connection.
      maxSendHeaderBlockLength: headerBlock,
      maxSessionMemory: sessionMemory
    })
    this.#http2 = session
    session.on("connect", () => {
      // Node says so also where the session has been given up before there was a connection.
      if (!session.destroyed) session.setLocalWindowSize(connectionWindow)
    })
    session.on("remoteSettings", (settings) => this.#settled(session, socket, settings))
    session.on("goaway", (code, lastStreamId, debug) => this.#goodbye(code, lastStreamId, debug))
    // A server that has not read our settings yet may push. Nobody wants that.
    session.on("stream", (stream) => stream.on("error", () => {}).close(http2.constants.NGHTTP2_REFUSED_STREAM))
    session.on("error", (error: NodeJS.ErrnoException) => this.#fail(error))
    session.on("close", () => this.#gone(this.#hungUp()))
  }

  /** Why a connection is gone when nobody says why. */
  #hungUp(): string {
    const wasConnecting = this.states.current()._tag === "Connecting"
    return wasConnecting ? explain(this.options.way, "settle", undefined) : "connection lost"
  }

  #settled(session: http2.ClientHttp2Session, socket: net.Socket, { maxConcurrentStreams }: http2.Settings): void {
    this.maxCalls = maxConcurrentStreams ?? Infinity
    if (this.states.current()._tag === "Connecting") {
      const { keepalive } = this.options
      this.#watchdog = new Watchdog(this.occupants, session, socket, {
        leave: (problem) => this.#takesNone(problem),
        giveUp: (problem) => this.#giveUp(problem)
      })
      if (keepalive !== undefined) {
        this.#keepalive = new Keepalive(session, this.occupants, {
          times: keepalive.of(this.endpoint.id),
          giveUp: (problem) => this.#giveUp(problem)
        })
      }
      this.states.set(Connectivity.Ready())
    }
    this.onChange()
  }

  #goodbye(code: number, lastStreamId: number, debug: Uint8Array | undefined): void {
    this.#error ??= Disconnect.fromGoaway(code)
    const text = debug === undefined || debug.length === 0 ? "" : Buffer.from(debug).toString("latin1")
    if (code !== http2.constants.NGHTTP2_NO_ERROR) {
      this.#problem = `the server said goodbye with code ${code} (${Disconnect.http2ErrorCodes[code] ?? "unknown"})`
      this.options.keepalive?.blamed(this.endpoint.id, code, text)
    }
    this.#leave()
    // What the server has not looked at may go elsewhere at once (RFC 9113, 6.8).
    for (const occupant of [...this.occupants]) {
      const id = occupant.stream?.id
      if (id !== undefined && id > lastStreamId) occupant.refuse(this.#problem ?? "the server said goodbye")
    }
  }

  /** Why the socket or the session is about to end. */
  #fail(error: NodeJS.ErrnoException): void {
    const isConnecting = this.states.current()._tag === "Connecting"
    this.#problem ??= isConnecting ? explain(this.options.way, "settle", error) : error.message
    // A server may refuse what TLS has agreed on (a certificate, in TLS 1.3), of which only the socket hears.
    if (isConnecting) {
      this.#gone(this.#problem)
      return this.#destroy()
    }
    this.#error ??= Disconnect.fromSocketCode(error.code)
    this.#tellUnsent()
    this.#leave()
  }

  #socketClosed(): void {
    this.#tellUnsent()
    this.#leave()
    // The session tells its end later, or not at all; it may know more of the reason.
    setImmediate(() => this.#gone(this.#hungUp()))
  }

  /** While Node still knows: calls over what the server takes at one time have never been sent. */
  #tellUnsent(): void {
    const { NGHTTP2_STREAM_STATE_IDLE: idle } = http2.constants
    if (this.occupants.size <= this.maxCalls) return
    for (const occupant of this.occupants) if (occupant.stream?.state.state === idle) occupant.neverSent()
  }

  /** No call may begin any more; those under way go on. */
  #leave(): void {
    if (!this.isReady) return
    this.states.set(Connectivity.Idle())
    this.onChange()
  }

  #gone(otherwise: string): void {
    this.#keepalive?.stop()
    this.#watchdog?.stop()
    const cause = (this.#problem ??= otherwise)
    const { _tag } = this.states.current()
    if (_tag === "Connecting") {
      this.states.set(Connectivity.TransientFailure({ cause }))
      this.onChange()
    } else this.#leave()
  }

  /** Nothing comes back from the other end, or nothing leaves this one: the connection ends here and now. */
  #giveUp(problem: string): void {
    this.#problem = problem
    this.#error = "connection timed out"
    this.#tellUnsent()
    const unsentSince = this.#watchdog?.unsentSince ?? Infinity
    for (const occupant of this.occupants) if (occupant.look >= unsentSince) occupant.neverSent()
    this.#gone(problem)
    this.#destroy()
  }

  /** Node waits for the last words of a session; a socket whose other end is silent never gets them out. */
  #destroy(): void {
    this.#abandon()
    this.#http2?.destroy()
    this.#socket?.destroy()
  }

  /** Ends every call and the connection. */
  close(reason: string): void {
    this.#keepalive?.stop()
    this.#watchdog?.stop()
    this.#problem ??= reason
    this.#error ??= "subchannel shutdown"
    for (const occupant of [...this.occupants]) occupant.cancel(reason)
    const wasConnecting = this.states.current()._tag === "Connecting"
    this.states.set(Connectivity.Shutdown())
    if (this.lost !== undefined || wasConnecting) return this.#destroy()
    // After the resets of the calls just cancelled, which are sent in the next turn.
    setImmediate(() => this.#http2!.close())
    setTimeout(() => this.#destroy(), farewellMillis).unref()
  }
}
