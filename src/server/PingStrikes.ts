/**
 * Counts pings that come too early on one connection (gRFC A8).
 *
 * A ping within the allowed time after the one before is a strike, and the third strike is the last. An answer of the server,
 * headers or data, forgives them, because a client may ping to measure a connection that is in use.
 *
 * @see https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
 */

/** Strikes that are borne. */
const maxStrikes = 2

/** The shortest time between pings of a connection without calls. */
const quietMillis = 2 * 3_600_000

/**
 * The strikes of one connection.
 *
 * @category models
 * @since 0.1.0
 */
export class PingStrikes {
  readonly #minMillis: number
  readonly #withoutCalls: boolean
  #strikes = 0
  #last = -Infinity

  constructor(minMillis: number, withoutCalls: boolean) {
    this.#minMillis = minMillis
    this.#withoutCalls = withoutCalls
  }

  /** The server has sent headers or data. */
  forgive(): void {
    this.#strikes = 0
    this.#last = -Infinity
  }

  /** A ping has come; says whether it was one too many. */
  ping(nowMillis: number, hasCalls: boolean): boolean {
    const allowed = hasCalls || this.#withoutCalls ? this.#minMillis : Math.max(quietMillis, this.#minMillis)
    if (nowMillis - this.#last < allowed) this.#strikes++
    this.#last = nowMillis
    return this.#strikes > maxStrikes
  }
}
