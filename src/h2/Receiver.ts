/**
 * What each frame of a peer does to the connection.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-6
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import type { Events, Role } from "./Events.ts"
import { type BlockKind, listProblem, valueOf } from "./FieldRules.ts"
import { Flag, FrameType, max31, readU32 } from "./Frame.ts"
import type { FrameSink } from "./FrameReader.ts"
import { type Block, HeaderBlocks, withoutPadding } from "./HeaderBlocks.ts"
import { HpackDecoder } from "./HpackDecoder.ts"
import { FloodGuard, type Limits } from "./Limits.ts"
import type { Output } from "./Output.ts"
import type { SendFlow } from "./SendFlow.ts"
import * as Settings from "./Settings.ts"
import { type ClosedStreams, Closing, Stream } from "./Stream.ts"

const protocol = (message: string) => new ConnectionError(ErrorCode.PROTOCOL_ERROR, message)
const frameSize = (message: string) => new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, message)

/** What the receiving half needs of its connection. */
export interface Receiving<T> {
  readonly role: Role
  readonly limits: Limits
  readonly events: Events<T>
  readonly output: Output
  readonly peer: Settings.PeerSettings
  readonly streams: Map<number, Stream<T>>
  readonly closed: ClosedStreams
  readonly flow: SendFlow<T>
  lastPeerStreamId: number
  goawayReceived: number | undefined
  readonly goawaySent: number | undefined
  readonly isOurs: (streamId: number) => boolean
  readonly isIdle: (streamId: number) => boolean
  readonly settingsChanged: (windowBefore: number) => void
  readonly remoteEnded: (stream: Stream<T>) => void
  readonly consume: (stream: Stream<T>, bytes: number) => void
  readonly reset: (stream: Stream<T>, code: ErrorCode) => void
  readonly close: (stream: Stream<T>, closing: Closing) => void
}

/** The receiving half of a connection. Its methods throw `ConnectionError`. */
export class Receiver<T> implements FrameSink {
  /** The time of the bytes that are being read. */
  now = 0
  readonly #connection: Receiving<T>
  readonly #decoder: HpackDecoder
  readonly #blocks: HeaderBlocks
  readonly #guard: FloodGuard
  /** Bytes the peer may still send on the connection, and those to be given back. */
  #window: number
  #credit = 0
  #settingsReceived = false
  /** The stream of the DATA frame under way; none if its data is to be dropped. */
  #dataStream: Stream<T> | undefined
  #dataEnds = false

  constructor(connection: Receiving<T>) {
    const { limits } = connection
    this.#connection = connection
    this.#decoder = new HpackDecoder(Math.max(4096, limits.headerTableSize))
    this.#blocks = new HeaderBlocks(limits)
    this.#guard = new FloodGuard(limits)
    this.#window = Math.max(65_535, limits.connectionWindow)
  }

  // ------------------------------------------------------------------------------------------------------------------
  // DATA
  // ------------------------------------------------------------------------------------------------------------------

  dataBegins(streamId: number, length: number, flags: number): void {
    this.#mayCome(FrameType.DATA, streamId)
    this.#dataEnds = (flags & Flag.END_STREAM) !== 0
    if (length === 0 && !this.#dataEnds) this.#idleFrame()
    this.#dataStream = this.#takesData(streamId, length)
  }

  dataArrives(bytes: Uint8Array, isLast: boolean): void {
    const stream = this.#dataStream
    // A handler of an earlier piece may have ended it.
    if (stream === undefined || stream.isClosed) return
    const { events } = this.#connection
    const ends = isLast && this.#dataEnds
    if (stream.contentLeft !== undefined) {
      stream.contentLeft -= bytes.length
      if (stream.contentLeft < 0 || (ends && stream.contentLeft > 0)) {
        return this.#streamError(stream, ErrorCode.PROTOCOL_ERROR, "the data is not as long as content-length says")
      }
    }
    if (ends) this.#connection.remoteEnded(stream)
    if (bytes.length > 0 || ends) events.data(stream, bytes, ends)
  }

  /** Counts a frame of data against the windows. The stream it is for, if there is one that takes it. */
  #takesData(streamId: number, length: number): Stream<T> | undefined {
    this.#window -= length
    if (this.#window < 0)
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
    this.#giveBack(length)
    const stream = this.#connection.streams.get(streamId)
    if (stream === undefined) return this.#onClosed(streamId, "DATA")
    if (stream.remoteEnded) return this.#streamError(stream, ErrorCode.STREAM_CLOSED, "DATA after the end of a stream")
    if (!stream.headersReceived) return this.#streamError(stream, ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS")
    stream.receiveWindow -= length
    if (stream.receiveWindow >= 0) return stream
    return this.#streamError(stream, ErrorCode.FLOW_CONTROL_ERROR, "more data than the stream's window")
  }

  /** One stream that is not read must not stop the others, so the connection's window is given back as data arrives. */
  #giveBack(length: number): void {
    this.#credit += length
    if (this.#credit * 2 < this.#connection.limits.connectionWindow) return
    this.#connection.output.windowUpdate(0, this.#credit)
    this.#window += this.#credit
    this.#credit = 0
  }

  #paddedData(streamId: number, flags: number, payload: Uint8Array): void {
    const bytes = withoutPadding(flags, payload)
    this.#dataEnds = (flags & Flag.END_STREAM) !== 0
    if (bytes.length === 0 && !this.#dataEnds) this.#idleFrame()
    this.#dataStream = this.#takesData(streamId, payload.length)
    const stream = this.#dataStream
    if (stream === undefined) return
    // Nobody will consume the padding.
    this.#connection.consume(stream, payload.length - bytes.length)
    this.dataArrives(bytes, true)
  }

  // ------------------------------------------------------------------------------------------------------------------
  // Every other frame
  // ------------------------------------------------------------------------------------------------------------------

  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#mayCome(type, streamId)
    switch (type) {
      case FrameType.DATA:
        return this.#paddedData(streamId, flags, payload)
      case FrameType.HEADERS:
        return this.#block(this.#blocks.headers(streamId, flags, payload))
      case FrameType.CONTINUATION:
        return this.#block(this.#blocks.continuation(streamId, flags, payload))
      case FrameType.RST_STREAM:
        return this.#rstStream(streamId, payload)
      case FrameType.WINDOW_UPDATE:
        return this.#windowUpdate(streamId, payload)
      case FrameType.SETTINGS:
        return this.#settings(flags, payload)
      case FrameType.PING:
        return this.#ping(flags, payload)
      case FrameType.GOAWAY:
        return this.#goaway(payload)
      case FrameType.PRIORITY:
        return this.#priority(streamId, payload)
      case FrameType.PUSH_PROMISE:
        throw protocol("PUSH_PROMISE, which nobody allowed")
      default:
        // An extension that was not agreed on (RFC 9113, 5.5).
        return this.#idleFrame()
    }
  }

  /** Whether a frame may come now, and on this stream at all. */
  #mayCome(type: number, streamId: number): void {
    const { under } = this.#blocks
    if (under !== undefined) {
      if (type === FrameType.CONTINUATION && streamId === under) return
      throw protocol("a header block is interrupted by another frame")
    }
    if (!this.#settingsReceived && type !== FrameType.SETTINGS) throw protocol("the first frame is not SETTINGS")
    const ofConnection = type === FrameType.SETTINGS || type === FrameType.PING || type === FrameType.GOAWAY
    if (ofConnection && streamId !== 0) throw protocol("a frame of the connection names a stream")
    if (streamId === 0 && !ofConnection && type !== FrameType.WINDOW_UPDATE && type <= FrameType.CONTINUATION) {
      throw protocol("a frame of a stream names none")
    }
    const opens = type === FrameType.HEADERS || type === FrameType.PRIORITY || type > FrameType.CONTINUATION
    if (streamId !== 0 && !opens && this.#connection.isIdle(streamId)) {
      throw protocol("a frame on a stream that is not open yet")
    }
  }

  #idleFrame(): void {
    this.#guard.idle(this.now, this.#connection.output.answers)
  }

  #rstStream(streamId: number, payload: Uint8Array): void {
    if (payload.length !== 4) throw frameSize("RST_STREAM does not have 4 bytes")
    const stream = this.#connection.streams.get(streamId)
    this.#guard.reset(this.now)
    if (stream === undefined) return
    const code = readU32(payload, 0)
    this.#connection.close(stream, Closing.resetByPeer)
    this.#connection.events.reset(stream, code, "the peer reset the stream", true)
  }

  #windowUpdate(streamId: number, payload: Uint8Array): void {
    if (payload.length !== 4) throw frameSize("WINDOW_UPDATE does not have 4 bytes")
    const { flow, streams } = this.#connection
    const increment = readU32(payload, 0) & max31
    if (streamId === 0) {
      if (increment === 0) throw protocol("WINDOW_UPDATE by nothing")
      if (flow.growConnection(increment)) return
      throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is over 2^31-1")
    }
    const stream = streams.get(streamId)
    if (stream === undefined) return
    if (increment === 0) this.#streamError(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
    else if (!flow.grow(stream, increment)) {
      this.#streamError(stream, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is over 2^31-1")
    }
  }

  #settings(flags: number, payload: Uint8Array): void {
    const { events, limits, output, peer, role } = this.#connection
    if ((flags & Flag.ACK) !== 0) {
      if (payload.length > 0) throw frameSize("an acknowledgement of SETTINGS has a payload")
      return this.#decoder.setLimit(limits.headerTableSize)
    }
    if (payload.length % 6 !== 0) throw frameSize("SETTINGS is cut")
    this.#settingsReceived = true
    this.#idleFrame()
    const windowBefore = peer.initialWindowSize
    Settings.apply(peer, payload, role === "client")
    this.#connection.settingsChanged(windowBefore)
    output.settings("ack")
    output.answers++
    events.settings()
  }

  #ping(flags: number, payload: Uint8Array): void {
    if (payload.length !== 8) throw frameSize("PING does not have 8 bytes")
    const { events, output } = this.#connection
    if ((flags & Flag.ACK) !== 0) return events.pong(payload)
    this.#idleFrame()
    output.ping(payload, true)
    output.answers++
  }

  #goaway(payload: Uint8Array): void {
    if (payload.length < 8) throw frameSize("GOAWAY has less than 8 bytes")
    const connection = this.#connection
    const lastStreamId = readU32(payload, 0) & max31
    const code = readU32(payload, 4)
    if (lastStreamId > (connection.goawayReceived ?? max31))
      throw protocol("GOAWAY takes more streams than the one before")
    connection.goawayReceived = lastStreamId
    const refused = [...connection.streams.values()].filter(({ id }) => connection.isOurs(id) && id > lastStreamId)
    for (const stream of refused) connection.close(stream, Closing.resetByPeer)
    const debug = Buffer.from(payload.buffer, payload.byteOffset + 8, payload.length - 8).toString("utf8")
    connection.events.goaway(lastStreamId, code, debug)
    for (const stream of refused) connection.events.refused(stream, code)
  }

  #priority(streamId: number, payload: Uint8Array): void {
    this.#idleFrame()
    const dependsOnItself = payload.length === 5 && (readU32(payload, 0) & max31) === streamId
    if (payload.length === 5 && !dependsOnItself) return
    const code = dependsOnItself ? ErrorCode.PROTOCOL_ERROR : ErrorCode.FRAME_SIZE_ERROR
    const message = dependsOnItself ? "a stream depends on itself" : "PRIORITY does not have 5 bytes"
    const stream = this.#connection.streams.get(streamId)
    if (stream === undefined) throw new ConnectionError(code, message)
    this.#streamError(stream, code, message)
  }

  // ------------------------------------------------------------------------------------------------------------------
  // Header blocks
  // ------------------------------------------------------------------------------------------------------------------

  #block(block: Block | undefined): void {
    if (block === undefined) return
    const { limits, streams } = this.#connection
    // Always, whatever becomes of the stream: the block changes the table.
    const { fields, problem, tooLong } = this.#decoder.decode(block.bytes, limits.maxHeaderListSize)
    const stream = streams.get(block.streamId) ?? this.#open(block)
    if (stream === undefined) return
    if (stream.remoteEnded) {
      return void this.#streamError(stream, ErrorCode.STREAM_CLOSED, "HEADERS after the end of a stream")
    }
    const kind = this.#kindOf(stream)
    const wrong = block.dependsOnItself
      ? "a stream depends on itself"
      : (problem ??
        (tooLong ? undefined : (listProblem(fields, kind) ?? this.#contentProblem(stream, fields, kind, block))))
    if (wrong !== undefined) return void this.#streamError(stream, ErrorCode.PROTOCOL_ERROR, wrong)
    if (kind === "response" && isInformational(fields)) {
      if (block.endStream)
        this.#streamError(stream, ErrorCode.PROTOCOL_ERROR, "an informational response ends the stream")
      return
    }
    stream.headersReceived = true
    if (block.endStream) this.#connection.remoteEnded(stream)
    this.#connection.events.headers(stream, fields, block.endStream, tooLong)
  }

  #kindOf(stream: Stream<T>): BlockKind {
    if (stream.headersReceived) return "trailers"
    return this.#connection.role === "server" ? "request" : "response"
  }

  /** What is wrong with a block in what the stream says of its data. */
  #contentProblem(
    stream: Stream<T>,
    fields: ReadonlyArray<string>,
    kind: BlockKind,
    { endStream }: Block
  ): string | undefined {
    if (kind === "trailers") {
      if (!endStream) return "HEADERS after HEADERS that do not end the stream"
      return (stream.contentLeft ?? 0) > 0 ? "the data is not as long as content-length says" : undefined
    }
    const length = valueOf(fields, "content-length")
    if (length === undefined) return undefined
    if (!/^\d{1,15}$/.test(length)) return "content-length is not a number"
    stream.contentLeft = Number(length)
    return endStream && stream.contentLeft > 0 && kind === "request" ? "content-length without data" : undefined
  }

  /** A stream that is not open: the peer opens it, or it was open once. */
  #open({ streamId }: Block): Stream<T> | undefined {
    const connection = this.#connection
    const { events, limits, output, peer, streams } = connection
    if (!connection.isIdle(streamId)) return this.#onClosed(streamId, "HEADERS")
    if (connection.role === "client") throw protocol("the server opens a stream")
    if (connection.isOurs(streamId)) throw protocol("a client opens a stream with an even number")
    connection.lastPeerStreamId = streamId
    if (streamId > (connection.goawaySent ?? max31)) {
      connection.closed.add(streamId, Closing.resetHere)
      return undefined
    }
    if (streams.size >= limits.maxConcurrentStreams) {
      this.#guard.reset(this.now)
      connection.closed.add(streamId, Closing.resetHere)
      output.reset(streamId, ErrorCode.REFUSED_STREAM)
      output.answers++
      return undefined
    }
    const stream = new Stream(streamId, events.opened(streamId), peer.initialWindowSize, limits.streamWindow)
    streams.set(streamId, stream)
    return stream
  }

  /** A frame on a stream that is over. What was on its way when this side reset the stream is dropped. */
  #onClosed(streamId: number, what: string): undefined {
    const closing = this.#connection.closed.get(streamId)
    if (closing === Closing.resetHere) return undefined
    if (closing === undefined && what === "HEADERS") throw protocol("a stream's number is lower than one before")
    throw new ConnectionError(ErrorCode.STREAM_CLOSED, `${what} on a stream that is over`)
  }

  #streamError(stream: Stream<T>, code: ErrorCode, message: string): undefined {
    // A peer that makes this side reset streams costs as much as one that resets them.
    this.#guard.reset(this.now)
    this.#connection.output.answers++
    this.#connection.reset(stream, code)
    this.#connection.events.reset(stream, code, message, false)
    return undefined
  }
}

const isInformational = (fields: ReadonlyArray<string>): boolean => /^1\d\d$/.test(valueOf(fields, ":status") ?? "")
