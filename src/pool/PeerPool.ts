/**
 * The peers of one target, kept in step with discovery, and the picker over them.
 *
 * Streams meet here. Discovery's endpoint sets become peers, held in the registry while they are listed. The peers'
 * statuses and what the signals say of them become peer sets, coalesced to at most one per tick. The policy turns peer
 * sets into pickers. A call reads the current picker; only a call that finds nobody ready waits for the next one.
 */
import { Clock, Context, Deferred, Duration, Effect, Exit, FiberMap, Latch, Schedule, Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import { type Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import { type Endpoint, merge } from "../discovery/Endpoint.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Introspection from "../observe/Introspection.ts"
import type { Signal } from "../peer/Signal.ts"
import * as PendingLoad from "../picker/PendingLoad.ts"
import * as Picker from "../picker/Picker.ts"
import * as RpcError from "../status/RpcError.ts"
import * as Watched from "../transport/Watched.ts"
import * as Judgement from "./Judgement.ts"
import { Lease } from "./Lease.ts"
import { report } from "./NoPeerReady.ts"
import { ConnectionsExhausted, PoolClosed } from "./PoolClosed.ts"
import * as PoolReading from "./PoolReading.ts"
import { PoolStats } from "./PoolStats.ts"
import { Waiting } from "./Waiting.ts"

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
    readonly closed: Effect.Effect<void, ConnectionsExhausted>
  }
>()("trunkline/pool/PeerPool") {}

/**
 * Where a pool has its peers from: a `PeerRegistry`, for one connector.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retaining {
  readonly retain: (endpoint: Endpoint) => Effect.Effect<Peer, never, Scope.Scope>
}

/** How often a pick is repeated that answered with a peer just lost or one this call has failed on. */
const repicks = 3

const rediscoveryBackoff: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("1 second", 1.6),
  Schedule.spaced("30 seconds")
]).pipe(Schedule.jittered)

/**
 * Makes a pool. Fails if the target itself is wrong; a look-up that fails later is retried and reported by the calls
 * that find no peer because of it. When the scope closes no call can choose a peer any more, and the peers drain.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R>(
  options: Options<R>,
  registry: Retaining
): Effect.fn.Return<PeerPool["Service"], DiscoveryError, R | Scope.Scope> {
  const { discovery, picker: policy } = options
  const { target } = discovery
  const clock = yield* Clock.Clock

  const closed = yield* Deferred.make<void, ConnectionsExhausted>()
  const outer = yield* Effect.scope
  yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
  // A scope of its own, so that a pool that gives up shuts down while its owner lives on.
  const scope = yield* Scope.fork(outer)

  const stats = new PoolStats()
  const peers = new Map<string, Peer>()
  const members = yield* Scope.provide(FiberMap.make<string>(), scope)
  const wanted = Latch.makeUnsafe(options.eager ?? false)
  const standing = Watched.make<void>(undefined)
  const changed = Watched.make<void>(undefined)
  const failed = Watched.make<void>(undefined)
  let endpointsById: ReadonlyMap<string, Endpoint> = new Map()
  let listed: ReadonlyArray<string> = []
  let picker = Picker.empty
  /** How often the set of peers has changed, and how often it had when it was last given out. */
  let version = 0
  let given = -1
  /** The version that the picker is made of. */
  let madeOf = -1
  let discoveryError: DiscoveryError | undefined
  let discoveredAt: number | undefined
  let poolClosed: PoolClosed | undefined

  const current = (): ReadonlyArray<Peer> => listed.flatMap((id) => peers.get(id) ?? [])

  /** Something about the peers is new. */
  const touch = (): void => {
    version++
    changed.set()
    waiting.news.set()
  }

  /** A peer came, went, or changed its connectivity or its standing: the signals want to know, too. */
  const moved = (): void => {
    standing.set()
    touch()
  }

  const judgement = yield* Scope.provide(
    Judgement.make(options.signals ?? [], {
      peers: Stream.map(Watched.oncePerTick(standing), current),
      changed: (stood) => (stood ? moved() : touch())
    }),
    scope
  )
  const { verdictOf } = judgement

  const load = policy.load?.make() ?? PendingLoad.pending
  const endpointOf = (peer: Peer): Endpoint => endpointsById.get(peer.id) ?? peer.endpoint
  const weightOf = (peer: Peer): number => endpointOf(peer).weight * verdictOf(peer).weight

  const waiting = new Waiting({
    target,
    closed: () => poolClosed,
    peers: current,
    verdictOf,
    listed: () => (discoveredAt === undefined ? undefined : listed.length),
    discoveryError: () => discoveryError,
    settled: () => madeOf === version,
    chooseTimeout: Duration.toMillis(options.chooseTimeout ?? Infinity)
  })

  const snapshot = (): Picker.PeerSet => {
    const all = current()
    const connected = all.filter((peer) => peer.status.state === "Ready")
    const ready = Picker.withoutStandby(connected.filter(judgement.allows), weightOf)
    return { peers: all, connected, ready, endpointOf, weightOf, verdictOf, load }
  }
  const changes = Stream.map(Watched.oncePerTick(changed), snapshot)

  const publish = (next: Picker.Picker, of: number): void => {
    picker = next
    madeOf = of
    waiting.news.set()
  }

  const close = (exhausted: ConnectionsExhausted | undefined): void => {
    poolClosed ??= new PoolClosed({ target, exhausted })
    publish(Picker.empty, -1)
  }

  // ------------------------------------------------------------------------------------------------------------------
  // Membership
  // ------------------------------------------------------------------------------------------------------------------

  /** Shuts the pool down when the last of its peers has given up. */
  const giveUp = Effect.suspend(() => {
    const all = current()
    if (poolClosed !== undefined || all.length < listed.length) return Effect.void
    if (!all.every((peer) => peer.status.state === "Gone")) return Effect.void
    const exhausted = new ConnectionsExhausted({ target, peers: report(all, verdictOf) })
    close(exhausted)
    return Effect.forkIn(Effect.andThen(Scope.close(scope, Exit.void), Deferred.fail(closed, exhausted)), outer)
  })

  /** Holds one peer for as long as it is listed, and passes on what happens to it. */
  const member = (endpoint: Endpoint) =>
    Effect.scoped(
      Effect.gen(function* () {
        let held: Peer | undefined
        // A release does not wait for calls, but a pool has not closed before its last call has ended.
        yield* Effect.addFinalizer(() => (held?.closing === true ? held.closed : Effect.void))
        const peer = (held = yield* registry.retain(endpoint))
        peers.set(endpoint.id, peer)
        // Runs before the peer is released: nobody picks a draining peer.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            peers.delete(endpoint.id)
            moved()
          })
        )
        yield* Stream.runForEach(peer.changes, ({ cause, state }) =>
          Effect.suspend(() => {
            moved()
            if (state === "Down" || (state === "Idle" && cause !== undefined)) failed.set()
            return state === "Gone" ? giveUp : Effect.void
          })
        )
      })
    )

  const update = Effect.fnUntraced(function* (found: ReadonlyArray<Endpoint>) {
    const { endpoints, refused } = merge(found)
    const problem = refused.map(({ message }) => message).join("; ")
    discoveryError = problem === "" ? undefined : new DiscoveryError({ target, problem, cause: refused })
    if (discoveryError !== undefined) yield* Effect.logWarning(discoveryError.message)
    discoveredAt = clock.currentTimeMillisUnsafe()
    const ids = new Set(endpoints.map((endpoint) => endpoint.id))
    const removed = listed.filter((id) => !ids.has(id))
    listed = [...ids]
    endpointsById = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]))
    for (const endpoint of endpoints) {
      yield* FiberMap.run(members, endpoint.id, member(endpoint), { onlyIfMissing: true, startImmediately: true })
    }
    yield* Effect.forEach(removed, (id) => Effect.forkIn(FiberMap.remove(members, id), scope), { discard: true })
    moved()
  })

  const endpoints = yield* discovery.subscribe(Stream.drop(failed.changes, 1))
  yield* endpoints.pipe(
    Stream.tapError((error) =>
      Effect.sync(() => {
        discoveryError = error
        waiting.news.set()
      })
    ),
    Stream.retry(options.rediscover ?? rediscoveryBackoff),
    Stream.runForEach(update),
    Effect.ignore,
    Effect.forkIn(scope)
  )

  // ------------------------------------------------------------------------------------------------------------------
  // Picking
  // ------------------------------------------------------------------------------------------------------------------

  const idleTimeout = options.idleTimeout === undefined ? Infinity : Duration.toMillis(options.idleTimeout)

  /** Waits until there has been no call, and nobody waiting for a peer, for the idle timeout. */
  const untilIdle = (since: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const all = current()
      const busy = waiting.count > 0 || all.some((peer) => peer.stats.pending > 0)
      const used = Math.max(since, ...all.map((peer) => peer.stats.used))
      const left = busy ? idleTimeout : used + idleTimeout - Deadline.nowUnsafe(clock)
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(left), untilIdle(since))
    })

  /** From the first call that wants a peer to the idle timeout after the last. */
  const awake = Effect.gen(function* () {
    yield* wanted.await
    const sets = Stream.tap(changes, () => Effect.sync(() => void (given = version)))
    const picking = Stream.runForEach(policy.pickers(sets), (next) =>
      Effect.sync(() => {
        stats.rebuilds++
        publish(next, given)
      })
    )
    yield* idleTimeout === Infinity ? picking : Effect.raceFirst(picking, untilIdle(Deadline.nowUnsafe(clock)))
    wanted.closeUnsafe()
    publish(Picker.empty, -1)
    for (const peer of current()) peer.requestDisconnect()
  })
  yield* Effect.forkIn(Effect.forever(awake), scope)

  const allowed = (call: Call, picked: Picker.Pick): picked is Peer =>
    picked._tag === "Peer" && picked.lane !== undefined && (call.panicked || call.insisted || judgement.allows(picked))

  const pick = (call: Call, now: number): Picker.Pick => {
    call.panicked = false
    call.insisted = false
    return picker.pick(call, now)
  }

  const choose = (call: Call, now: number): Picker.Pick => {
    let picked = pick(call, now)
    for (let i = 0; i < repicks && picked._tag === "Peer"; i++) {
      if (allowed(call, picked) && !call.tried.includes(picked.id)) break
      picked = pick(call, now)
    }
    return picked._tag !== "Peer" || allowed(call, picked) ? picked : Picker.queue
  }

  /** What becomes of a call that got no peer: the reason why it fails, if it is not to wait. */
  const unpicked = (call: Call, picked: Exclude<Picker.Pick, Peer>, waited: number): RpcError.RpcError | undefined => {
    wanted.openUnsafe()
    if (picked._tag === "Drop") return RpcError.annotate(picked.error, { progress: "dropped" })
    if (picked._tag === "Fail" && call.options.whenNotReady !== "wait") return picked.error
    return waiting.refusal(call, picked._tag === "Down", waited)
  }

  const observers = { load: policy.load === undefined ? undefined : load, sinks: judgement.sinks }

  const lease = (call: Call, now: number, since = now): Lease | RpcError.RpcError | undefined => {
    const chosen = choose(call, now)
    if (chosen._tag !== "Peer") return unpicked(call, chosen, now - since)
    call.probe = !call.panicked && judgement.spend(chosen)
    if (call.panicked) stats.panicked++
    else if (call.probe) {
      stats.probes++
      touch()
    }
    return new Lease(chosen, chosen.lane!, observers, call, now)
  }

  const reading = Effect.sync(() =>
    PoolReading.make({
      target,
      picker: policy.name,
      set: snapshot(),
      sinceOf: judgement.sinceOf,
      panicked: stats.panicked,
      discoveredAt,
      discoveryError,
      clock
    })
  )
  yield* Scope.provide(Introspection.register({ _tag: "Pool", read: reading }), scope)
  yield* Scope.addFinalizer(
    scope,
    Effect.sync(() => close(undefined))
  )
  return PeerPool.of({
    target,
    picker: policy.name,
    peers: current,
    changes,
    stats,
    lease,
    waitFor: (call, take) => waiting.until(call, take),
    closed: Deferred.await(closed)
  })
})
