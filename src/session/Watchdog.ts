/**
 * Whether anything still leaves a connection.
 *
 * When the other side breaks HTTP/2 in some ways (a frame that is too long, a header block that is none), Node says goodbye,
 * then neither reads nor writes any more, and tells nobody. Frames that wait for ever while the socket is idle give that
 * away. A connection with nothing to send is asked to send something: once when it has been quiet for a while with calls
 * under way, an empty SETTINGS frame, which servers answer and do not count as they do pings.
 */
import type { ClientHttp2Session } from "node:http2"
import type { Socket } from "node:net"

const lookMillis = 500

/** Looks at which frames waited and not a byte moved: then the connection takes no more calls, or is given up. */
const stuckLooks = 2
/** The same where the socket is busy: the other end does not read. As long as TCP waits by gRPC's default. */
const deadLooks = 40
/** Looks without a byte after which a connection with calls is asked to send something. */
const quietLooks = 10

/** What is done about a connection. */
interface Reaction {
  /** Nothing leaves it now; it may recover. */
  readonly leave: (problem: string) => void
  /** Nothing will ever leave it. */
  readonly giveUp: (problem: string) => void
}

/** Whether Node has handed bytes to the socket that it has not got rid of. Not documented; `true` where Node cannot say. */
const isBusy = (socket: Socket): boolean => {
  const handle: unknown = Reflect.get(socket, "_handle")
  const left: unknown =
    typeof handle === "object" && handle !== null ? Reflect.get(handle, "writeQueueSize") : undefined
  return left !== 0
}

/** Looks at one connection from time to time, until it is stopped. */
export class Watchdog {
  /** Set by whoever gives the connection something to send. */
  asked = false
  /** How often it has looked. */
  looks = 0
  readonly #calls: ReadonlySet<unknown>
  readonly #session: ClientHttp2Session
  readonly #socket: Socket
  readonly #reaction: Reaction
  readonly #timer: NodeJS.Timeout
  #read = -1
  #written = -1
  /** The look that first saw as many bytes written as the last one. */
  #stillSince = 0
  #stuck = 0
  #quiet = 0
  #probing = false
  /** Whether nothing has moved since the answer to the last probe. */
  #answered = false

  constructor(calls: ReadonlySet<unknown>, session: ClientHttp2Session, socket: Socket, reaction: Reaction) {
    this.#calls = calls
    this.#session = session
    this.#socket = socket
    this.#reaction = reaction
    this.#timer = setInterval(() => this.#look(), lookMillis).unref()
  }

  /** Nothing has been written of what was begun after this many looks. */
  get unsentSince(): number {
    return this.#socket.bytesWritten === this.#written ? this.#stillSince : Infinity
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #look(): void {
    this.looks++
    if (this.#session.destroyed || (!this.asked && this.#calls.size === 0)) return
    const moved = this.#moved()
    const waiting = this.#session.state.outboundQueueSize ?? 0
    if (waiting === 0) this.asked = false
    if (moved) this.#answered = false
    this.#stuck = waiting > 0 && !moved && !this.#answered ? this.#stuck + 1 : 0
    if (!moved) this.#quiet++
    else if (!this.#probing) this.#quiet = 0
    // Calls over what the server takes at one time wait without a fault: what is sent now tells them apart.
    if (this.#stuck === 1 || (this.#quiet === quietLooks && this.#calls.size > 0)) this.#probe()
    if (this.#stuck >= stuckLooks) this.#react()
  }

  #moved(): boolean {
    const { bytesRead, bytesWritten } = this.#socket
    const moved = bytesRead !== this.#read || bytesWritten !== this.#written
    if (bytesWritten !== this.#written) this.#stillSince = this.looks
    this.#read = bytesRead
    this.#written = bytesWritten
    return moved
  }

  #probe(): void {
    if (this.#probing || this.#session.pendingSettingsAck) return
    this.#probing = true
    this.#session.settings({}, (error) => {
      this.#probing = false
      if (error !== null) return
      this.#stuck = 0
      this.#answered = true
      // The answer is no sign of life of the calls: they are as quiet as before.
      this.#moved()
    })
  }

  #react(): void {
    if (!isBusy(this.#socket))
      return this.#reaction.giveUp("nothing can be sent on it: HTTP/2 was broken by the server")
    this.#reaction.leave("the server does not read what is sent")
    if (this.#stuck >= deadLooks)
      this.#reaction.giveUp(`the server read nothing in ${(deadLooks * lookMillis) / 1000} s`)
  }
}
