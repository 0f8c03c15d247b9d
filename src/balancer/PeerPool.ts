/**
 * The peers of one target, kept in step with discovery, and the picker over them.
 *
 * Streams meet here. Discovery's endpoint sets become peers, held in the registry while they are listed (`Members`). The
 * peers' statuses and what the signals say of them (`SignalAggregator`) become peer sets, coalesced to at most one per tick, and the
 * policy turns those into pickers (`Publishing`). A call reads the current picker (`Choosing`); only a call that finds nobody
 * ready waits for the next one (`Waiting`).
 */
import { Clock, Context, Deferred, Duration, Effect, Exit, type Schedule, Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import * as Introspection from "../introspection/Introspection.ts"
import type { Peer } from "../peer/Peer.ts"
import type { PeerStatus } from "../peer/PeerStatus.ts"
import type { Signal } from "../signals/Signal.ts"
import * as PendingLoad from "../picker/PendingLoad.ts"
import * as PickError from "../picker/PickError.ts"
import * as Picker from "../picker/Picker.ts"
import type * as RpcError from "../status/RpcError.ts"
import * as StateRef from "../transport/StateRef.ts"
import * as Choosing from "./Choosing.ts"
import { Discovering } from "./Discovering.ts"
import * as SignalAggregator from "./SignalAggregator.ts"
import type { Lease } from "./Lease.ts"
import * as Members from "./Members.ts"
import { PoolStats } from "./PoolStats.ts"
import * as PoolSnapshot from "./PoolSnapshot.ts"
import { Problems } from "./Problems.ts"
import { Publishing } from "./Publishing.ts"
import { Waiting } from "./Waiting.ts"

/**
 * A call counted onto a peer.
 *
 * @category models
 * @since 0.1.0
 */
export type { Lease } from "./Lease.ts"

/**
 * What a pool is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> {
  readonly discovery: Discovery<R>
  readonly picker: Picker.PickerPolicy
  /** What else speaks against a peer that is connected. Default nothing. */
  readonly signals?: ReadonlyArray<Signal> | undefined
  /**
   * How long a call waits for a peer at most, whatever its deadline; then it fails as `UNAVAILABLE`. Calls that wait for
   * ready are not bound by it. Default no limit but the deadline: `CallOptions` says how long calls wait.
   */
  readonly chooseTimeout?: Duration.Input | undefined
  /** Connects at once instead of at the first call. Default false: a program that makes no call opens no connection. */
  readonly eager?: boolean | undefined
  /** Disconnects when there has been no call for so long; the next call connects again. Default never. */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * How long the one call of a peer on probation keeps other calls from it; then another one is let through, so that a call
   * that never ends keeps no peer out. A stream's is over with its first message or headers. Default 10 seconds.
   */
  readonly probeTimeout?: Duration.Input | undefined
  /** Delays between subscriptions to a failing discovery. Default 1 s, x1.6, +-20 %, at most 30 s. */
  readonly rediscover?: Schedule.Schedule<unknown, DiscoveryError> | undefined
}

/**
 * The peers of one target and the picker over them.
 *
 * @category services
 * @since 0.1.0
 */
export class PeerPool extends Context.Service<
  PeerPool,
  {
    readonly target: string
    /** What people call its picker. */
    readonly picker: string | undefined
    /** The peers in discovery's order. */
    readonly peers: () => ReadonlyArray<Peer>
    /** The peers now, and whenever one comes, goes, or changes its status or what is said of it; conflated. */
    readonly changes: Stream.Stream<Picker.PeerSet>
    readonly stats: PoolStats
    /**
     * Counts a call onto a peer if there is one now that takes it, or says why the call is not to wait for one. `since` is
     * when the call began to wait; default now.
     */
    readonly lease: (call: Call, now: number, since?: number) => Lease | RpcError.RpcError | undefined
    /** Waits as long as the call allows until `take`, asked whenever something has happened, returns something. */
    readonly waitFor: <A>(
      call: Call,
      take: (now: number, since: number) => A | undefined
    ) => Effect.Effect<A, RpcError.RpcError>
    /**
     * Completes when the pool has closed and its last call has ended; fails when the pool shut down by itself because
     * every peer gave up connecting.
     */
    readonly closed: Effect.Effect<void, PickError.ConnectionsExhausted>
  }
>()("trunkline/balancer/PeerPool") {}

/**
 * Where a pool has its peers from: a `PeerRegistry`, for one connector.
 *
 * @category models
 * @since 0.1.0
 */
export type { Retaining } from "./Members.ts"

/**
 * Makes a pool. Fails if the target itself is wrong; a look-up that fails later is retried and reported by the calls
 * that find no peer because of it. When the scope closes no call can choose a peer any more, and the peers drain.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R>(
  options: Options<R>,
  registry: Members.Retaining
): Effect.fn.Return<PeerPool["Service"], DiscoveryError, R | Scope.Scope> {
  const closed = yield* Deferred.make<void, PickError.ConnectionsExhausted>()
  const outer = yield* Effect.scope
  yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
  // A scope of its own, so that a pool that gives up shuts down while its owner lives on.
  const scope = yield* Scope.fork(outer)
  const giveUp = (why: PickError.ConnectionsExhausted) =>
    Effect.forkIn(Effect.andThen(Scope.close(scope, Exit.void), Deferred.fail(closed, why)), outer)
  return yield* Scope.provide(assemble(options, registry, { closed: Deferred.await(closed), giveUp }), scope)
})

/** How a pool ends: what tells when it has, and shutting it down because there is nobody left to connect to. */
interface Ending {
  readonly closed: Effect.Effect<void, PickError.ConnectionsExhausted>
  readonly giveUp: (why: PickError.ConnectionsExhausted) => Effect.Effect<unknown>
}

/** What is known of a pool in one place: its parts, joined with each other. */
class Pool<R> {
  readonly target: string
  readonly policy: Picker.PickerPolicy
  readonly stats = new PoolStats()
  readonly problems: Problems
  readonly discovering: Discovering
  readonly publishing: Publishing
  readonly waiting: Waiting
  /** Set when a peer came, went, or changed its connectivity or its standing. */
  readonly standing: StateRef.Writable<void> = StateRef.make<void>(undefined)
  /** Set when a peer has failed and a new look of discovery would help. */
  readonly failed: StateRef.Writable<void> = StateRef.make<void>(undefined)
  readonly load: Picker.Load
  closed: PickError.PoolClosed | undefined = undefined
  /** Both are set before anything runs. */
  members!: Members.Members
  signals!: SignalAggregator.SignalAggregator
  readonly #ending: Ending

  constructor(options: Options<R>, clock: Clock.Clock, ending: Ending) {
    const { discovery, picker: policy } = options
    this.target = discovery.target
    this.policy = policy
    this.#ending = ending
    this.load = policy.load?.make() ?? PendingLoad.pending
    this.problems = new Problems(this.target, clock)
    this.discovering = new Discovering(this.target, clock)
    this.waiting = new Waiting({
      target: this.target,
      closed: () => this.closed,
      peers: this.peers,
      verdictOf: (peer) => this.signals.verdictOf(peer),
      listed: () => this.members.size,
      discoveryError: () => this.discovering.error,
      settled: () => this.publishing.settled,
      chooseTimeout: Duration.toMillis(options.chooseTimeout ?? Infinity)
    })
    this.publishing = new Publishing({
      policy,
      snapshot: this.snapshot,
      peers: this.peers,
      stats: this.stats,
      problems: this.problems,
      clock,
      eager: options.eager ?? false,
      idleTimeout: Duration.toMillis(options.idleTimeout ?? Infinity),
      waiting: () => this.waiting.count,
      news: () => this.waiting.news.set()
    })
  }

  readonly peers = (): ReadonlyArray<Peer> => this.members.peers

  /** A peer came, went, or changed its connectivity or its standing: the signals want to know, too. */
  moved(): void {
    this.standing.set()
    this.publishing.touch()
  }

  /** A peer's status is another one. */
  changed({ cause, state }: PeerStatus): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.moved()
      if (state === "Down" || (state === "Idle" && cause !== undefined)) this.failed.set()
      return state === "Gone" ? this.#shutDown : Effect.void
    })
  }

  readonly snapshot = (): Picker.PeerSet => {
    const { allows, verdictOf } = this.signals
    const { load, members } = this
    const endpointOf = (peer: Peer): Endpoint => members.endpointOf(peer)
    const weightOf = (peer: Peer): number => endpointOf(peer).weight * verdictOf(peer).weight
    const { peers } = members
    const connected = peers.filter((peer) => peer.status.state === "Ready")
    const ready = Picker.withoutStandby(connected.filter(allows), weightOf)
    return { peers, connected, ready, endpointOf, weightOf, verdictOf, load }
  }

  /** No call can choose a peer any more. */
  close(exhausted: PickError.ConnectionsExhausted | undefined): void {
    this.closed ??= new PickError.PoolClosed({ target: this.target, exhausted })
    this.publishing.withdraw()
  }

  /** Shuts the pool down when the last of its peers has given up. */
  readonly #shutDown = Effect.suspend(() => {
    const { peers, size } = this.members
    if (this.closed !== undefined || peers.length < (size ?? 0)) return Effect.void
    if (!peers.every((peer) => peer.status.state === "Gone")) return Effect.void
    const exhausted = new PickError.ConnectionsExhausted({
      target: this.target,
      peers: PickError.unreadyPeers(peers, this.signals.verdictOf)
    })
    this.close(exhausted)
    return Effect.asVoid(this.#ending.giveUp(exhausted))
  })
}

/** Puts the parts of a pool to work. When the scope closes they stop in the other order. */
const assemble = Effect.fnUntraced(function* <R>(
  options: Options<R>,
  registry: Members.Retaining,
  ending: Ending
): Effect.fn.Return<PeerPool["Service"], DiscoveryError, R | Scope.Scope> {
  const clock = yield* Clock.Clock
  const pool = new Pool(options, clock, ending)
  const { discovering, failed, policy, problems, publishing, stats, target, waiting } = pool
  pool.members = yield* Members.make(registry, {
    target,
    moved: () => pool.moved(),
    changed: (status) => pool.changed(status)
  })
  pool.signals = yield* SignalAggregator.make(options.signals ?? [], {
    problems,
    probeTimeout: Duration.toMillis(options.probeTimeout ?? "10 seconds"),
    peers: Stream.map(StateRef.oncePerTick(pool.standing), pool.peers),
    changed: (statusChanged) => (statusChanged ? pool.moved() : publishing.touch())
  })

  const endpoints = yield* options.discovery.subscribe(Stream.drop(failed.changes, 1))
  const update = (set: ReadonlyArray<Endpoint>) => pool.members.update(set)
  yield* discovering.run(endpoints, options.rediscover, update, () => waiting.news.set()).pipe(Effect.forkScoped)
  yield* Effect.forkScoped(publishing.run)

  const { signals } = pool
  const observers = { load: policy.load === undefined ? undefined : pool.load, sinks: signals.sinks }
  const reading = Effect.sync(() =>
    PoolSnapshot.make({
      target,
      picker: policy.name,
      set: pool.snapshot(),
      sinceOf: signals.sinceOf,
      panicked: stats.panicked,
      problems: problems.all,
      discoveredAt: discovering.updatedAt,
      discoveryError: discovering.error,
      clock
    })
  )
  yield* Introspection.register({ _tag: "Pool", read: reading })
  yield* Effect.addFinalizer(() => Effect.sync(() => pool.close(undefined)))
  return PeerPool.of({
    target,
    picker: policy.name,
    peers: pool.peers,
    changes: publishing.changes,
    stats,
    lease: Choosing.make({ signals, observers, publishing, stats, waiting }),
    waitFor: (call, take) => waiting.until(call, take),
    closed: ending.closed
  })
})
