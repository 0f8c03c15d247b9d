/**
 * What a peer may ask of this side. Every limit has its name in the error that it causes.
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import { defaultMaxFrameSize } from "./Frame.ts"

/** Bounds of one connection. */
export interface Limits {
  /** Bytes of a stream's window: what the peer may send on it before this side has consumed it. */
  readonly streamWindow: number
  /** Bytes of the connection's window, given back as they arrive. */
  readonly connectionWindow: number
  /** Largest payload of a frame, in bytes; announced. */
  readonly maxFrameSize: number
  /** Bytes of the table that the peer's header blocks refer to; announced. */
  readonly headerTableSize: number
  /** Bytes of a header list, each field counted with 32 more (RFC 9113, 6.5.2); announced. */
  readonly maxHeaderListSize: number
  /** Bytes of a header block as it comes, however it is cut into frames. */
  readonly maxHeaderBlockSize: number
  /** CONTINUATION frames after one HEADERS frame. */
  readonly maxContinuations: number
  /** Streams the peer may have open at one time; announced. */
  readonly maxConcurrentStreams: number
  /** Streams a second that the peer may reset, or have reset because of what it sent. */
  readonly maxResetsPerSecond: number
  /** SETTINGS, PING and PRIORITY frames, and frames without a payload that end nothing, a second. */
  readonly maxIdleFramesPerSecond: number
  /** Answers to such frames that the peer has not read. */
  readonly maxUnreadAnswers: number
}

/** Safe for a server that faces the world, and roomy for RPC. */
export const defaults: Limits = {
  streamWindow: 256 * 1024,
  connectionWindow: 4 * 1024 * 1024,
  maxFrameSize: defaultMaxFrameSize,
  headerTableSize: 4096,
  maxHeaderListSize: 64 * 1024,
  maxHeaderBlockSize: 64 * 1024,
  maxContinuations: 16,
  maxConcurrentStreams: 1000,
  maxResetsPerSecond: 1000,
  maxIdleFramesPerSecond: 1000,
  maxUnreadAnswers: 1000
}

/** Counts what only a hostile or broken peer does often. */
export class FloodGuard {
  readonly #limits: Limits
  #second = -Infinity
  #resets = 0
  #idle = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  /** A stream was reset by the peer, or because of it. `now` in milliseconds. Throws `ConnectionError`. */
  reset(now: number): void {
    this.#turn(now)
    if (++this.#resets > this.#limits.maxResetsPerSecond)
      throw flood("streams are reset too often", "maxResetsPerSecond")
  }

  /** A frame came that moves no call on. Throws `ConnectionError`. */
  idle(now: number, unreadAnswers: number): void {
    this.#turn(now)
    if (++this.#idle > this.#limits.maxIdleFramesPerSecond) {
      throw flood("too many frames that move no call on", "maxIdleFramesPerSecond")
    }
    if (unreadAnswers >= this.#limits.maxUnreadAnswers)
      throw flood("the peer does not read answers", "maxUnreadAnswers")
  }

  #turn(now: number): void {
    if (now - this.#second < 1000) return
    this.#second = now
    this.#resets = 0
    this.#idle = 0
  }
}

const flood = (message: string, limit: keyof Limits) =>
  new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, `${message} (${limit})`, limit)
