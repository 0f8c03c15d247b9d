/**
 * A connection's machine on a socket.
 *
 * What calls want to send in one turn of the event loop goes out as one write at its end. When the socket is full, data
 * waits in the machine, where a reset can still overtake it; answers to the peer do not wait.
 */
import type * as net from "node:net"
import type { Connection } from "../../src/h2/Connection.ts"

/** Binds a machine to a socket that is connected. */
export class SocketDriver<T> {
  readonly #socket: net.Socket
  readonly #connection: Connection<T>
  readonly #now: () => number
  #isScheduled = false
  readonly #flush = (): void => this.flush()

  /** `now` is in milliseconds of a clock that only goes forward. The user goes on listening for `error` and `close`. */
  constructor(socket: net.Socket, connection: Connection<T>, now: () => number = () => performance.now()) {
    this.#socket = socket
    this.#connection = connection
    this.#now = now
    socket.on("data", (bytes: Uint8Array) => {
      connection.receive(bytes, this.#now())
      this.flush()
    })
    socket.on("drain", () => {
      connection.flow.release()
      this.flush()
    })
    this.flush()
  }

  /** There is something to send, which goes out at the end of this turn. */
  wake(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    process.nextTick(this.#flush)
  }

  /** Writes all there is. A connection that is over ends its socket with it. */
  flush(): void {
    this.#isScheduled = false
    const { error, flow, output } = this.#connection
    const socket = this.#socket
    if (output.length > 0 && socket.writable && !this.#write(output.take())) flow.hold()
    if (error !== undefined && !socket.writableEnded) socket.end()
  }

  /** Says whether the socket has room for more. */
  #write(chunks: ReadonlyArray<Uint8Array>): boolean {
    const socket = this.#socket
    if (chunks.length === 1) return socket.write(chunks[0]!)
    socket.cork()
    let hasRoom = true
    for (const chunk of chunks) hasRoom = socket.write(chunk)
    socket.uncork()
    return hasRoom
  }
}
