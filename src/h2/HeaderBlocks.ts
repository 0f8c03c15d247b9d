/**
 * HEADERS and its CONTINUATIONs to one block.
 *
 * Between them nothing else may come, so a block under way is a state of the whole connection. How much of it is gathered
 * is bounded, in bytes and in frames: a block without an end would otherwise grow for ever.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-4.3
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import { Flag, max31, readU32 } from "./Frame.ts"
import type { Limits } from "./Limits.ts"

/** A block that is complete. */
export interface Block {
  readonly streamId: number
  readonly endStream: boolean
  readonly bytes: Uint8Array
  /** Whether the priority in HEADERS makes the stream depend on itself. */
  readonly dependsOnItself: boolean
}

const broken = (message: string) => new ConnectionError(ErrorCode.PROTOCOL_ERROR, message)

/** What remains of a frame's payload without its padding. Throws `ConnectionError`. */
export const withoutPadding = (flags: number, payload: Uint8Array): Uint8Array => {
  if ((flags & Flag.PADDED) === 0) return payload
  if (payload.length === 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a payload")
  const padding = payload[0]!
  if (padding >= payload.length) throw broken("a frame's padding is longer than its payload")
  return payload.subarray(1, payload.length - padding)
}

/** Gathers the header blocks of a connection. */
export class HeaderBlocks {
  readonly #limits: Limits
  #begun: { readonly streamId: number; readonly endStream: boolean; readonly dependsOnItself: boolean } | undefined
  #parts: Array<Uint8Array> = []
  #length = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** The stream whose block is under way. */
  get under(): number | undefined {
    return this.#begun?.streamId
  }

  /** A HEADERS frame. The block, if it is all of it. */
  headers(streamId: number, flags: number, payload: Uint8Array): Block | undefined {
    const { bytes, dependsOnItself } = withoutPriority(streamId, flags, withoutPadding(flags, payload))
    const begun = { streamId, endStream: (flags & Flag.END_STREAM) !== 0, dependsOnItself }
    if ((flags & Flag.END_HEADERS) !== 0) return { ...begun, bytes }
    this.#begun = begun
    this.#parts = []
    this.#length = 0
    this.#add(bytes)
    return undefined
  }

  /** A CONTINUATION frame. The block, if this ends it. */
  continuation(streamId: number, flags: number, payload: Uint8Array): Block | undefined {
    const begun = this.#begun
    if (begun?.streamId !== streamId) throw broken("CONTINUATION without HEADERS")
    if (this.#parts.length > this.#limits.maxContinuations) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames", "maxContinuations")
    }
    this.#add(payload)
    if ((flags & Flag.END_HEADERS) === 0) return undefined
    this.#begun = undefined
    return { ...begun, bytes: Buffer.concat(this.#parts) }
  }

  #add(bytes: Uint8Array): void {
    this.#length += bytes.length
    if (this.#length > this.#limits.maxHeaderBlockSize) {
      throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too large", "maxHeaderBlockSize")
    }
    // A copy, because the driver may use its buffer again before the block ends.
    this.#parts.push(Uint8Array.prototype.slice.call(bytes))
  }
}

/** HEADERS may begin with a priority, which RFC 9113 has deprecated; all that is left of it is a rule it must not break. */
const withoutPriority = (streamId: number, flags: number, payload: Uint8Array) => {
  if ((flags & Flag.PRIORITY) === 0) return { bytes: payload, dependsOnItself: false }
  if (payload.length < 5) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS is too short for its priority")
  return { bytes: payload.subarray(5), dependsOnItself: (readU32(payload, 0) & max31) === streamId }
}
