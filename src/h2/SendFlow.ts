/**
 * Data within the peer's windows.
 *
 * What fits is written at once. What does not waits in its stream's queue, and streams that wait are served by turns, a
 * frame each, so that a large message does not hold up small ones.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-5.2
 */
import { Flag, FrameType, max31 } from "./Frame.ts"
import type { Output } from "./Output.ts"
import type { PeerSettings } from "./Settings.ts"
import type { Stream } from "./Stream.ts"

/** What the flow tells its connection. */
export interface SendEvents<T> {
  /** The queue of a stream has become empty. */
  readonly drained: (stream: Stream<T>) => void
}

/** The sending half of a connection's flow control. */
export class SendFlow<T> {
  readonly #output: Output
  readonly #settings: PeerSettings
  readonly #events: SendEvents<T>
  readonly #waiting = new Set<Stream<T>>()
  #window = 65_535
  #isHeld = false

  constructor(output: Output, settings: PeerSettings, events: SendEvents<T>) {
    this.#output = output
    this.#settings = settings
    this.#events = events
  }

  /** Bytes the peer still takes on the connection. */
  get window(): number {
    return this.#window
  }

  /** The driver cannot take more for now. */
  hold(): void {
    this.#isHeld = true
  }

  /** The driver can again. */
  release(): void {
    this.#isHeld = false
    this.flush()
  }

  /** Sends data, now or when there is room; `endStream` is sent with its last byte. */
  send(stream: Stream<T>, bytes: Uint8Array, endStream: boolean): void {
    const fits =
      stream.queue.length === 0 &&
      !this.#isHeld &&
      bytes.length <= this.#settings.maxFrameSize &&
      bytes.length <= this.#window &&
      (bytes.length === 0 || bytes.length <= stream.sendWindow)
    if (fits) return this.#write(stream, bytes, endStream)
    stream.queue.push(bytes)
    stream.queuedBytes += bytes.length
    if (endStream) stream.ending = "data"
    this.#waiting.add(stream)
    this.flush()
  }

  /** Room on a stream. Says whether the window stays one. */
  grow(stream: Stream<T>, increment: number): boolean {
    stream.sendWindow += increment
    if (stream.sendWindow > max31) return false
    if (this.#waiting.has(stream)) this.flush()
    return true
  }

  /** Room on the connection. Says whether the window stays one. */
  growConnection(increment: number): boolean {
    this.#window += increment
    if (this.#window > max31) return false
    this.flush()
    return true
  }

  /** Forgets what a stream still had to send. */
  drop(stream: Stream<T>): void {
    stream.queue.length = 0
    stream.queuedBytes = 0
    this.#waiting.delete(stream)
  }

  /** Writes as much as the windows allow. */
  flush(): void {
    for (let moved = true; moved && !this.#isHeld;) {
      moved = false
      for (const stream of this.#waiting) {
        if (this.#isHeld || !this.#writeOne(stream)) continue
        moved = true
        if (stream.queue.length > 0) continue
        this.#waiting.delete(stream)
        this.#events.drained(stream)
      }
    }
  }

  /** Writes one frame of a stream that waits. Says whether it could. */
  #writeOne(stream: Stream<T>): boolean {
    const first = stream.queue[0]!
    const room = Math.min(this.#window, stream.sendWindow, this.#settings.maxFrameSize)
    if (room <= 0 && first.length > 0) return false
    const whole = first.length <= room
    const part = whole ? first : first.subarray(0, room)
    if (whole) stream.queue.shift()
    else stream.queue[0] = first.subarray(room)
    stream.queuedBytes -= part.length
    this.#write(stream, part, stream.queue.length === 0 && stream.ending === "data")
    return true
  }

  #write(stream: Stream<T>, bytes: Uint8Array, endStream: boolean): void {
    this.#window -= bytes.length
    stream.sendWindow -= bytes.length
    this.#output.header(bytes.length, FrameType.DATA, endStream ? Flag.END_STREAM : 0, stream.id)
    this.#output.bytes(bytes)
    if (endStream) stream.localEnded = true
  }
}
