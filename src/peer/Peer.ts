/**
 * One backend: its connection, its status and its numbers.
 *
 * A pool requests a connection, and the peer does the rest. It ends a connect that takes too long, and tries again with
 * backoff after a failure. When it loses a connection it becomes idle, and the pool decides whether to request another one;
 * that connect begins at once, because backoff is for connects that fail. Every connection is closed when its last call has
 * ended.
 */
import { Clock, Duration, Effect, Option, Pull, Schedule, type Scope, type Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { Connector } from "../transport/Connector.ts"
import type { Connectivity } from "../transport/Connectivity.ts"
import * as StateRef from "../transport/StateRef.ts"
import type { ActiveConnection } from "./ActiveConnection.ts"
import { OpenConnections } from "./OpenConnections.ts"
import { PeerStats } from "./PeerStats.ts"
import * as PeerStatus from "./PeerStatus.ts"

/**
 * A peer's connection, and the calls on it.
 *
 * @category models
 * @since 0.1.0
 */
export type { ActiveConnection } from "./ActiveConnection.ts"

/**
 * How a peer connects.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Gives up a connect that is not ready in this time. Default 20 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /**
   * Delays between connects after a failure; starts again after a success. When it ends the peer gives up for good.
   * Default `connectionBackoff`, which never ends.
   */
  readonly reconnect?: Schedule.Schedule<unknown, string> | undefined
  /**
   * A connection that ends sooner than this, and has carried no call, comes from a server that hangs up at once: the next
   * connect waits for the first delay of `reconnect`, or for this time if that is shorter. Any other lost connection is
   * opened again at once. Default 1 second; 0 for no limit.
   */
  readonly shortestSession?: Duration.Input | undefined
  /** How long calls may go on after the peer is removed. Default 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * gRPC's connection backoff: 1 s, x1.6, at most 120 s, +-20 %.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md
 * @category constants
 * @since 0.1.0
 */
export const connectionBackoff: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("1 second", 1.6),
  Schedule.spaced("120 seconds")
]).pipe(Schedule.jittered)

type Request = "nothing" | "connect" | "disconnect"

/**
 * One backend and all that is known of it.
 *
 * @category models
 * @since 0.1.0
 */
export class Peer {
  readonly _tag = "Peer"
  readonly id: string
  readonly endpoint: Endpoint
  readonly stats: PeerStats<Peer> = new PeerStats(this)
  /** The ready connection, if there is one: what a call reads. */
  connection: ActiveConnection | undefined = undefined
  /** Whether it is closing or closed, because no pool holds it any more. @internal */
  closing = false
  readonly #status: StateRef.Writable<PeerStatus.PeerStatus>
  /** The last request, until the peer is idle again. */
  readonly #request: StateRef.Writable<Request> = StateRef.make<Request>("nothing")
  readonly #closed: StateRef.Writable<boolean> = StateRef.make(false)

  constructor(endpoint: Endpoint, now: number) {
    this.id = endpoint.id
    this.endpoint = endpoint
    this.#status = StateRef.make(PeerStatus.initial(now))
  }

  /** The status now. */
  get status(): PeerStatus.PeerStatus {
    return this.#status.current()
  }

  /** The status now and every later one, conflated. */
  get changes(): Stream.Stream<PeerStatus.PeerStatus> {
    return this.#status.changes
  }

  /** Asks an idle peer to connect. */
  requestConnect(): void {
    this.#setRequest("connect")
  }

  /** Makes a peer idle: it stops trying to connect, or closes its connection when the calls on it have ended. */
  requestDisconnect(): void {
    this.#setRequest("disconnect")
  }

  /** Completes when no pool holds the peer any more and its last call has ended. */
  get closed(): Effect.Effect<void> {
    return Effect.asVoid(StateRef.until(this.#closed, (closed) => closed))
  }

  /** @internal */
  close(): void {
    this.#closed.set(true)
  }

  /** @internal */
  get connectRequested(): Effect.Effect<void> {
    return this.#untilRequested("connect")
  }

  /** @internal */
  get disconnectRequested(): Effect.Effect<void> {
    return this.#untilRequested("disconnect")
  }

  /** @internal */
  transition(event: PeerStatus.Event, now: number): void {
    const before = this.#status.current()
    const after = PeerStatus.next(before, event, now)
    if (after === before) return
    if (after.state === "Ready") this.stats.connections.made++
    if (before.state === "Ready") {
      const error = event._tag === "Disconnected" ? (event.error ?? "unknown") : "subchannel shutdown"
      this.stats.connections.lose(error)
    }
    if (event._tag === "ConnectFailed") this.stats.connections.failed++
    if (after.state === "Idle") this.#setRequest("nothing")
    this.#status.set(after)
  }

  #setRequest(request: Request): void {
    if (this.#request.current() !== request) this.#request.set(request)
  }

  #untilRequested(request: Request): Effect.Effect<void> {
    return Effect.asVoid(StateRef.until(this.#request, (current) => current === request))
  }
}

const describe = (state: Connectivity): string =>
  state._tag === "TransientFailure"
    ? state.cause
    : state._tag === "Shutdown"
      ? "connection shut down"
      : "connection lost"

/** A peer at work: how it connects, and the connections it has. */
interface Work {
  readonly peer: Peer
  readonly connections: OpenConnections
  readonly clock: Clock.Clock
  readonly connectTimeout: Duration.Duration
  readonly reconnect: Schedule.Schedule<unknown, string>
  /** Milliseconds. */
  readonly shortestSession: number
}

const transition = ({ clock, peer }: Work, event: PeerStatus.Event): Effect.Effect<void> =>
  Effect.sync(() => peer.transition(event, clock.currentTimeMillisUnsafe()))

/** Waits until a connection is ready. Fails with the cause if it ends before, or is not ready in time. */
const untilReady = Effect.fnUntraced(function* (
  { connection }: ActiveConnection,
  timeout: Duration.Duration
): Effect.fn.Return<void, string> {
  yield* connection.connect
  const settled = yield* StateRef.until(
    connection.connectivity,
    (state) => state._tag !== "Idle" && state._tag !== "Connecting"
  ).pipe(Effect.timeoutOption(timeout))
  if (Option.isNone(settled)) return yield* Effect.fail(`not ready within ${Duration.format(timeout)}`)
  if (settled.value._tag !== "Ready") return yield* Effect.fail(describe(settled.value))
})

/** One try to connect. A connection that does not become ready is closed. */
const connectOnce = (work: Work): Effect.Effect<ActiveConnection, string> => {
  const { connections, connectTimeout, peer } = work
  return Effect.gen(function* () {
    yield* transition(work, { _tag: "ConnectStarted" })
    const active = yield* connections.open
    yield* Effect.onError(untilReady(active, connectTimeout), () => connections.close(active))
    return active
  }).pipe(
    // A connector with a bug counts as one that does not connect, so that calls that wait get the reason.
    Effect.catchDefect((defect) =>
      Effect.andThen(
        Effect.logError(`connecting to ${peer.endpoint.id} died of a defect`, defect),
        Effect.fail(`a defect: ${defect instanceof Error ? defect.message : String(defect)}`)
      )
    ),
    Effect.tapError((cause) => transition(work, { _tag: "ConnectFailed", cause }))
  )
}

/** The milliseconds to the next connect after a server has hung up at once. */
const firstDelay = Effect.fnUntraced(function* ({ clock, reconnect, shortestSession }: Work, cause: string) {
  const step = yield* Schedule.toStep(reconnect)
  const delay = yield* step(clock.currentTimeMillisUnsafe(), cause).pipe(
    Effect.map(([, delay]) => Duration.toMillis(delay)),
    Pull.catchDone(() => Effect.succeed(Infinity))
  )
  return Math.min(delay, shortestSession)
})

/** Carries calls on a connection until it is lost. Returns the milliseconds to wait before the next connect. */
const useConnection = Effect.fnUntraced(function* (work: Work, active: ActiveConnection) {
  const { clock, peer, shortestSession } = work
  peer.stats.forget()
  peer.connection = active
  const since = Deadline.nowUnsafe(clock)
  yield* transition(work, { _tag: "Connected" })
  const state = yield* StateRef.until(active.connection.connectivity, (state) => state._tag !== "Ready")
  const disconnect = active.connection.disconnectReason?.()
  peer.connection = undefined
  const cause = disconnect?.cause ?? describe(state)
  yield* transition(work, { _tag: "Disconnected", cause, error: disconnect?.error })
  const hungUp = !active.used && Deadline.nowUnsafe(clock) - since < shortestSession
  return hungUp ? yield* firstDelay(work, cause) : 0
})

/**
 * From a request to connect to the loss of the connection, or to a request to disconnect. Returns the milliseconds to wait
 * before the next connect.
 */
const session = (work: Work, scope: Scope.Scope): Effect.Effect<number> => {
  const { connections, peer, reconnect } = work
  const connectAndUse = connectOnce(work).pipe(
    Effect.retry(reconnect),
    Effect.matchEffect({
      onFailure: (cause) => Effect.as(transition(work, { _tag: "GaveUp", cause }), 0),
      onSuccess: (active) => useConnection(work, active)
    })
  )
  const disconnected = Effect.andThen(peer.disconnectRequested, Effect.as(transition(work, { _tag: "Released" }), 0))
  const retired = Effect.suspend(() => {
    peer.connection = undefined
    return connections.retire(scope)
  })
  return Effect.andThen(peer.connectRequested, Effect.ensuring(Effect.raceFirst(connectAndUse, disconnected), retired))
}

/**
 * Makes a peer. When its scope closes it takes no new call, lets running ones end within the drain timeout, and closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  endpoint: Endpoint,
  options?: Options
): Effect.fn.Return<Peer, never, Connector | Scope.Scope> {
  const connector = yield* Connector
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const drainTimeout = Duration.fromInputUnsafe(options?.drainTimeout ?? "10 seconds")
  const peer = new Peer(endpoint, clock.currentTimeMillisUnsafe())
  const connections = new OpenConnections(Effect.suspend(() => connector.connect(endpoint)))
  const work: Work = {
    peer,
    connections,
    clock,
    connectTimeout: Duration.fromInputUnsafe(options?.connectTimeout ?? "20 seconds"),
    reconnect: options?.reconnect ?? connectionBackoff,
    shortestSession: Duration.toMillis(options?.shortestSession ?? "1 second")
  }
  yield* Effect.addFinalizer(() => {
    peer.closing = true
    peer.connection = undefined
    return transition(work, { _tag: "Removed" }).pipe(
      Effect.andThen(connections.drain(drainTimeout)),
      Effect.andThen(Effect.sync(() => peer.close()))
    )
  })
  const sessions = Effect.gen(function* () {
    let delay = 0
    while (peer.status.state !== "Gone") {
      if (delay > 0) yield* Effect.sleep(delay)
      delay = yield* session(work, scope)
    }
  })
  yield* Effect.forkScoped(sessions)
  return peer
})
