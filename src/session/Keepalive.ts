/**
 * Pings that tell whether the other end of a connection is still there.
 *
 * @see https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
 */
import { type ClientHttp2Session, constants } from "node:http2"

/** After how long a ping is sent, and how long its answer may take. */
export interface Times {
  readonly timeMillis: number
  readonly timeoutMillis: number
}

/** A timer of Node cannot be longer. */
const longestTimer = 2 ** 31 - 1

/**
 * The times of a connector. A server that finds pings too many says so, and its endpoint gets half as many from then on,
 * on every later connection.
 */
export class KeepaliveTimes {
  readonly #times: Times
  readonly #slowed = new Map<string, number>()

  constructor(times: Times) {
    this.#times = times
  }

  of(endpoint: string): Times {
    const { timeMillis, timeoutMillis } = this.#times
    return { timeMillis: this.#slowed.get(endpoint) ?? timeMillis, timeoutMillis }
  }

  /** A server said goodbye with a code and a text. */
  blamed(endpoint: string, code: number, text: string): void {
    if (code !== constants.NGHTTP2_ENHANCE_YOUR_CALM || text !== "too_many_pings") return
    this.#slowed.set(endpoint, Math.min(longestTimer, this.of(endpoint).timeMillis * 2))
  }
}

/**
 * Pings one connection while there are calls on it, until it is stopped. Node sends no ping once the connection is
 * closing, though calls may go on for long; an empty SETTINGS frame must be answered as soon, and is sent then.
 */
export class Keepalive {
  readonly #session: ClientHttp2Session
  readonly #calls: ReadonlySet<unknown>
  readonly #times: Times
  readonly #giveUp: (problem: string) => void
  readonly #interval: NodeJS.Timeout
  #limit: NodeJS.Timeout | undefined

  constructor(
    session: ClientHttp2Session,
    calls: ReadonlySet<unknown>,
    options: { readonly times: Times; readonly giveUp: (problem: string) => void }
  ) {
    this.#session = session
    this.#calls = calls
    this.#times = options.times
    this.#giveUp = options.giveUp
    this.#interval = setInterval(() => this.#ping(), options.times.timeMillis).unref()
  }

  stop(): void {
    clearInterval(this.#interval)
    clearTimeout(this.#limit)
  }

  #ping(): void {
    const session = this.#session
    if (this.#limit !== undefined || this.#calls.size === 0 || session.destroyed) return
    const { timeoutMillis } = this.#times
    this.#limit = setTimeout(
      () => this.#giveUp(`no answer to a ping within ${timeoutMillis} ms`),
      timeoutMillis
    ).unref()
    if (session.closed) session.settings({}, this.#answered)
    else session.ping(this.#answered)
  }

  /** A ping that Node cancels has not been answered. */
  readonly #answered = (error: Error | null): void => {
    if (error !== null) return
    clearTimeout(this.#limit)
    this.#limit = undefined
  }
}
