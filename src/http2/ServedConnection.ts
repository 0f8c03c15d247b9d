/**
 * A connection as a server has it: how long it may do nothing, how old it may become, and what it may ask for.
 *
 * Node owns the frames; this owns the times. A client is asked to leave in good order: GOAWAY with the highest stream id, a
 * ping, and when its answer shows that the client has read it, GOAWAY with the last stream id that is served. A client that
 * answers nothing is left alone after a second.
 *
 * @see https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md
 */
import { constants, type ServerHttp2Session } from "node:http2"
import { PingStrikes } from "../server/PingStrikes.ts"
import { jitter, type ServerLimits } from "../server/ServerLimits.ts"
import * as RpcError from "../status/RpcError.ts"
import type { ServerStream } from "./ServerStream.ts"

/** The highest stream id. */
const everyStream = 2 ** 31 - 1

/** How long a client may take to answer the ping of a GOAWAY. */
const noticeMillis = 1000

/** The longest time Node's timers count; a longer wait is none. */
const longestTimer = 2 ** 31 - 1

/** How a call ends that outlives its connection's age and grace. */
const aged = RpcError.make("UNAVAILABLE", "the connection has reached its greatest age")

type Timer = "setup" | "idle" | "age" | "grace" | "keepalive" | "notice"

/** A connection and its times. */
export class ServedConnection {
  readonly session: ServerHttp2Session
  readonly calls = new Set<ServerStream>()
  readonly strikes: PingStrikes
  readonly #limits: ServerLimits
  readonly #timers = new Map<Timer, NodeJS.Timeout>()
  #hasCalled = false
  #idleSince = performance.now()

  /** `random` draws how much of the age is meant. */
  constructor(session: ServerHttp2Session, limits: ServerLimits, random: () => number) {
    this.session = session
    this.#limits = limits
    this.strikes = new PingStrikes(limits.minPingMillis, limits.pingWithoutCalls)
    session.on("error", () => {})
    session.on("close", () => this.#over())
    session.on("ping", () => this.#pinged())
    session.once("remoteSettings", () => this.#greeted())
    this.#after("setup", limits.handshakeMillis, () => session.destroy())
    this.#after("age", jitter(limits.ageMillis, random()), () => this.#aged())
  }

  /** A request has come, of whatever kind. */
  called(): void {
    if (this.#hasCalled) return
    this.#hasCalled = true
    this.#stop("setup")
  }

  /** A call begins. */
  add(call: ServerStream): void {
    this.calls.add(call)
  }

  /** A call has ended. */
  delete(call: ServerStream): void {
    this.calls.delete(call)
    if (this.calls.size === 0) this.#idleSince = performance.now()
  }

  /** The client has spoken HTTP/2. */
  #greeted(): void {
    this.#stop("setup")
    if (!this.#hasCalled) this.#after("setup", this.#limits.firstCallMillis, () => this.leave("no call in time"))
    this.#idleSince = performance.now()
    this.#watchIdle(this.#limits.idleMillis)
    this.#keepAlive()
  }

  /** One timer looks how long there was no call, so that calls move none. */
  #watchIdle(millis: number): void {
    this.#after("idle", millis, () => {
      const left = this.calls.size > 0 ? Infinity : this.#idleSince + this.#limits.idleMillis - performance.now()
      if (left <= 0) return this.leave("max_idle")
      this.#watchIdle(Math.min(left, this.#limits.idleMillis))
    })
  }

  #aged(): void {
    this.leave("max_age")
    this.#after("grace", this.#limits.graceMillis, () => {
      for (const call of [...this.calls]) call.stop(aged)
      this.#after("notice", noticeMillis, () => this.session.destroy())
    })
  }

  #keepAlive(): void {
    const { keepaliveMillis, keepaliveTimeoutMillis } = this.#limits
    this.#after("keepalive", keepaliveMillis, () => {
      this.#after("keepalive", keepaliveTimeoutMillis, () => this.session.destroy())
      this.#ping(() => this.#keepAlive())
    })
  }

  #pinged(): void {
    if (!this.strikes.ping(performance.now(), this.calls.size > 0)) return
    const { session } = this
    if (session.destroyed) return
    session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0, Buffer.from("too_many_pings"))
    // What is written goes out before the connection is closed.
    setImmediate(() => session.destroy())
  }

  /** Asks the client to leave; calls under way go on. */
  leave(reason: string): void {
    const { session } = this
    if (session.closed || session.destroyed) return
    session.goaway(constants.NGHTTP2_NO_ERROR, everyStream, Buffer.from(reason))
    const close = () => {
      this.#stop("notice")
      if (!session.closed && !session.destroyed) session.close()
    }
    this.#after("notice", noticeMillis, close)
    this.#ping(close)
  }

  #ping(answered: () => void): void {
    const { session } = this
    if (session.destroyed) return
    try {
      session.ping((error) => {
        if (error === null && !session.destroyed) answered()
      })
    } catch {
      // The connection went in this very moment; its timers see to the rest.
    }
  }

  #after(timer: Timer, millis: number, then: () => void): void {
    this.#stop(timer)
    if (millis <= longestTimer && !this.session.destroyed) this.#timers.set(timer, setTimeout(then, millis))
  }

  #stop(timer: Timer): void {
    clearTimeout(this.#timers.get(timer))
    this.#timers.delete(timer)
  }

  #over(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
  }
}
