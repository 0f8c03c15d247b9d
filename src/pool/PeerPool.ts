/**
 * The peers of one target, kept in step with discovery, and the picker over them.
 *
 * Three streams meet here. Discovery's endpoint sets become peers, held in the registry while they are listed. The
 * peers' statuses become peer sets, coalesced to at most one per tick. The policy turns peer sets into pickers. A call
 * reads the current picker; only a call that finds nobody ready waits for the next one.
 */
import { Duration, Effect, FiberMap, Latch, Option, Schedule, type Scope, Stream } from "effect"
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
  /** Delays between subscriptions to a failing discovery. Default 1 s, x1.6, +-20 %, at most 30 s. */
  readonly rediscover?: Schedule.Schedule<unknown, DiscoveryError> | undefined
}

/**
 * The peers of one target and the picker over them.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeerPool {
  readonly target: string
  /** The peers in discovery's order. */
  readonly peers: () => ReadonlyArray<Peer>
  readonly load: Picker.Load | undefined
  /** A ready peer, if there is one now. */
  readonly choose: (call: Call, now: number) => Peer | undefined
  /** Waits for a ready peer as long as the call allows. */
  readonly waitForPeer: (call: Call) => Effect.Effect<Peer, RpcError.RpcError>
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
  registry: PeerRegistry["Service"]
): Effect.fn.Return<PeerPool, DiscoveryError, R | Scope.Scope> {
  const { discovery, picker: policy } = options
  const chooseTimeout = Duration.toMillis(options.chooseTimeout ?? "500 millis")

  const peers = new Map<string, Peer>()
  const members = yield* FiberMap.make<string>()
  const wanted = Latch.makeUnsafe(options.eager ?? false)
  const picker = Watched.make(Picker.empty)
  const changed = Watched.make<void>(undefined)
  const failed = Watched.make<void>(undefined)
  let listed: ReadonlyArray<string> = []
  let discoveryError: DiscoveryError | undefined
  let closed = false

  const current = (): ReadonlyArray<Peer> => listed.flatMap((id) => peers.get(id) ?? [])

  const snapshot = (): Picker.PeerSet => {
    const all = current()
    return { peers: all, ready: all.filter((peer) => peer.status.state === "Ready") }
  }

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
        yield* Stream.runForEach(peer.changes, ({ state, cause }) =>
          Effect.sync(() => {
            changed.set()
            if (state === "Down" || (state === "Idle" && cause !== undefined)) failed.set()
          })
        )
      })
    )

  const update = Effect.fnUntraced(function* (endpoints: ReadonlyArray<Endpoint>) {
    discoveryError = undefined
    const ids = new Set(endpoints.map((endpoint) => endpoint.id))
    const removed = listed.filter((id) => !ids.has(id))
    listed = [...ids]
    for (const endpoint of endpoints) {
      yield* FiberMap.run(members, endpoint.id, member(endpoint), { onlyIfMissing: true, startImmediately: true })
    }
    yield* Effect.forEach(removed, (id) => Effect.forkScoped(FiberMap.remove(members, id)), { discard: true })
    changed.set()
  })

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
    const cause = NoPeerReady.make(discovery.target, current(), waited, discoveryError)
    return RpcError.make(deadline ? "DEADLINE_EXCEEDED" : "UNAVAILABLE", cause.message, { cause })
  }

  const waitForPeer = (call: Call): Effect.Effect<Peer, RpcError.RpcError> =>
    Effect.suspend(() => {
      if (closed) return Effect.fail(RpcError.make("UNAVAILABLE", `the pool of ${discovery.target} is closed`))
      wanted.openUnsafe()
      const since = Deadline.nowUnsafe(call.clock)
      const { deadline, millis } = patience(call, since)
      if (millis === 0) return Effect.fail(nobody(call, since, deadline))
      return picker.changes.pipe(
        Stream.map(() => choose(call, Deadline.nowUnsafe(call.clock))),
        Stream.filter((peer) => peer !== undefined),
        Stream.runHead,
        Effect.timeoutOption(millis),
        Effect.flatMap((found) =>
          Option.match(Option.flatten(found), {
            onNone: () => Effect.fail(nobody(call, since, deadline)),
            onSome: Effect.succeed
          })
        )
      )
    })

  const endpoints = yield* discovery.subscribe(Stream.drop(failed.changes, 1))
  yield* endpoints.pipe(
    Stream.tapError((error) => Effect.sync(() => void (discoveryError = error))),
    Stream.retry(options.rediscover ?? rediscoveryBackoff),
    Stream.runForEach(update),
    Effect.ignore,
    Effect.forkScoped
  )
  yield* Effect.andThen(
    wanted.await,
    Stream.runForEach(policy.pickers(Stream.map(changed.changes, snapshot)), (next) =>
      Effect.sync(() => picker.set(next))
    )
  ).pipe(Effect.forkScoped)
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      picker.set(Picker.empty)
    })
  )

  return { target: discovery.target, peers: current, load: policy.load, choose, waitForPeer }
})
