/**
 * The peers of one target, kept in step with discovery, and the picker over them.
 *
 * Three streams meet here. Discovery's endpoint sets become peers, held in the registry while they are listed. The
 * peers' statuses become peer sets, coalesced to at most one per tick. The policy turns peer sets into pickers. A call
 * reads the current picker; only a call that finds nobody ready waits for the next one.
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
import type { PeerRegistry } from "../peer/PeerRegistry.ts"
import * as Picker from "../picker/Picker.ts"
import * as RpcError from "../status/RpcError.ts"
import * as Watched from "../transport/Watched.ts"
import * as NoPeerReady from "./NoPeerReady.ts"
import { ConnectionsExhausted, PoolClosed } from "./PoolClosed.ts"

/**
 * What a pool is made of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> {
  readonly discovery: Discovery<R>
  readonly picker: Picker.PickerPolicy
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
    /** The peers in discovery's order. */
    readonly peers: () => ReadonlyArray<Peer>
    /** The peers now, and whenever one comes, goes or changes its status; conflated. */
    readonly changes: Stream.Stream<Picker.PeerSet>
    readonly load: Picker.Load | undefined
    /** A ready peer, if there is one now. */
    readonly choose: (call: Call, now: number) => Peer | undefined
    /** Waits as long as the call allows until `take`, asked whenever the picker has changed, returns something. */
    readonly waitFor: <A>(call: Call, take: (now: number) => A | undefined) => Effect.Effect<A, RpcError.RpcError>
    /**
     * Completes when the pool has closed and its last call has ended; fails when the pool shut down by itself because
     * every peer gave up connecting.
     */
    readonly closed: Effect.Effect<void, ConnectionsExhausted>
  }
>()("trunkline/pool/PeerPool") {}

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
  registry: PeerRegistry["Service"]
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

  const peers = new Map<string, Peer>()
  const members = yield* Scope.provide(FiberMap.make<string>(), scope)
  const wanted = Latch.makeUnsafe(options.eager ?? false)
  const picker = Watched.make(Picker.empty)
  const changed = Watched.make<void>(undefined)
  const failed = Watched.make<void>(undefined)
  let endpointsById: ReadonlyMap<string, Endpoint> = new Map()
  let listed: ReadonlyArray<string> = []
  let waiting = 0
  let discoveryError: DiscoveryError | undefined
  let poolClosed: PoolClosed | undefined

  const current = (): ReadonlyArray<Peer> => listed.flatMap((id) => peers.get(id) ?? [])

  const snapshot = (): Picker.PeerSet => {
    const all = current()
    const connected = all.filter((peer) => peer.status.state === "Ready")
    const endpointOf = (peer: Peer) => endpointsById.get(peer.id) ?? peer.endpoint
    return { peers: all, connected, ready: connected, endpointOf, weightOf: (peer) => endpointOf(peer).weight }
  }
  const changes = Stream.map(changed.changes, snapshot)

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
    const exhausted = new ConnectionsExhausted({ target, peers: NoPeerReady.report(all) })
    close(exhausted)
    return Effect.forkIn(Effect.andThen(Scope.close(scope, Exit.void), Deferred.fail(closed, exhausted)), outer)
  })

  /** Holds one peer for as long as it is listed, and passes on what happens to it. */
  const member = (endpoint: Endpoint) =>
    Effect.scoped(
      Effect.gen(function* () {
        const peer = yield* registry.retain(endpoint)
        peers.set(endpoint.id, peer)
        // Runs before the peer is released, which may take as long as its calls: nobody picks a draining peer.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            peers.delete(endpoint.id)
            changed.set()
          })
        )
        yield* Stream.runForEach(peer.changes, ({ cause, state }) =>
          Effect.suspend(() => {
            changed.set()
            if (state === "Down" || (state === "Idle" && cause !== undefined)) failed.set()
            return state === "Gone" ? giveUp : Effect.void
          })
        )
      })
    )

  const update = Effect.fnUntraced(function* (endpoints: ReadonlyArray<Endpoint>) {
    discoveryError = undefined
    const ids = new Set(endpoints.map((endpoint) => endpoint.id))
    const removed = listed.filter((id) => !ids.has(id))
    listed = [...ids]
    endpointsById = new Map(endpoints.map((endpoint) => [endpoint.id, endpoint]))
    for (const endpoint of endpoints) {
      yield* FiberMap.run(members, endpoint.id, member(endpoint), { onlyIfMissing: true, startImmediately: true })
    }
    yield* Effect.forEach(removed, (id) => Effect.forkIn(FiberMap.remove(members, id), scope), { discard: true })
    changed.set()
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
    const picking = Stream.runForEach(policy.pickers(changes), (next) => Effect.sync(() => picker.set(next)))
    yield* idleTimeout === Infinity ? picking : Effect.raceFirst(picking, untilIdle(Deadline.nowUnsafe(clock)))
    wanted.closeUnsafe()
    picker.set(Picker.empty)
    for (const peer of current()) peer.requestDisconnect()
  })
  yield* Effect.forkIn(Effect.forever(awake), scope)

  const usable = (call: Call, picked: Picker.Pick): picked is Peer =>
    picked._tag === "Peer" && picked.lane !== undefined && !call.tried.includes(picked.id)

  const choose = (call: Call, now: number): Peer | undefined => {
    let picked = picker.current().pick(call, now)
    for (let i = 0; i < repicks && picked._tag === "Peer" && !usable(call, picked); i++) {
      picked = picker.current().pick(call, now)
    }
    return picked._tag === "Peer" && picked.lane !== undefined ? picked : undefined
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
    const cause = poolClosed ?? NoPeerReady.make(target, current(), waited, discoveryError)
    const code = deadline && poolClosed === undefined ? "DEADLINE_EXCEEDED" : "UNAVAILABLE"
    return RpcError.make(code, cause.message, { cause, progress: "not_started" })
  }

  const waitFor = <A>(call: Call, take: (now: number) => A | undefined): Effect.Effect<A, RpcError.RpcError> =>
    Effect.suspend(() => {
      const since = Deadline.nowUnsafe(call.clock)
      const { deadline, millis } = patience(call, since)
      if (millis === 0 || poolClosed !== undefined) {
        wanted.openUnsafe()
        return Effect.fail(nobody(call, since, deadline))
      }
      waiting++
      wanted.openUnsafe()
      return picker.changes.pipe(
        Stream.takeWhile(() => poolClosed === undefined),
        Stream.map(() => take(Deadline.nowUnsafe(call.clock))),
        Stream.filter((taken) => taken !== undefined),
        Stream.runHead,
        Effect.timeoutOption(millis),
        Effect.flatMap((taken) =>
          Option.match(Option.flatten(taken), {
            onNone: () => Effect.fail(nobody(call, since, deadline)),
            onSome: Effect.succeed
          })
        ),
        Effect.ensuring(Effect.sync(() => waiting--))
      )
    })

  yield* Scope.addFinalizer(
    scope,
    Effect.sync(() => close(undefined))
  )
  return PeerPool.of({
    target,
    peers: current,
    changes,
    load: policy.load,
    choose,
    waitFor,
    closed: Deferred.await(closed)
  })
})
