/**
 * Lists and pools as a snapshot, for pages and metrics.
 */
import type { EndpointPool } from "./EndpointPools.ts"
import type { Driver } from "./Driver.ts"
import type { CallCount } from "./ErrorRate.ts"
import type { Availability, Reason } from "./MultiEndpointState.ts"

/**
 * A list as it is now.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListSnapshot {
  readonly name: string
  readonly current: string
  /** Milliseconds until a switch that is to come; `undefined` without one. */
  readonly switchInMillis: number | undefined
  readonly switches: Readonly<Record<Reason, number>>
  readonly endpoints: ReadonlyArray<{
    readonly endpoint: string
    readonly availability: Availability
    /** Whether it was left for its error rate. */
    readonly failing: boolean
  }>
}

/**
 * The pool of one endpoint as it is now. Calls are counted only while a list looks at error rates.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoolSnapshot extends CallCount {
  readonly endpoint: string
  readonly ready: boolean
  /** Whether a list names it; if not it is about to be closed. */
  readonly named: boolean
  readonly peers: number
  readonly pending: number
}

/**
 * Another endpoint has become current. `at` is in milliseconds of the wall clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface Switch {
  readonly multiEndpoint: string
  /** The id of the endpoint left, `host:port`. */
  readonly from: string
  readonly to: string
  /** The authority of the endpoint that is current now. */
  readonly authority: string
  readonly reason: Reason
  readonly at: number
}

/**
 * Everything there is to see.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly multiEndpoints: ReadonlyArray<ListSnapshot>
  readonly pools: ReadonlyArray<PoolSnapshot>
}

/**
 * A list.
 *
 * @category constructors
 * @since 0.1.0
 * @internal
 */
export const ofList = ({ name, now, state }: Driver): ListSnapshot => ({
  name,
  current: state.current,
  switchInMillis: state.switchAt === Infinity ? undefined : state.switchAt - now,
  switches: state.switches,
  endpoints: [...state.endpoints].map(([endpoint, { availability, failing }]) => ({
    endpoint,
    availability,
    failing: failing !== undefined
  }))
})

/**
 * A pool.
 *
 * @category constructors
 * @since 0.1.0
 * @internal
 */
export const ofPool = ({ endpoint, pool, ready, retirement }: EndpointPool, callCount: CallCount): PoolSnapshot => ({
  ...callCount,
  endpoint: endpoint.id,
  ready: ready.current(),
  named: retirement === 0,
  peers: pool.peers().length,
  pending: pool.peers().reduce((sum, peer) => sum + peer.stats.pending, 0)
})
