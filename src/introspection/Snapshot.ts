/**
 * What there is to see of a running program: its targets, the backends behind them, its clients and their budgets.
 *
 * It is data, not objects, so a page, a terminal and a test read the same thing, and so can a program elsewhere: the JSON
 * has a version, and what a later one adds is optional. Instants are milliseconds of the wall clock, since whoever reads
 * them may be on another machine.
 */
import { Schema } from "effect"

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/**
 * What a peer's own connection says of it, as in `PeerStatus`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const State = Schema.Literals(["Ready", "Connecting", "Idle", "Down", "Gone"])

/**
 * What signals say of a connected peer: a breaker, outlier detection, health, slow start.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Standing = Schema.Struct({
  /** `Probe` lets one call through; `Ejected` none. */
  status: Schema.Literals(["Ready", "Probe", "Ejected"]),
  cause: Schema.optional(Schema.String),
  /** Since when it is so. */
  since: Schema.optional(Schema.Finite),
  /** A factor of the peer's weight. */
  weight: Schema.Finite,
  /** When it is looked at again. */
  until: Schema.optional(Schema.Finite)
})

/**
 * A peer as its pool sees it. All counts are since the peer was made; a peer that two pools share has one set of them.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PeerReading = Schema.Struct({
  id: Schema.String,
  address: Schema.String,
  locality: Schema.optional(Schema.String),
  weight: Schema.Finite,
  state: State,
  since: Schema.Finite,
  /** Why it is not ready, or what went wrong the last time. */
  cause: Schema.optional(Schema.String),
  /** What lowers its standing though it may be connected; absent if nothing does. */
  standing: Schema.optional(Standing),
  pending: Count,
  started: Count,
  succeeded: Count,
  failed: Count,
  /** Attempts that were answered well, and how long they took together, in milliseconds. */
  answered: Count,
  answeredMillis: Schema.Finite,
  lastError: Schema.optional(Schema.Struct({ text: Schema.String, at: Schema.Finite }))
})

/**
 * A pool: one target and its peers, in discovery's order.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PoolReading = Schema.Struct({
  target: Schema.String,
  picker: Schema.optional(Schema.String),
  discovery: Schema.Struct({
    /** When endpoints were last heard of. */
    updatedAt: Schema.optional(Schema.Finite),
    /** What it complained of since. */
    error: Schema.optional(Schema.String)
  }),
  /** Attempts sent to a peer whatever signals said of it, because they spoke against too many. */
  panicked: Schema.optional(Count),
  /** Parts of it that do not work, such as its picker or a signal: which, why and since when. They are tried again. */
  problems: Schema.optional(
    Schema.Array(Schema.Struct({ part: Schema.String, text: Schema.String, at: Schema.Finite }))
  ),
  peers: Schema.Array(PeerReading)
})

/**
 * What is left for retries and hedges, and what became of those asked for so far.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Budget = Schema.Struct({
  balance: Schema.Union([Schema.Finite, Schema.Literal("unlimited")]),
  withdrawals: Count,
  exhaustions: Count,
  /** Whether other clients draw on it too. */
  shared: Schema.Boolean
})

/**
 * A client: its service, its budget, and what its policies do, in words.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ClientReading = Schema.Struct({
  service: Schema.String,
  budget: Budget,
  policies: Schema.Array(Schema.Struct({ of: Schema.String, text: Schema.String }))
})

/**
 * A list of endpoints in order of priority, which of them is current, and how it came to that.
 *
 * @category schemas
 * @since 0.1.0
 */
export const MultiEndpointReading = Schema.Struct({
  name: Schema.String,
  current: Schema.String,
  endpoints: Schema.Array(
    Schema.Struct({
      endpoint: Schema.String,
      availability: Schema.Literals(["Available", "Recovering", "Unavailable"]),
      /** Whether it was left for its error rate. */
      failing: Schema.Boolean
    })
  ),
  /** When a switch is to come. */
  switchAt: Schema.optional(Schema.Finite),
  /** The latest switches, newest first. */
  history: Schema.Array(
    Schema.Struct({ from: Schema.String, to: Schema.String, reason: Schema.String, at: Schema.Finite })
  )
})

/**
 * The connections a channel pool has to one endpoint.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ChannelPoolReading = Schema.Struct({
  endpoint: Schema.String,
  /** Connections there may be at most, those that drain not counted; and how many of those in use are ready. */
  max: Count,
  ready: Count,
  /** Calls under way, and keys bound. */
  load: Count,
  keys: Count,
  /** Connections that did not answer any more, and that did not get ready to be used. */
  silences: Count,
  primeFailures: Count,
  /** Calls of keys that went elsewhere because their connection was not ready, and that found no other. */
  fallbacks: Count,
  failedFallbacks: Count,
  channels: Schema.Array(
    Schema.Struct({
      id: Count,
      ready: Schema.Boolean,
      /** Whether it takes no new call and is about to be closed. */
      draining: Schema.Boolean,
      /** Calls under way, and calls ever. */
      load: Count,
      calls: Count,
      keys: Count,
      /** What its failures weigh in picks now, in calls. */
      penalty: Count
    })
  )
})

/**
 * What became of a peer in the last minute.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Recent = Schema.Struct({
  calls: Count,
  errors: Count,
  /** Its part of the pool's calls, from 0 to 1. */
  share: Schema.Finite,
  /** The mean of well-answered attempts, in milliseconds; `null` without any. */
  latencyMillis: Schema.NullOr(Schema.Finite),
  /** The same for each interval, oldest first. */
  latencies: Schema.Array(Schema.NullOr(Schema.Finite))
})

const id = { id: Count }

/**
 * Everything, each kind in the order of its making. Ids are unique while the program runs.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Snapshot = Schema.Struct({
  version: Schema.Literal(1),
  at: Schema.Finite,
  intervalMillis: Schema.Finite,
  pools: Schema.Array(
    Schema.Struct({
      ...id,
      ...PoolReading.fields,
      peers: Schema.Array(Schema.Struct({ ...PeerReading.fields, recent: Recent }))
    })
  ),
  clients: Schema.Array(Schema.Struct({ ...id, ...ClientReading.fields })),
  multiEndpoints: Schema.Array(Schema.Struct({ ...id, ...MultiEndpointReading.fields })),
  channelPools: Schema.optional(Schema.Array(Schema.Struct({ ...id, ...ChannelPoolReading.fields })))
})

/**
 * What signals say of a peer.
 *
 * @category models
 * @since 0.1.0
 */
export type Standing = typeof Standing.Type

/**
 * A peer as its pool reads it.
 *
 * @category models
 * @since 0.1.0
 */
export type PeerReading = typeof PeerReading.Type

/**
 * A pool as it reads itself.
 *
 * @category models
 * @since 0.1.0
 */
export type PoolReading = typeof PoolReading.Type

/**
 * A client as it reads itself.
 *
 * @category models
 * @since 0.1.0
 */
export type ClientReading = typeof ClientReading.Type

/**
 * A list of endpoints as it reads itself.
 *
 * @category models
 * @since 0.1.0
 */
export type MultiEndpointReading = typeof MultiEndpointReading.Type

/**
 * The connections to one endpoint as a channel pool reads them.
 *
 * @category models
 * @since 0.1.0
 */
export type ChannelPoolReading = typeof ChannelPoolReading.Type

/**
 * What became of a peer in the last minute.
 *
 * @category models
 * @since 0.1.0
 */
export type Recent = typeof Recent.Type

/**
 * Everything that is to be seen.
 *
 * @category models
 * @since 0.1.0
 */
export type Snapshot = typeof Snapshot.Type

/**
 * A pool of a snapshot.
 *
 * @category models
 * @since 0.1.0
 */
export type Pool = Snapshot["pools"][number]

/**
 * A peer of a snapshot.
 *
 * @category models
 * @since 0.1.0
 */
export type Peer = Pool["peers"][number]

/**
 * Reads a snapshot from JSON, as `GET /debug/backends.json` gives it.
 *
 * @category decoding
 * @since 0.1.0
 */
export const fromJson = Schema.decodeUnknownEffect(Schema.fromJsonString(Snapshot))

/**
 * Whether calls are sent to a peer as to any other: it is connected and nothing speaks against it.
 *
 * @category getters
 * @since 0.1.0
 */
export const isReady = ({ standing, state }: PeerReading): boolean =>
  state === "Ready" && (standing === undefined || standing.status === "Ready")
