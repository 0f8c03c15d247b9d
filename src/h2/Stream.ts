/**
 * One stream of a connection.
 *
 * A stream is open in each direction until that direction has ended; it is gone when both have, or when it is reset.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-5.1
 */

/** A stream that is open in at least one direction. `context` is whatever its user keeps with it. */
export class Stream<T> {
  readonly id: number
  context: T
  /** Whether this side has sent END_STREAM. */
  localEnded = false
  /** Whether the peer has. */
  remoteEnded = false
  /** Whether the peer's request or final response has come; what follows are trailers. */
  headersReceived = false
  isClosed = false
  /** Bytes the peer still takes. Negative when it lowered its initial window. */
  sendWindow: number
  /** Bytes the peer may still send. */
  receiveWindow: number
  /** Bytes consumed here and not yet given back. */
  credit = 0
  /** What the peer's content-length leaves to come; `undefined` without one. */
  contentLeft: number | undefined
  /** Data that waits for a window, or for the driver. */
  readonly queue: Array<Uint8Array> = []
  queuedBytes = 0
  /** What ends this direction once the queue is empty: trailers, or an END_STREAM without. */
  ending: ReadonlyArray<string> | "data" | undefined

  constructor(id: number, context: T, sendWindow: number, receiveWindow: number) {
    this.id = id
    this.context = context
    this.sendWindow = sendWindow
    this.receiveWindow = receiveWindow
  }
}

/** How a stream came to its end. */
export const Closing = { ended: 0, resetByPeer: 1, resetHere: 2 } as const
export type Closing = (typeof Closing)[keyof typeof Closing]

/** How many streams are remembered after their end. */
const remembered = 4096

/**
 * The streams that closed last. Frames that were on their way when a stream was reset are nothing bad; frames after an end
 * are.
 */
export class ClosedStreams {
  readonly #ring = new Float64Array(remembered)
  #next = 0

  add(id: number, closing: Closing): void {
    this.#ring[this.#next] = id * 4 + closing
    this.#next = (this.#next + 1) % remembered
  }

  /** How the stream closed; `undefined` if it is not remembered, or never was open. */
  get(id: number): Closing | undefined {
    for (let i = 0; i < remembered; i++) {
      const entry = this.#ring[i]!
      if (Math.floor(entry / 4) === id && entry !== 0) return (entry % 4) as Closing
    }
    return undefined
  }
}
