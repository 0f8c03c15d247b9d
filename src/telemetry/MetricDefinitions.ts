/**
 * The names of everything that is measured, what it is measured in, and the labels it has.
 *
 * Names are gRPC's where it has one (A66 for calls, A96 for retries, A94 for connections, A78 and A91 for balancing) and
 * ours where it has none, under `trunkline.`. Labels are bounded: methods of a service, status codes, targets, states. An
 * instrument is a function of its labels and a plain `Metric` then, so whoever has a number to report updates it, or has it
 * sampled (`Sampled`).
 *
 * @see https://github.com/grpc/proposal/blob/master/A66-otel-stats.md
 * @see https://github.com/grpc/proposal/blob/master/A96-retry-otel-stats.md
 */
import { counter, few, gauge, histogram, latencies } from "./Instrument.ts"

/**
 * A metric by its labels.
 *
 * @category models
 * @since 0.1.0
 */
export type { Instrument } from "./Instrument.ts"

/** Bytes. */
const sizes = [0, ...Array.from({ length: 12 }, (_, i) => (i === 0 ? 1024 : 512 * 4 ** i)), 4 ** 16]

type Sent = "grpc.method" | "grpc.target"
type Ended = Sent | "grpc.status"
type Served = "grpc.method"
type Answered = Served | "grpc.status"
type Target = "grpc.target"

// ---------------------------------------------------------------------------------------------------------------------
// Attempts and calls of clients
// ---------------------------------------------------------------------------------------------------------------------

/** Attempts that have begun. @category client @since 0.1.0 */
export const attemptStarted = counter<Sent>("grpc.client.attempt.started", "{attempt}", "Attempts that have begun")
/** How long attempts take, the wait for a peer included. @category client @since 0.1.0 */
export const attemptDuration = histogram<Ended>(
  "grpc.client.attempt.duration",
  "s",
  "How long attempts take, the wait for a peer included",
  latencies
)
/** Bytes of the requests of an attempt. @category client @since 0.1.0 */
export const attemptSent = histogram<Ended>(
  "grpc.client.attempt.sent_total_compressed_message_size",
  "By",
  "Bytes of the requests of an attempt",
  sizes
)
/** Bytes of the responses of an attempt. @category client @since 0.1.0 */
export const attemptReceived = histogram<Ended>(
  "grpc.client.attempt.rcvd_total_compressed_message_size",
  "By",
  "Bytes of the responses of an attempt",
  sizes
)
/** How long calls take, retries and waits included. @category client @since 0.1.0 */
export const callDuration = histogram<Ended>(
  "grpc.client.call.duration",
  "s",
  "How long calls take, retries and waits included",
  latencies
)
/** Retries of the calls that had some. @category client @since 0.1.0 */
export const callRetries = histogram<Sent>(
  "grpc.client.call.retries",
  "{retry}",
  "Retries of the calls that had some",
  few
)
/** Free retries of the calls that had some. @category client @since 0.1.0 */
export const callTransparentRetries = histogram<Sent>(
  "grpc.client.call.transparent_retries",
  "{transparent_retry}",
  "Free retries of the calls that had some",
  [...few, 10]
)
/** Hedges of the calls that had some. @category client @since 0.1.0 */
export const callHedges = histogram<Sent>(
  "grpc.client.call.hedges",
  "{hedge}",
  "Hedges of the calls that had some",
  few
)
/** How long calls with several attempts had none under way. @category client @since 0.1.0 */
export const callRetryDelay = histogram<Sent>(
  "grpc.client.call.retry_delay",
  "s",
  "How long calls with several attempts had none under way",
  latencies
)

// ---------------------------------------------------------------------------------------------------------------------
// Calls of servers
// ---------------------------------------------------------------------------------------------------------------------

/** Calls that have begun. @category server @since 0.1.0 */
export const servedStarted = counter<Served>("grpc.server.call.started", "{call}", "Calls that have begun")
/** How long calls take to serve. @category server @since 0.1.0 */
export const servedDuration = histogram<Answered>(
  "grpc.server.call.duration",
  "s",
  "How long calls take to serve",
  latencies
)
/** Bytes of the responses of a call. @category server @since 0.1.0 */
export const servedSent = histogram<Answered>(
  "grpc.server.call.sent_total_compressed_message_size",
  "By",
  "Bytes of the responses of a call",
  sizes
)
/** Bytes of the requests of a call. @category server @since 0.1.0 */
export const servedReceived = histogram<Answered>(
  "grpc.server.call.rcvd_total_compressed_message_size",
  "By",
  "Bytes of the requests of a call",
  sizes
)

// ---------------------------------------------------------------------------------------------------------------------
// Connections and balancing
// ---------------------------------------------------------------------------------------------------------------------

/** Connections that were ready and are no more. @category balancing @since 0.1.0 */
export const disconnections = counter<Target | "grpc.disconnect_error">(
  "grpc.subchannel.disconnections",
  "{disconnection}",
  "Connections that were ready and are no more"
)
/** Connects that became ready. @category balancing @since 0.1.0 */
export const connectsSucceeded = counter<Target>(
  "grpc.subchannel.connection_attempts_succeeded",
  "{attempt}",
  "Connects that became ready"
)
/** Connects that did not. @category balancing @since 0.1.0 */
export const connectsFailed = counter<Target>(
  "grpc.subchannel.connection_attempts_failed",
  "{attempt}",
  "Connects that did not become ready"
)
/** Peers with a ready connection. @category balancing @since 0.1.0 */
export const openConnections = gauge<Target>(
  "grpc.subchannel.open_connections",
  "{connection}",
  "Peers with a ready connection"
)
/** Pickers that fell back to taking turns because weights are missing. @category balancing @since 0.1.0 */
export const roundRobinFallbacks = counter<Target>(
  "grpc.lb.wrr.rr_fallback",
  "{update}",
  "Pickers that fell back to taking turns because weights are missing"
)
/** Peers whose weight is not known yet, at each new picker. @category balancing @since 0.1.0 */
export const weightsNotYetUsable = counter<Target>(
  "grpc.lb.wrr.endpoint_weight_not_yet_usable",
  "{endpoint}",
  "Peers whose weight is not known yet, at each new picker"
)
/** Peers whose weight is too old, at each new picker. @category balancing @since 0.1.0 */
export const weightsStale = counter<Target>(
  "grpc.lb.wrr.endpoint_weight_stale",
  "{endpoint}",
  "Peers whose weight is too old, at each new picker"
)
/** The weights of peers, at each new picker. @category balancing @since 0.1.0 */
export const weights = histogram<Target>(
  "grpc.lb.wrr.endpoint_weights",
  "{weight}",
  "The weights of peers, at each new picker",
  [0, 1, 10, 100, 1000, 10_000, 100_000]
)
/** Peers that outlier detection has taken out. @category balancing @since 0.1.0 */
export const ejectionsEnforced = counter<Target | "grpc.lb.outlier_detection.detection_method">(
  "grpc.lb.outlier_detection.ejections_enforced",
  "{ejection}",
  "Peers that outlier detection has taken out"
)
/** Outliers that were let be. @category balancing @since 0.1.0 */
export const ejectionsUnenforced = counter<
  Target | "grpc.lb.outlier_detection.detection_method" | "grpc.lb.outlier_detection.unenforced_reason"
>("grpc.lb.outlier_detection.ejections_unenforced", "{ejection}", "Outliers that were let be")

// ---------------------------------------------------------------------------------------------------------------------
// What gRPC has no name for
// ---------------------------------------------------------------------------------------------------------------------

/** Peers by their state. @category pools @since 0.1.0 */
export const peers = gauge<Target | "trunkline.state">("trunkline.pool.peers", "{peer}", "Peers by their state")
/** Attempts under way. @category pools @since 0.1.0 */
export const pending = gauge<Target>("trunkline.pool.pending", "{attempt}", "Attempts under way")
/** Pickers made. @category pools @since 0.1.0 */
export const pickerRebuilds = counter<Target>("trunkline.pool.picker_rebuilds", "{picker}", "Pickers made")
/** Attempts sent to a peer whatever signals said of it. @category pools @since 0.1.0 */
export const panicked = counter<Target>(
  "trunkline.pool.panicked",
  "{attempt}",
  "Attempts sent to a peer whatever signals said of it"
)
/** Attempts that were the one call of a peer on probation. @category pools @since 0.1.0 */
export const probes = counter<Target>(
  "trunkline.pool.probes",
  "{attempt}",
  "Attempts that were the one call of a peer on probation"
)
/** Times that a peer was found to be failing and given no more calls. @category pools @since 0.1.0 */
export const breakerTrips = counter<Target | "trunkline.reason">(
  "trunkline.breaker.trips",
  "{trip}",
  "Times that a peer was found to be failing and given no more calls"
)
/** Times that a multi-endpoint changed where its calls go. @category pools @since 0.1.0 */
export const switches = counter<"trunkline.multi_endpoint" | "trunkline.reason">(
  "trunkline.multi_endpoint.switches",
  "{switch}",
  "Times that a multi-endpoint changed where its calls go"
)
/** Whether a multi-endpoint sends its calls to an endpoint: 1 or 0. @category pools @since 0.1.0 */
export const currentEndpoint = gauge<"trunkline.multi_endpoint" | "trunkline.endpoint">(
  "trunkline.multi_endpoint.current",
  "{endpoint}",
  "Whether a multi-endpoint sends its calls to an endpoint"
)
/** Endpoints of a multi-endpoint by their state. @category pools @since 0.1.0 */
export const endpointStates = gauge<"trunkline.multi_endpoint" | "trunkline.endpoint" | "trunkline.state">(
  "trunkline.multi_endpoint.endpoints",
  "{endpoint}",
  "Endpoints of a multi-endpoint by their state"
)
/** Keys of sessions that are bound to a peer. @category pools @since 0.1.0 */
export const boundKeys = gauge<Target>("trunkline.pool.keys", "{key}", "Keys of sessions that are bound to a peer")
/** Attempts of sessions that went to another peer because theirs was not ready. @category pools @since 0.1.0 */
export const keyFallbacks = counter<Target>(
  "trunkline.pool.key_fallbacks",
  "{attempt}",
  "Attempts of sessions that went to another peer because theirs was not ready"
)

/** What is left of a retry budget. @category budgets @since 0.1.0 */
export const budgetBalance = gauge<"trunkline.client">(
  "trunkline.retry_budget.balance",
  "{retry}",
  "What is left of a retry budget"
)
/** Retries and hedges a budget has allowed. @category budgets @since 0.1.0 */
export const budgetWithdrawals = counter<"trunkline.client">(
  "trunkline.retry_budget.withdrawals",
  "{attempt}",
  "Retries and hedges a budget has allowed"
)
/** Retries and hedges a budget has refused. @category budgets @since 0.1.0 */
export const budgetExhaustions = counter<"trunkline.client">(
  "trunkline.retry_budget.exhaustions",
  "{attempt}",
  "Retries and hedges a budget has refused"
)
