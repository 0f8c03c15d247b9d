/**
 * One HTTP/2 connection as a machine: bytes in, events out; commands in, bytes out.
 *
 * There is no socket here, no timer and no clock: a driver brings bytes and the time, and takes what there is to send. So
 * the same machine runs on a socket, in memory and under tests that try what no network does. Client and server are two
 * roles of it, which differ in who opens streams.
 *
 * What a peer does wrong ends one stream or the connection, is told with the reason, and never throws.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import type { Events, Role } from "./Events.ts"
import { max31, preface } from "./Frame.ts"
import { FrameReader } from "./FrameReader.ts"
import { HpackEncoder } from "./HpackEncoder.ts"
import { defaults, type Limits } from "./Limits.ts"
import { Output } from "./Output.ts"
import { Receiver, type Receiving } from "./Receiver.ts"
import { SendFlow } from "./SendFlow.ts"
import { initial, type PeerSettings, SettingId } from "./Settings.ts"
import { ClosedStreams, Closing, Stream } from "./Stream.ts"

/** One connection. `T` is what its user keeps with each stream. */
export class Connection<T> implements Receiving<T> {
  readonly role: Role
  readonly limits: Limits
  readonly events: Events<T>
  readonly output = new Output()
  readonly peer: PeerSettings = initial()
  /** The streams that are open, by their identifiers. */
  readonly streams = new Map<number, Stream<T>>()
  /** @internal */
  readonly closed = new ClosedStreams()
  /** @internal */
  readonly flow: SendFlow<T>
  /** Why the connection is over; `undefined` while it is not. */
  error: ConnectionError | undefined
  /** The last stream the peer has opened. */
  lastPeerStreamId = 0
  /** The last stream the peer takes, since it said goodbye. */
  goawayReceived: number | undefined
  /** The last stream of the peer's that this side takes, since it said goodbye. */
  goawaySent: number | undefined
  readonly #encoder = new HpackEncoder()
  readonly #reader: FrameReader
  readonly #receiver: Receiver<T>
  #nextStreamId: number

  constructor(role: Role, events: Events<T>, limits?: Partial<Limits>) {
    this.role = role
    this.events = events
    this.limits = { ...defaults, ...limits }
    this.#nextStreamId = role === "client" ? 1 : 2
    this.flow = new SendFlow(this.output, this.peer, { drained: (stream) => this.#drained(stream) })
    this.#receiver = new Receiver(this)
    this.#reader = new FrameReader(this.#receiver, this.limits.maxFrameSize, role === "server")
    this.#greet()
  }

  #greet(): void {
    const { connectionWindow, headerTableSize, maxConcurrentStreams, maxFrameSize, maxHeaderListSize, streamWindow } =
      this.limits
    if (this.role === "client") this.output.bytes(preface)
    this.output.settings([
      ...(this.role === "client"
        ? ([[SettingId.ENABLE_PUSH, 0]] as const)
        : ([[SettingId.MAX_CONCURRENT_STREAMS, maxConcurrentStreams]] as const)),
      [SettingId.HEADER_TABLE_SIZE, headerTableSize],
      [SettingId.INITIAL_WINDOW_SIZE, streamWindow],
      [SettingId.MAX_FRAME_SIZE, maxFrameSize],
      [SettingId.MAX_HEADER_LIST_SIZE, maxHeaderListSize]
    ])
    if (connectionWindow > 65_535) this.output.windowUpdate(0, connectionWindow - 65_535)
  }

  /** Takes what the peer has sent. `now` is in milliseconds of any clock that only goes forward. */
  receive(bytes: Uint8Array, now: number): void {
    if (this.error !== undefined) return
    this.#receiver.now = now
    try {
      this.#reader.read(bytes)
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error
      this.fail(error)
    }
  }

  /** Ends the connection, and says why to both sides. */
  fail(error: ConnectionError): void {
    if (this.error !== undefined) return
    this.error = error
    this.output.goaway(this.lastPeerStreamId, error.code, error.message)
    this.events.failed(error)
  }

  // ------------------------------------------------------------------------------------------------------------------
  // Commands
  // ------------------------------------------------------------------------------------------------------------------

  /** Why no stream can be opened now; `undefined` if one can. */
  get unavailable(): "failed" | "goaway" | "ids used up" | "full" | undefined {
    if (this.error !== undefined) return "failed"
    if (this.goawayReceived !== undefined) return "goaway"
    if (this.#nextStreamId > max31) return "ids used up"
    return this.streams.size >= this.peer.maxConcurrentStreams ? "full" : undefined
  }

  /** Opens a stream with its request's fields. Only where `unavailable` says that one can be opened. */
  open(fields: ReadonlyArray<string>, endStream: boolean, context: T): Stream<T> {
    const stream = new Stream(this.#nextStreamId, context, this.peer.initialWindowSize, this.limits.streamWindow)
    this.#nextStreamId += 2
    this.streams.set(stream.id, stream)
    this.sendHeaders(stream, fields, endStream)
    return stream
  }

  /** Sends headers or trailers. Trailers wait for the data before them. */
  sendHeaders(stream: Stream<T>, fields: ReadonlyArray<string>, endStream: boolean): void {
    if (stream.isClosed || stream.localEnded) return
    if (stream.queue.length > 0) {
      stream.ending = fields
      return
    }
    this.output.headers(stream.id, this.#encoder.encode(fields), endStream, this.peer.maxFrameSize)
    if (!endStream) return
    stream.localEnded = true
    this.#closeIfEnded(stream)
  }

  /** Sends data as the windows allow. Large pieces are not copied: they must not change until they are written. */
  sendData(stream: Stream<T>, bytes: Uint8Array, endStream: boolean): void {
    if (stream.isClosed || stream.localEnded || stream.ending !== undefined) return
    this.flow.send(stream, bytes, endStream)
    if (stream.localEnded) this.#closeIfEnded(stream)
  }

  /** Ends a stream in both directions. */
  reset(stream: Stream<T>, code: ErrorCode): void {
    if (stream.isClosed) return
    this.output.reset(stream.id, code)
    this.close(stream, Closing.resetHere)
  }

  /** Gives `bytes` of a stream's window back to the peer. */
  consume(stream: Stream<T>, bytes: number): void {
    stream.credit += bytes
    if (stream.isClosed || stream.remoteEnded || stream.credit * 2 < this.limits.streamWindow) return
    this.output.windowUpdate(stream.id, stream.credit)
    stream.receiveWindow += stream.credit
    stream.credit = 0
  }

  /** Asks the peer for a sign of life: eight bytes that come back with `pong`. */
  ping(payload: Uint8Array): void {
    this.output.ping(payload, false)
  }

  /**
   * Says goodbye: streams of the peer's after `lastStreamId` are not looked at. Without it, all that may be on their way
   * are taken, and a second goodbye is to follow.
   */
  goaway(code: ErrorCode, debug: string, lastStreamId: number = max31): void {
    this.goawaySent = Math.min(lastStreamId, this.goawaySent ?? max31)
    this.output.goaway(this.goawaySent, code, debug)
  }

  // ------------------------------------------------------------------------------------------------------------------
  // For the receiving half
  // ------------------------------------------------------------------------------------------------------------------

  /** Whether streams of this identifier are opened by this side. @internal */
  isOurs(streamId: number): boolean {
    return (streamId & 1) === (this.role === "client" ? 1 : 0)
  }

  /** Whether no stream of this identifier has been opened yet. @internal */
  isIdle(streamId: number): boolean {
    return this.isOurs(streamId) ? streamId >= this.#nextStreamId : streamId > this.lastPeerStreamId
  }

  /** The peer's settings have changed. @internal */
  settingsChanged(windowBefore: number): void {
    this.#encoder.setLimit(this.peer.headerTableSize)
    const change = this.peer.initialWindowSize - windowBefore
    if (change === 0) return
    for (const stream of this.streams.values()) {
      if (!this.flow.grow(stream, change)) {
        throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE overflows a window")
      }
    }
  }

  /** The peer's direction of a stream has ended. @internal */
  remoteEnded(stream: Stream<T>): void {
    stream.remoteEnded = true
    this.#closeIfEnded(stream)
  }

  /** @internal */
  close(stream: Stream<T>, closing: Closing): void {
    if (stream.isClosed) return
    stream.isClosed = true
    this.flow.drop(stream)
    this.streams.delete(stream.id)
    this.closed.add(stream.id, closing)
  }

  #closeIfEnded(stream: Stream<T>): void {
    if (stream.localEnded && stream.remoteEnded) this.close(stream, Closing.ended)
  }

  #drained(stream: Stream<T>): void {
    const { ending } = stream
    if (stream.localEnded) this.#closeIfEnded(stream)
    else if (ending !== undefined && ending !== "data") {
      stream.ending = undefined
      this.sendHeaders(stream, ending, true)
    }
    this.events.writable(stream)
  }
}
