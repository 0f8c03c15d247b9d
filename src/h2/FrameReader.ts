/**
 * Bytes to frames, whatever the pieces they come in.
 *
 * The payload of DATA is handed on as it comes, piece by piece and without a copy; every other frame is handed on whole.
 * So what is held is bounded by one frame that is not DATA.
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import { Flag, FrameType, headerLength, max31, preface, readU32 } from "./Frame.ts"

/** What frames are handed to. Each may throw a `ConnectionError`. */
export interface FrameSink {
  /** The header of an unpadded DATA frame; its payload follows. */
  readonly dataBegins: (streamId: number, length: number, flags: number) => void
  /** A piece of the payload of the DATA frame that began last; `isLast` once for each frame, also for an empty one. */
  readonly dataArrives: (bytes: Uint8Array, isLast: boolean) => void
  /** Any other frame, and DATA that is padded. */
  readonly frame: (type: number, flags: number, streamId: number, payload: Uint8Array) => void
}

/** Reads the frames of one direction of a connection. */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #maxFrameSize: number
  /** Bytes of the preface still to come. */
  #prefaceLeft: number
  /** The pieces of a frame, or of its header, that is not all there; joined when they are enough. */
  #held: Array<Uint8Array> = []
  #heldLength = 0
  /** How many bytes the frame, or its header, needs. */
  #needed = headerLength
  /** Bytes still to come of the DATA frame that is handed on in pieces. */
  #dataLeft = 0

  /** `expectsPreface` on the side of the server. */
  constructor(sink: FrameSink, maxFrameSize: number, expectsPreface: boolean) {
    this.#sink = sink
    this.#maxFrameSize = maxFrameSize
    this.#prefaceLeft = expectsPreface ? preface.length : 0
  }

  /** Hands on every frame that `chunk` completes. Throws `ConnectionError`, also the sink's. */
  read(chunk: Uint8Array): void {
    let bytes = chunk
    let at = this.#prefaceLeft === 0 ? 0 : this.#skipPreface(bytes)
    if (this.#heldLength > 0) {
      if (this.#heldLength + bytes.length < this.#needed) return this.#hold(bytes)
      bytes = Buffer.concat([...this.#held, bytes])
      this.#held = []
      this.#heldLength = 0
    }
    while (at < bytes.length) {
      if (this.#dataLeft > 0) {
        at = this.#piece(bytes, at)
        continue
      }
      this.#needed = headerLength
      if (bytes.length - at < headerLength) break
      const next = this.#frame(bytes, at)
      if (next === undefined) break
      at = next
    }
    if (at < bytes.length) this.#hold(bytes.subarray(at))
  }

  #hold(bytes: Uint8Array): void {
    // A copy, because the driver may use its buffer again.
    this.#held.push(Uint8Array.prototype.slice.call(bytes))
    this.#heldLength += bytes.length
  }

  #skipPreface(bytes: Uint8Array): number {
    const from = preface.length - this.#prefaceLeft
    const length = Math.min(this.#prefaceLeft, bytes.length)
    for (let i = 0; i < length; i++) {
      if (bytes[i] !== preface[from + i]) {
        throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, "the client does not speak HTTP/2: no connection preface")
      }
    }
    this.#prefaceLeft -= length
    return length
  }

  /** Hands on a piece of a DATA frame and returns where it ends. */
  #piece(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.length, at + this.#dataLeft)
    this.#dataLeft -= end - at
    this.#sink.dataArrives(bytes.subarray(at, end), this.#dataLeft === 0)
    return end
  }

  /** Hands on the frame at `at` and returns where it ends; `undefined` if it is not all there. */
  #frame(bytes: Uint8Array, at: number): number | undefined {
    const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
    const type = bytes[at + 3]!
    const flags = bytes[at + 4]!
    if (length > this.#maxFrameSize) {
      throw new ConnectionError(
        ErrorCode.FRAME_SIZE_ERROR,
        `a frame of ${length} bytes, more than ${this.#maxFrameSize}`,
        "maxFrameSize"
      )
    }
    const streamId = readU32(bytes, at + 5) & max31
    const start = at + headerLength
    if (type === FrameType.DATA && (flags & Flag.PADDED) === 0) {
      this.#sink.dataBegins(streamId, length, flags)
      this.#dataLeft = length
      if (length === 0) this.#sink.dataArrives(bytes.subarray(start, start), true)
      return start
    }
    const end = start + length
    this.#needed = headerLength + length
    if (end > bytes.length) return undefined
    this.#sink.frame(type, flags, streamId, bytes.subarray(start, end))
    return end
  }
}
