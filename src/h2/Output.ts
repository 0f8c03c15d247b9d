/**
 * Frames to bytes: what a connection has to send and its driver has not taken yet.
 *
 * Small things are gathered in one buffer, so that a tick's worth of calls is one write; large messages are passed on as
 * they are.
 */
import { Flag, FrameType, headerLength } from "./Frame.ts"

/** Bytes from which on a payload is passed on instead of copied. */
const copyLimit = 4096

/** The usual size of a buffer. */
const bufferSize = 16 * 1024

/** The bytes a connection has to send. */
export class Output {
  #chunks: Array<Uint8Array> = []
  #buffer = Buffer.allocUnsafe(bufferSize)
  #start = 0
  #end = 0
  #length = 0
  /** Answers to the peer that it has not read: acknowledgements, resets. */
  answers = 0

  /** How many bytes wait to be taken. */
  get length(): number {
    return this.#length
  }

  /** All there is, in order. */
  take(): ReadonlyArray<Uint8Array> {
    this.#seal()
    const chunks = this.#chunks
    this.#chunks = []
    this.#length = 0
    this.answers = 0
    return chunks
  }

  /** The nine bytes before a payload of `length` bytes. */
  header(length: number, type: number, flags: number, streamId: number): void {
    this.#room(headerLength)
    const buffer = this.#buffer
    let at = this.#end
    buffer[at++] = length >>> 16
    buffer[at++] = length >>> 8
    buffer[at++] = length
    buffer[at++] = type
    buffer[at++] = flags
    this.#end = at
    this.u32(streamId)
    this.#length += 5
  }

  u16(value: number): void {
    this.#room(2)
    this.#buffer[this.#end++] = value >>> 8
    this.#buffer[this.#end++] = value
    this.#length += 2
  }

  u32(value: number): void {
    this.#room(4)
    const buffer = this.#buffer
    let at = this.#end
    buffer[at++] = value >>> 24
    buffer[at++] = value >>> 16
    buffer[at++] = value >>> 8
    buffer[at++] = value
    this.#end = at
    this.#length += 4
  }

  bytes(bytes: Uint8Array): void {
    if (bytes.length > copyLimit) {
      this.#seal()
      this.#chunks.push(bytes)
    } else {
      this.#room(bytes.length)
      this.#buffer.set(bytes, this.#end)
      this.#end += bytes.length
    }
    this.#length += bytes.length
  }

  /** A header block, in as many frames as the peer's frame size takes. */
  headers(streamId: number, block: Uint8Array, endStream: boolean, maxFrameSize: number): void {
    const endFlag = endStream ? Flag.END_STREAM : 0
    if (block.length <= maxFrameSize) {
      this.header(block.length, FrameType.HEADERS, endFlag | Flag.END_HEADERS, streamId)
      return this.bytes(block.length > copyLimit ? Uint8Array.prototype.slice.call(block) : block)
    }
    for (let at = 0; at < block.length; at += maxFrameSize) {
      // The encoder will use its buffer again.
      const part = Uint8Array.prototype.slice.call(block, at, at + maxFrameSize)
      const last = at + maxFrameSize >= block.length ? Flag.END_HEADERS : 0
      this.header(
        part.length,
        at === 0 ? FrameType.HEADERS : FrameType.CONTINUATION,
        (at === 0 ? endFlag : 0) | last,
        streamId
      )
      this.bytes(part)
    }
  }

  reset(streamId: number, code: number): void {
    this.header(4, FrameType.RST_STREAM, 0, streamId)
    this.u32(code)
  }

  windowUpdate(streamId: number, increment: number): void {
    this.header(4, FrameType.WINDOW_UPDATE, 0, streamId)
    this.u32(increment)
  }

  ping(payload: Uint8Array, ack: boolean): void {
    this.header(8, FrameType.PING, ack ? Flag.ACK : 0, 0)
    this.bytes(payload)
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    const text = Buffer.from(debug, "utf8")
    this.header(8 + text.length, FrameType.GOAWAY, 0, 0)
    this.u32(lastStreamId)
    this.u32(code)
    this.bytes(text)
  }

  /** Settings by identifier and value, or their acknowledgement. */
  settings(pairs: ReadonlyArray<readonly [number, number]> | "ack"): void {
    if (pairs === "ack") return this.header(0, FrameType.SETTINGS, Flag.ACK, 0)
    this.header(pairs.length * 6, FrameType.SETTINGS, 0, 0)
    for (const [id, value] of pairs) {
      this.u16(id)
      this.u32(value)
    }
  }

  #room(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return
    this.#seal()
    this.#buffer = Buffer.allocUnsafe(Math.max(bufferSize, bytes))
    this.#start = this.#end = 0
  }

  #seal(): void {
    if (this.#end > this.#start) this.#chunks.push(this.#buffer.subarray(this.#start, this.#end))
    this.#start = this.#end
  }
}
