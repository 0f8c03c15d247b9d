/**
 * Messages in the data of an HTTP/2 stream: one byte that says whether the message is compressed, four that say how long
 * it is, and its bytes.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import type { Code } from "../status/Code.ts"

const prefix = 5

/** A message as it came. */
export interface Frame {
  readonly compressed: boolean
  readonly bytes: Buffer
}

/** Data that is not messages, or a message that is too large. */
export class FramingProblem {
  readonly code: Code
  readonly message: string

  constructor(code: Code, message: string) {
    this.code = code
    this.message = message
  }
}

/** The bytes on the wire of one message. */
export const frame = (bytes: Uint8Array, compressed: boolean): Buffer => {
  const out = Buffer.allocUnsafe(prefix + bytes.length)
  out[0] = compressed ? 1 : 0
  out.writeUInt32BE(bytes.length, 1)
  out.set(bytes, prefix)
  return out
}

/**
 * Takes data in pieces of any size and gives messages when it is asked for them. What was not asked for stays as it came,
 * so a reader that stops asking and stops the stream holds one piece and no message.
 */
export class Deframer {
  readonly #limit: number
  #chunks: Array<Buffer> = []
  #available = 0
  /** Set between the prefix of a message and its last byte. */
  #length = -1
  #compressed = false

  /** `limit` is the most bytes a message may have. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether data has come of a message that is not complete. */
  get isInside(): boolean {
    return this.#length >= 0 || this.#available > 0
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#available += chunk.length
  }

  /** The next message, `undefined` until there is more data, or why there is none. */
  next(): Frame | FramingProblem | undefined {
    if (this.#length < 0) {
      if (this.#available < prefix) return undefined
      const head = this.#take(prefix)
      const length = head.readUInt32BE(1)
      if (head[0]! > 1) return new FramingProblem("INTERNAL", `a message began with flag ${head[0]}`)
      if (length > this.#limit) {
        return new FramingProblem(
          "RESOURCE_EXHAUSTED",
          `received message larger than max (${length} vs. ${this.#limit})`
        )
      }
      this.#compressed = head[0] === 1
      this.#length = length
    }
    if (this.#available < this.#length) return undefined
    const bytes = this.#take(this.#length)
    this.#length = -1
    return { compressed: this.#compressed, bytes }
  }

  /** Most messages lie in one piece and are not copied. */
  #take(length: number): Buffer {
    this.#available -= length
    const first = this.#chunks[0]
    if (first !== undefined && first.length > length) {
      this.#chunks[0] = first.subarray(length)
      return first.subarray(0, length)
    }
    if (first !== undefined && first.length === length) {
      this.#chunks.shift()
      return first
    }
    const all = Buffer.concat(this.#chunks)
    this.#chunks = all.length > length ? [all.subarray(length)] : []
    return all.subarray(0, length)
  }
}
