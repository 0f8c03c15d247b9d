/**
 * The peers of a pool: what its membership commands is done here.
 *
 * Each member is held by a fiber of its own, which retains the peer, passes on what happens to it, and ends when the peer it
 * has released has ended its last call. So nobody waits for a peer that drains but who closes the pool.
 */
import { Effect, FiberMap, type Scope, Stream } from "effect"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { Peer } from "../peer/Peer.ts"
import type { PeerStatus } from "../peer/PeerStatus.ts"
import * as Membership from "./Membership.ts"

/**
 * Where a pool has its peers from: a `PeerRegistry`, for one connector.
 *
 * @category models
 * @since 0.1.0
 */
export interface Retaining {
  readonly retain: (endpoint: Endpoint) => Effect.Effect<Peer, never, Scope.Scope>
}

/** What a pool wants to know of its members. */
export interface Watch {
  readonly target: string
  /** A peer came or went. */
  readonly moved: () => void
  /** A peer's status, when it is held and whenever it changes. */
  readonly changed: (status: PeerStatus) => Effect.Effect<void>
}

/** How long an endpoint goes without a peer whose own was lost to a bug. */
const restartDelay = "1 second"

/** The members of a pool at work. */
export class Members {
  #state = Membership.empty
  /** Those that are listed and held, in the list's order; made when somebody asks. */
  #peers: ReadonlyArray<Peer> | undefined = []
  readonly #held = new Map<number, Peer>()
  readonly #holders: FiberMap.FiberMap<number>
  readonly #registry: Retaining
  readonly #watch: Watch
  readonly #scope: Scope.Scope

  constructor(holders: FiberMap.FiberMap<number>, registry: Retaining, watch: Watch, scope: Scope.Scope) {
    this.#holders = holders
    this.#registry = registry
    this.#watch = watch
    this.#scope = scope
  }

  /** The peers of the last list, in its order. */
  get peers(): ReadonlyArray<Peer> {
    this.#peers ??= [...this.#state.listed.values()].flatMap(({ generation }) => this.#held.get(generation) ?? [])
    return this.#peers
  }

  /** How many endpoints the last list had; `undefined` before there was one. */
  get size(): number | undefined {
    return this.#state === Membership.empty ? undefined : this.#state.listed.size
  }

  /** What discovery last said of a peer. */
  endpointOf(peer: Peer): Endpoint {
    return this.#state.listed.get(peer.id)?.endpoint ?? peer.endpoint
  }

  /** Discovery has named the endpoints there are. */
  update(endpoints: ReadonlyArray<Endpoint>): Effect.Effect<void> {
    return this.#do(() => Membership.update(this.#state, endpoints))
  }

  #do(step: () => Membership.Step): Effect.Effect<void> {
    return Effect.suspend(() => {
      const [state, commands] = step()
      this.#state = state
      return Effect.andThen(
        Effect.forEach(commands, (command) => this.#obey(command), { discard: true }),
        Effect.sync(() => this.#refresh())
      )
    })
  }

  #obey({ _tag, member }: Membership.Command): Effect.Effect<void> {
    const { generation } = member
    return _tag === "Join"
      ? Effect.asVoid(FiberMap.run(this.#holders, generation, this.#hold(member), { startImmediately: true }))
      : FiberMap.remove(this.#holders, generation).pipe(
          Effect.andThen(this.#do(() => Membership.ended(this.#state, generation))),
          Effect.forkIn(this.#scope),
          Effect.asVoid
        )
  }

  #refresh(): void {
    this.#peers = undefined
    this.#watch.moved()
  }

  /** Holds the peer of one member until it is interrupted. */
  #hold(member: Membership.Member): Effect.Effect<void> {
    const { endpoint, generation } = member
    const holding = Effect.scoped(
      Effect.gen({ self: this }, function* () {
        let held: Peer | undefined
        // A release does not wait for calls, but a pool has not closed before its last call has ended.
        yield* Effect.addFinalizer(() => (held?.closing === true ? held.closed : Effect.void))
        const peer = (held = yield* this.#registry.retain(endpoint))
        this.#held.set(generation, peer)
        // Runs before the peer is released: nobody picks a draining peer.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            this.#held.delete(generation)
            this.#refresh()
          })
        )
        this.#refresh()
        yield* Stream.runForEach(peer.changes, (status) => this.#watch.changed(status))
      })
    )
    return Effect.catchDefect(holding, (defect) =>
      Effect.logError(`the pool of ${this.#watch.target} has lost ${endpoint.id} to a defect`, defect).pipe(
        Effect.andThen(Effect.sleep(restartDelay)),
        Effect.andThen(
          Effect.forkIn(
            this.#do(() => Membership.ended(this.#state, generation)),
            this.#scope
          )
        ),
        Effect.asVoid
      )
    )
  }
}

/** The members of a pool, released when the scope closes. */
export const make = Effect.fnUntraced(function* (
  registry: Retaining,
  watch: Watch
): Effect.fn.Return<Members, never, Scope.Scope> {
  return new Members(yield* FiberMap.make<number>(), registry, watch, yield* Effect.scope)
})
