/**
 * One backend: its connection, its status and its numbers.
 *
 * A peer is asked to connect and from then on looks after itself: it gives up a connect that takes too long, tries again
 * with backoff after a failure, and goes idle when a connection it had is lost, so that its pool decides whether to ask
 * again. Then it connects at once: backoff is for connects that fail, and one that succeeds ends it. Every connection it
 * opens is closed when its last call has ended.
 */
import { Clock, Duration, Effect, Exit, Option, Pull, Schedule, Scope, type Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import { Connector } from "../transport/Connector.ts"
import type { Connectivity } from "../transport/Connectivity.ts"
import * as StateRef from "../transport/StateRef.ts"
import { ActiveConnection } from "./ActiveConnection.ts"
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

type Asked = "nothing" | "connect" | "disconnect"

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
  /** Whether it is closing or closed: nobody holds it any more. @internal */
  closing = false
  readonly #status: StateRef.Writable<PeerStatus.PeerStatus>
  /** What was last asked of it, until it is idle again. */
  readonly #asked: StateRef.Writable<Asked> = StateRef.make<Asked>("nothing")
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
    this.#ask("connect")
  }

  /** Makes a peer idle: it stops trying to connect, or closes its connection when the calls on it have ended. */
  requestDisconnect(): void {
    this.#ask("disconnect")
  }

  /** Completes when nobody holds the peer any more and the last of its calls has ended. */
  get closed(): Effect.Effect<void> {
    return Effect.asVoid(StateRef.until(this.#closed, (closed) => closed))
  }

  /** @internal */
  close(): void {
    this.#closed.set(true)
  }

  /** @internal */
  get requested(): Effect.Effect<void> {
    return this.#askedFor("connect")
  }

  /** @internal */
  get released(): Effect.Effect<void> {
    return this.#askedFor("disconnect")
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
    if (after.state === "Idle") this.#ask("nothing")
    this.#status.set(after)
  }

  #ask(asked: Asked): void {
    if (this.#asked.current() !== asked) this.#asked.set(asked)
  }

  #askedFor(asked: Asked): Effect.Effect<void> {
    return Effect.asVoid(StateRef.until(this.#asked, (now) => now === asked))
  }
}

const describe = (state: Connectivity): string =>
  state._tag === "TransientFailure"
    ? state.cause
    : state._tag === "Shutdown"
      ? "connection shut down"
      : "connection lost"

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
  const connectTimeout = Duration.fromInputUnsafe(options?.connectTimeout ?? "20 seconds")
  const drainTimeout = Duration.fromInputUnsafe(options?.drainTimeout ?? "10 seconds")
  const reconnect = options?.reconnect ?? connectionBackoff
  const shortestSession = Duration.toMillis(options?.shortestSession ?? "1 second")

  const scope = yield* Effect.scope
  const connections = new Set<ActiveConnection>()
  const peer = new Peer(endpoint, clock.currentTimeMillisUnsafe())
  const transition = (event: PeerStatus.Event) =>
    Effect.sync(() => peer.transition(event, clock.currentTimeMillisUnsafe()))

  const openConnection = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const opening = Scope.provide(connector.connect(endpoint), scope)
    const active = new ActiveConnection(yield* Effect.onError(opening, () => Scope.close(scope, Exit.void)), scope)
    connections.add(active)
    return active
  }).pipe(Effect.uninterruptible)

  const closeConnection = (active: ActiveConnection) =>
    Effect.suspend(() => (connections.delete(active) ? active.close : Effect.void))

  /** Closes the connection when its calls have ended. */
  const retire = (active: ActiveConnection) => Effect.andThen(active.drained, closeConnection(active))

  /** Waits until a connection is ready. Fails with the reason when it does not get there. */
  const untilReady = Effect.fnUntraced(function* (active: ActiveConnection) {
    yield* active.connection.connect
    const settled = yield* StateRef.until(
      active.connection.connectivity,
      (state) => state._tag !== "Idle" && state._tag !== "Connecting"
    ).pipe(Effect.timeoutOption(connectTimeout))
    if (Option.isSome(settled) && settled.value._tag === "Ready") return active
    const cause = Option.match(settled, {
      onNone: () => `not ready within ${Duration.format(connectTimeout)}`,
      onSome: describe
    })
    return yield* Effect.fail(cause)
  })

  /** One try to connect; what did not become ready is closed. */
  const connectOnce = Effect.gen(function* () {
    yield* transition({ _tag: "ConnectStarted" })
    const active = yield* openConnection
    return yield* Effect.onError(untilReady(active), () => closeConnection(active))
  }).pipe(
    // A connector with a bug is one that does not connect; who waits for it must hear of that.
    Effect.catchDefect((defect) =>
      Effect.andThen(
        Effect.logError(`connecting to ${endpoint.id} died of a defect`, defect),
        Effect.fail(`a defect: ${defect instanceof Error ? defect.message : String(defect)}`)
      )
    ),
    Effect.tapError((cause) => transition({ _tag: "ConnectFailed", cause }))
  )

  /** The milliseconds to the next connect, when the server hung up at once. */
  const firstDelay = Effect.fnUntraced(function* (cause: string) {
    const step = yield* Schedule.toStep(reconnect)
    const delay = yield* step(clock.currentTimeMillisUnsafe(), cause).pipe(
      Effect.map(([, delay]) => Duration.toMillis(delay)),
      Pull.catchDone(() => Effect.succeed(Infinity))
    )
    return Math.min(delay, shortestSession)
  })
  let rest = 0

  /** Carries calls on a connection until it is lost. */
  const useConnection = Effect.fnUntraced(function* (active: ActiveConnection) {
    peer.stats.forget()
    peer.connection = active
    const since = Deadline.nowUnsafe(clock)
    yield* transition({ _tag: "Connected" })
    const state = yield* StateRef.until(active.connection.connectivity, (state) => state._tag !== "Ready")
    const disconnect = active.connection.disconnectReason?.()
    peer.connection = undefined
    const cause = disconnect?.cause ?? describe(state)
    yield* transition({ _tag: "Disconnected", cause, error: disconnect?.error })
    const hungUp = !active.used && Deadline.nowUnsafe(clock) - since < shortestSession
    rest = hungUp ? yield* firstDelay(cause) : 0
  })

  const connectAndUse = connectOnce.pipe(
    Effect.retry(reconnect),
    Effect.matchEffect({ onFailure: (cause) => transition({ _tag: "GaveUp", cause }), onSuccess: useConnection })
  )

  const retireAll = Effect.suspend(() => {
    peer.connection = undefined
    return Effect.forEach([...connections], (active) => Effect.forkIn(retire(active), scope), { discard: true })
  })

  /** From being asked to connect to losing the connection, or being asked to let it go. */
  const session = Effect.andThen(
    peer.requested,
    Effect.raceFirst(connectAndUse, Effect.andThen(peer.released, transition({ _tag: "Released" }))).pipe(
      Effect.ensuring(retireAll)
    )
  )

  yield* Effect.addFinalizer(() => {
    peer.closing = true
    peer.connection = undefined
    return Effect.andThen(
      transition({ _tag: "Removed" }),
      Effect.forEach(
        [...connections],
        (active) => Effect.ensuring(Effect.timeoutOption(active.drained, drainTimeout), closeConnection(active)),
        { concurrency: "unbounded", discard: true }
      )
    ).pipe(Effect.andThen(Effect.sync(() => peer.close())))
  })
  yield* Effect.suspend(() => (rest > 0 ? Effect.sleep(rest) : Effect.void)).pipe(
    Effect.andThen(Effect.sync(() => void (rest = 0))),
    Effect.andThen(session),
    Effect.repeat({ until: () => peer.status.state === "Gone" }),
    Effect.forkScoped
  )
  return peer
})
