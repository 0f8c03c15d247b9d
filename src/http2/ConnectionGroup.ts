/**
 * Several connections to one endpoint, for servers that take few calls on each (gRFC A105).
 *
 * A call goes to the first connection that has room. Where none has, another is opened, up to a limit, and the call waits
 * for whichever comes first: that connection, or the end of another call. The first connection's state is the state of
 * all; the others only add room.
 *
 * @see https://github.com/grpc/proposal/blob/master/A105-max_concurrent_streams-connection-scaling.md
 */
import { Effect } from "effect"
import type { Call } from "../call/Call.ts"
import type { Invoker } from "../call/Interceptor.ts"
import * as Deadline from "../call/Deadline.ts"
import type { RpcError } from "../status/RpcError.ts"
import type { Http2Connection } from "./Http2Connection.ts"

/** How long no further connection is opened when one could not be. */
const restMillis = 1000

const drained = "the connection takes no more calls"

/** The connections to one endpoint. */
export class ConnectionGroup {
  readonly #first: Http2Connection
  readonly #limit: number
  readonly #open: () => Http2Connection
  readonly #extra = new Set<Http2Connection>()
  /** Further connections that take no more calls, until those they have are over. */
  readonly #leaving = new Set<Http2Connection>()
  /** Calls on each connection, from when they are given it. */
  readonly #calls = new Map<Http2Connection, number>()
  /** Calls that wait for room, the longest waiting first. */
  readonly #waiting = new Set<() => void>()
  #opening = false
  #resting = false

  /** `limit` counts the first connection; `open` makes a further one. */
  constructor(first: Http2Connection, limit: number, open: () => Http2Connection) {
    this.#first = first
    this.#limit = limit
    this.#open = open
    // Calls that wait must not wait for room on a connection that takes no more.
    first.onChange = () => this.#wake()
  }

  /** A connection with room, which the call is counted on until it leaves. Waits as long as the call may. */
  enter(call: Call, restore: <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>) {
    const turn = restore(Deadline.within(this.#turn, call, "a connection with room"))
    const enter: Effect.Effect<Http2Connection, RpcError> = Effect.suspend(() => {
      const session = this.#withRoom()
      if (session === undefined) return Effect.andThen(turn, enter)
      this.#calls.set(session, this.#on(session) + 1)
      // One change may make room for many.
      this.#wake()
      return Effect.succeed(session)
    })
    return this.#waiting.size === 0 ? enter : Effect.andThen(turn, enter)
  }

  leave(session: Http2Connection): void {
    const calls = this.#on(session) - 1
    if (calls > 0) this.#calls.set(session, calls)
    else {
      this.#calls.delete(session)
      if (this.#leaving.delete(session)) session.close(drained)
    }
    this.#wake()
  }

  #on(session: Http2Connection): number {
    return this.#calls.get(session) ?? 0
  }

  /** The first connection with room. A first connection that takes no more calls takes the call, to say so. */
  #withRoom(): Http2Connection | undefined {
    if (this.#on(this.#first) < this.#first.maxCalls || !this.#first.isReady) return this.#first
    for (const session of this.#extra) {
      if (session.isReady && this.#on(session) < session.maxCalls) return session
    }
    this.#grow()
    return undefined
  }

  readonly #turn = Effect.callback<void>((resume) => {
    const wake = () => {
      this.#waiting.delete(wake)
      resume(Effect.void)
    }
    this.#waiting.add(wake)
    return Effect.sync(() => {
      // A turn that came just now belongs to the next.
      if (!this.#waiting.delete(wake)) this.#wake()
    })
  })

  #wake(): void {
    for (const wake of this.#waiting) return wake()
  }

  #grow(): void {
    if (this.#opening || this.#resting || this.#extra.size + 1 >= this.#limit) return
    this.#opening = true
    const session = this.#open()
    this.#extra.add(session)
    session.onChange = () => {
      if (session.isReady) this.#opening = false
      else if (this.#extra.delete(session)) {
        if (this.#opening) this.#rest()
        this.#opening = false
        if (this.#on(session) > 0) this.#leaving.add(session)
        else session.close(drained)
      }
      this.#wake()
    }
    session.connect()
  }

  #rest(): void {
    this.#resting = true
    setTimeout(() => {
      this.#resting = false
      this.#wake()
    }, restMillis).unref()
  }

  close(reason: string): void {
    for (const session of [...this.#extra, ...this.#leaving]) session.close(reason)
    this.#first.close(reason)
  }
}

/** The invoker of a group, from that of one connection. */
export const invoker = (group: ConnectionGroup, of: (session: Http2Connection) => Invoker): Invoker => ({
  unary: (method, request, call) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(group.enter(call, restore), (session) =>
        Effect.ensuring(
          restore(of(session).unary(method, request, call)),
          Effect.sync(() => group.leave(session))
        )
      )
    ),
  stream: (method, requests, call) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.acquireRelease(group.enter(call, restore), (session) => Effect.sync(() => group.leave(session))),
        (session) => restore(of(session).stream(method, requests, call))
      )
    )
})
