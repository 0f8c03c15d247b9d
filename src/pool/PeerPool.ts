/**
 * The peers of one target, kept in step with discovery, and the picker over them.
 *
 * Streams meet here. Discovery's endpoint sets become peers, held in the registry while they are listed. The peers'
 * statuses and what the signals say of them become peer sets, coalesced to at most one per tick. The policy turns peer
 * sets into pickers. A call reads the current picker; only a call that finds nobody ready waits for the next one.
 */
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Exit,
  FiberMap,
  Latch,
  Option,
  Schedule,
  Scope,
  Stream
} from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Introspection from "../observe/Introspection.ts"
import type { Signal } from "../peer/Signal.ts"
import * as PendingLoad from "../picker/PendingLoad.ts"
import * as Picker from "../picker/Picker.ts"
import * as RpcError from "../status/RpcError.ts"
import * as Watched from "../transport/Watched.ts"
import * as Judgement from "./Judgement.ts"
import { Lease } from "./Lease.ts"
import { NoPeerReady, report } from "./NoPeerReady.ts"
import { ConnectionsExhausted, PoolClosed } from "./PoolClosed.ts"
import * as PoolReading from "./PoolReading.ts"
import { PoolStats } from "./PoolStats.ts"

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
  /** How long a call without a deadline waits for a ready peer. Default 500 milliseconds. */
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
    /** Counts a call onto a peer if there is one now that takes it, or says why the call is not to wait for one. */
    readonly lease: (call: Call, now: number) => Lease | RpcError.RpcError | undefined
    /** Waits as long as the call allows until `take`, asked whenever the picker has changed, returns something. */
    readonly waitFor: <A>(call: Call, take: (now: number) => A | undefined) => Effect.Effect<A, RpcError.RpcError>
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
  const chooseTimeout = Duration.toMillis(options.chooseTimeout ?? "500 millis")

  const closed = yield* Deferred.make<void, ConnectionsExhausted>()
  const outer = yield* Effect.scope
  yield* Effect.addFinalizer(() => Deferred.succeed(closed, undefined))
  // A scope of its own, so that a pool that gives up shuts down while its owner lives on.
  const scope = yield* Scope.fork(outer)

  const stats = new PoolStats()
  const peers = new Map<string, Peer>()
  const members = yield* Scope.provide(FiberMap.make<string>(), scope)
  const wanted = Latch.makeUnsafe(options.eager ?? false)
  const picker = Watched.make(Picker.empty)
  const standing = Watched.make<void>(undefined)
  const changed = Watched.make<void>(undefined)
  const failed = Watched.make<void>(undefined)
  let endpointsById: ReadonlyMap<string, Endpoint> = new Map()
  let listed: ReadonlyArray<string> = []
  let waiting = 0
  /** Whether the picker still picks a peer whose one call has just been sent. The next one is on its way. */
  let outdated = false
  let discoveryError: DiscoveryError | undefined
  let discoveredAt: number | undefined
  let poolClosed: PoolClosed | undefined

  const current = (): ReadonlyArray<Peer> => listed.flatMap((id) => peers.get(id) ?? [])

  /** A peer came, went, or changed its connectivity or its standing: the signals want to know, too. */
  const moved = (): void => {
    standing.set()
    changed.set()
  }

  const judgement = yield* Scope.provide(
    Judgement.make(options.signals ?? [], {
      peers: Stream.map(Watched.oncePerTick(standing), current),
      changed: (stood) => (stood ? moved() : changed.set())
    }),
    scope
  )
  const { verdictOf } = judgement

  const load = policy.load?.make() ?? PendingLoad.pending
  const endpointOf = (peer: Peer): Endpoint => endpointsById.get(peer.id) ?? peer.endpoint
  const weightOf = (peer: Peer): number => endpointOf(peer).weight * verdictOf(peer).weight

  const snapshot = (): Picker.PeerSet => {
    const all = current()
    const connected = all.filter((peer) => peer.status.state === "Ready")
    return { peers: all, connected, ready: connected.filter(judgement.allows), endpointOf, weightOf, verdictOf, load }
  }
  const changes = Stream.map(Watched.oncePerTick(changed), snapshot)

  const close = (exhausted: ConnectionsExhausted | undefined): void => {
    poolClosed ??= new PoolClosed({ target, exhausted })
    picker.set(Picker.empty)
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

  const update = Effect.fnUntraced(function* (endpoints: ReadonlyArray<Endpoint>) {
    discoveryError = undefined
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
    Stream.tapError((error) => Effect.sync(() => void (discoveryError = error))),
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
      const busy = waiting > 0 || all.some((peer) => peer.stats.pending > 0)
      const used = Math.max(since, ...all.map((peer) => peer.stats.used))
      const left = busy ? idleTimeout : used + idleTimeout - Deadline.nowUnsafe(clock)
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(left), untilIdle(since))
    })

  /** From the first call that wants a peer to the idle timeout after the last. */
  const awake = Effect.gen(function* () {
    yield* wanted.await
    const picking = Stream.runForEach(policy.pickers(changes), (next) =>
      Effect.sync(() => {
        stats.rebuilds++
        outdated = false
        picker.set(next)
      })
    )
    yield* idleTimeout === Infinity ? picking : Effect.raceFirst(picking, untilIdle(Deadline.nowUnsafe(clock)))
    wanted.closeUnsafe()
    outdated = false
    picker.set(Picker.empty)
    for (const peer of current()) peer.requestDisconnect()
  })
  yield* Effect.forkIn(Effect.forever(awake), scope)

  const allowed = (call: Call, picked: Picker.Pick): picked is Peer =>
    picked._tag === "Peer" && picked.lane !== undefined && (call.panicked || call.insisted || judgement.allows(picked))

  const pick = (call: Call, now: number): Picker.Pick => {
    call.panicked = false
    call.insisted = false
    return picker.current().pick(call, now)
  }

  const choose = (call: Call, now: number): Peer | RpcError.RpcError | undefined => {
    let picked = pick(call, now)
    for (let i = 0; i < repicks && picked._tag === "Peer"; i++) {
      if (allowed(call, picked) && !call.tried.includes(picked.id)) break
      picked = pick(call, now)
    }
    if (picked._tag === "Peer") return allowed(call, picked) ? picked : undefined
    if (picked._tag === "Drop") return RpcError.annotate(picked.error, { progress: "dropped" })
    return picked._tag === "Fail" && call.options.whenNotReady !== "wait" ? picked.error : undefined
  }

  const observers = { load: policy.load === undefined ? undefined : load, sinks: judgement.sinks }

  const lease = (call: Call, now: number): Lease | RpcError.RpcError | undefined => {
    const chosen = choose(call, now)
    if (chosen === undefined || chosen._tag === "RpcError") return chosen
    call.probe = !call.panicked && judgement.spend(chosen)
    if (call.panicked) stats.panicked++
    else if (call.probe) {
      stats.probes++
      outdated = true
      changed.set()
    }
    return new Lease(chosen, chosen.lane!, observers, call, now)
  }

  /** How long this call may wait, and whether it is its deadline that says so. */
  const patience = (call: Call, now: number): { readonly millis: number; readonly deadline: boolean } => {
    const left = Math.max(0, call.deadline - now)
    if (call.options.whenNotReady === "fail") return { millis: 0, deadline: false }
    if (call.options.whenNotReady === "wait" || call.deadline !== Deadline.none) return { millis: left, deadline: true }
    return { millis: chooseTimeout, deadline: false }
  }

  const nobody = (call: Call, since: number, deadline: boolean): RpcError.RpcError => {
    const waited = Deadline.nowUnsafe(call.clock) - since
    const peers = report(current(), verdictOf)
    const cause = poolClosed ?? new NoPeerReady({ target, peers, waitedMillis: waited, discovery: discoveryError })
    const code = deadline && poolClosed === undefined ? "DEADLINE_EXCEEDED" : "UNAVAILABLE"
    return RpcError.make(code, cause.message, { cause, progress: "not_started" })
  }

  const waitFor = <A>(call: Call, take: (now: number) => A | undefined): Effect.Effect<A, RpcError.RpcError> =>
    Effect.suspend(() => {
      const since = Deadline.nowUnsafe(call.clock)
      const { deadline, millis } = patience(call, since)
      if ((millis === 0 && !outdated) || poolClosed !== undefined) {
        wanted.openUnsafe()
        return Effect.fail(nobody(call, since, deadline))
      }
      waiting++
      wanted.openUnsafe()
      // Who does not want to wait is asked to, for a picker that is as good as there.
      const pickers = millis === 0 ? Stream.take(picker.changes, 2) : picker.changes
      return pickers.pipe(
        Stream.takeWhile(() => poolClosed === undefined),
        Stream.map(() => take(Deadline.nowUnsafe(call.clock))),
        Stream.filter((taken) => taken !== undefined),
        Stream.runHead,
        Effect.timeoutOption(millis === 0 ? chooseTimeout : millis),
        Effect.flatMap((taken) =>
          Option.match(Option.flatten(taken), {
            onNone: () => Effect.fail(nobody(call, since, deadline)),
            onSome: Effect.succeed
          })
        ),
        Effect.ensuring(Effect.sync(() => waiting--))
      )
    })

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
    waitFor,
    closed: Deferred.await(closed)
  })
})
