/**
 * A pool of peers for each endpoint that any list names.
 *
 * Pools are keyed by address, not by list, so lists that share an endpoint share its connections. An update waits a bounded
 * time for new pools to be ready before it uses them. A pool that no list names is kept for a grace period, then drains and
 * closes.
 */
import { Context, Effect, Exit, Layer, Scope, Stream } from "effect"
import type { Invoker } from "../call/Interceptor.ts"
import type { Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { Peer } from "../peer/Peer.ts"
import type { PeerSet } from "../picker/Picker.ts"
import { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import * as StateRef from "../transport/StateRef.ts"
import * as Balancer from "../balancer/Balancer.ts"
import type { ReadBackend } from "./PriorityList.ts"
import { PeerPool } from "../balancer/PeerPool.ts"

/** How pools are made. */
export interface Options<R> extends Omit<Balancer.Options<R>, "discovery" | "eager" | "idleTimeout"> {
  readonly discovery: (endpoint: Endpoint) => Discovery<R>
}

const hasConnection = ({ connection }: Peer): boolean => connection !== undefined

/** The pool of one endpoint. */
export class EndpointPool {
  readonly endpoint: Endpoint
  readonly connector: Connector["Service"] | undefined
  readonly invoker: Invoker
  readonly pool: PeerPool["Service"]
  readonly scope: Scope.Closeable
  /** Whether it has a ready peer. */
  readonly ready: StateRef.Writable<boolean> = StateRef.make(false)
  #peers: ReadonlyArray<Peer> = []
  /** The number of the retirement that it waits for; 0 while a list names it. */
  retirement = 0

  constructor(
    { connector, endpoint }: ReadBackend,
    context: Context.Context<Transport | PeerPool>,
    scope: Scope.Closeable
  ) {
    this.endpoint = endpoint
    this.connector = connector
    this.invoker = Context.get(context, Transport)
    this.pool = Context.get(context, PeerPool)
    this.scope = scope
  }

  /** The set of peers has changed. Returns whether that changes the readiness of the pool. */
  update({ ready }: PeerSet): boolean {
    this.#peers = ready
    if (ready.length > 0 === this.ready.current()) return false
    this.ready.set(ready.length > 0)
    return true
  }

  /** Whether a call could be sent now. A peer knows of a lost connection before its pool does. */
  get isReady(): boolean {
    return this.#peers.some(hasConnection)
  }

  /** Waits until a call can be sent. */
  get untilReady(): Effect.Effect<void> {
    return Effect.asVoid(StateRef.until(this.ready, (ready) => ready))
  }
}

/** The pools in use, and those that wait to be closed, by endpoint id. */
export class EndpointPools<R> {
  readonly byId: Map<string, EndpointPool> = new Map()
  readonly #options: Options<R>
  readonly #context: Context.Context<R | Connector>
  readonly #scope: Scope.Scope
  readonly #onReadyChange: (pool: EndpointPool) => void
  #retirements = 0

  constructor(
    options: Options<R>,
    {
      context,
      onReadyChange,
      scope
    }: {
      readonly context: Context.Context<R | Connector>
      readonly scope: Scope.Scope
      /** Called when a pool becomes ready, or is ready no longer. */
      readonly onReadyChange: (pool: EndpointPool) => void
    }
  ) {
    this.#options = options
    this.#context = context
    this.#scope = scope
    this.#onReadyChange = onReadyChange
  }

  /** Opens a pool in a scope of its own and follows whether it is ready. */
  #open(backend: ReadBackend, scope: Scope.Closeable): Effect.Effect<EndpointPool, DiscoveryError> {
    const { connector, endpoint } = backend
    const balancer = Balancer.layer<R>({
      ...this.#options,
      discovery: this.#options.discovery(endpoint),
      // The readiness of an endpoint must be known before the first call.
      eager: true
    })
    const layer = connector === undefined ? balancer : Layer.provide(balancer, Layer.succeed(Connector, connector))
    return Layer.buildWithScope(Layer.fresh(layer), scope).pipe(
      Effect.provideContext(this.#context),
      Effect.map((context) => new EndpointPool(backend, context, scope)),
      Effect.tap((pool) =>
        Stream.runForEach(pool.pool.changes, (set) =>
          Effect.sync(() => {
            if (pool.update(set)) this.#onReadyChange(pool)
          })
        ).pipe(Effect.forkIn(scope))
      )
    )
  }

  /**
   * Opens what is missing, and what is connected to in another way now, and waits until all of it is ready, but not longer
   * than `warmUp`. If one cannot be opened none is.
   */
  prepare(
    backends: ReadonlyMap<string, ReadBackend>,
    warmUp: number
  ): Effect.Effect<ReadonlyArray<EndpointPool>, DiscoveryError> {
    return Effect.suspend(() => {
      const missing = [...backends.values()].filter(({ connector, endpoint }) => {
        const pool = this.byId.get(endpoint.id)
        return pool === undefined || pool.connector !== connector
      })
      const scopes: Array<Scope.Closeable> = []
      return Effect.forEach(missing, (backend) =>
        Effect.flatMap(Scope.fork(this.#scope), (scope) => {
          scopes.push(scope)
          return this.#open(backend, scope)
        })
      ).pipe(
        Effect.tap((opened) =>
          warmUp > 0
            ? Effect.timeoutOption(
                Effect.forEach(opened, (pool) => pool.untilReady, { concurrency: "unbounded", discard: true }),
                warmUp
              )
            : Effect.void
        ),
        Effect.onError((cause) => Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.failCause(cause))))
      )
    })
  }

  /** Makes prepared pools current. The pools they replace take no new calls, and drain. */
  publish(pools: ReadonlyArray<EndpointPool>): Effect.Effect<void> {
    const replaced = pools.flatMap((pool) => this.byId.get(pool.endpoint.id) ?? [])
    for (const pool of pools) this.byId.set(pool.endpoint.id, pool)
    return Effect.forEach(replaced, (pool) => this.#close(pool), { discard: true })
  }

  /** Keeps the pools that are named, and closes the others unless they are named again within `grace`. */
  retain(named: ReadonlySet<string>, grace: number): Effect.Effect<void> {
    return Effect.forEach(
      [...this.byId],
      ([id, pool]) => {
        if (named.has(id)) pool.retirement = 0
        if (named.has(id) || pool.retirement !== 0) return Effect.void
        const retirement = ++this.#retirements
        pool.retirement = retirement
        const retire = Effect.suspend(() => {
          if (pool.retirement !== retirement || this.byId.get(id) !== pool) return Effect.void
          this.byId.delete(id)
          return this.#close(pool)
        })
        return grace > 0 ? Effect.forkIn(Effect.andThen(Effect.sleep(grace), retire), this.#scope) : retire
      },
      { discard: true }
    )
  }

  /** Closes a pool in the background, since it drains first. */
  #close(pool: EndpointPool): Effect.Effect<void> {
    return Effect.asVoid(Effect.forkIn(Scope.close(pool.scope, Exit.void), this.#scope))
  }

  /** The endpoints whose pool has a ready peer. */
  get ready(): ReadonlySet<string> {
    return new Set([...this.byId].filter(([, pool]) => pool.ready.current()).map(([id]) => id))
  }
}
