/**
 * The names of everything that is measured, what it is measured in, and the labels it has.
 *
 * Names are gRPC's where it has one (A66 for calls, A96 for retries, A94 for connections, A78 and A91 for balancing) and
 * ours where it has none, under `trunkline.`. Labels are bounded: methods of a service, status codes, targets, states. An
 * instrument is a function of its labels and a plain `Metric` then, so whoever has a number to report updates it, or has it
 * observed (`ObservableMetric`).
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

/** Attempts started. @category client @since 0.1.0 */
export const attemptStarted = counter<Sent>("grpc.client.attempt.started", "{attempt}", "Attempts started")
/** Duration of attempts, including the wait for a peer. @category client @since 0.1.0 */
export const attemptDuration = histogram<Ended>(
  "grpc.client.attempt.duration",
  "s",
  "Duration of attempts, including the wait for a peer",
  latencies
)
/** Compressed request bytes per attempt. @category client @since 0.1.0 */
export const attemptSent = histogram<Ended>(
  "grpc.client.attempt.sent_total_compressed_message_size",
  "By",
  "Compressed request bytes per attempt",
  sizes
)
/** Compressed response bytes per attempt. @category client @since 0.1.0 */
export const attemptReceived = histogram<Ended>(
  "grpc.client.attempt.rcvd_total_compressed_message_size",
  "By",
  "Compressed response bytes per attempt",
  sizes
)
/** Duration of calls, including retries and waits. @category client @since 0.1.0 */
export const callDuration = histogram<Ended>(
  "grpc.client.call.duration",
  "s",
  "Duration of calls, including retries and waits",
  latencies
)
/** Retries per call, of calls that were retried. @category client @since 0.1.0 */
export const callRetries = histogram<Sent>(
  "grpc.client.call.retries",
  "{retry}",
  "Retries per call, of calls that were retried",
  few
)
/** Transparent retries per call, of calls that had any. @category client @since 0.1.0 */
export const callTransparentRetries = histogram<Sent>(
  "grpc.client.call.transparent_retries",
  "{transparent_retry}",
  "Transparent retries per call, of calls that had any",
  [...few, 10]
)
/** Hedges per call, of calls that were hedged. @category client @since 0.1.0 */
export const callHedges = histogram<Sent>(
  "grpc.client.call.hedges",
  "{hedge}",
  "Hedges per call, of calls that were hedged",
  few
)
/** Time without an active attempt, of calls with several attempts. @category client @since 0.1.0 */
export const callRetryDelay = histogram<Sent>(
  "grpc.client.call.retry_delay",
  "s",
  "Time without an active attempt, of calls with several attempts",
  latencies
)

// ---------------------------------------------------------------------------------------------------------------------
// Calls of servers
// ---------------------------------------------------------------------------------------------------------------------

/** Calls started. @category server @since 0.1.0 */
export const servedStarted = counter<Served>("grpc.server.call.started", "{call}", "Calls started")
/** Duration of served calls. @category server @since 0.1.0 */
export const servedDuration = histogram<Answered>(
  "grpc.server.call.duration",
  "s",
  "Duration of served calls",
  latencies
)
/** Compressed response bytes per call. @category server @since 0.1.0 */
export const servedSent = histogram<Answered>(
  "grpc.server.call.sent_total_compressed_message_size",
  "By",
  "Compressed response bytes per call",
  sizes
)
/** Compressed request bytes per call. @category server @since 0.1.0 */
export const servedReceived = histogram<Answered>(
  "grpc.server.call.rcvd_total_compressed_message_size",
  "By",
  "Compressed request bytes per call",
  sizes
)

// ---------------------------------------------------------------------------------------------------------------------
// Connections and balancing
// ---------------------------------------------------------------------------------------------------------------------

/** Ready connections that were lost or closed. @category balancing @since 0.1.0 */
export const disconnections = counter<Target | "grpc.disconnect_error">(
  "grpc.subchannel.disconnections",
  "{disconnection}",
  "Ready connections that were lost or closed"
)
/** Connection attempts that succeeded. @category balancing @since 0.1.0 */
export const connectsSucceeded = counter<Target>(
  "grpc.subchannel.connection_attempts_succeeded",
  "{attempt}",
  "Connection attempts that succeeded"
)
/** Connection attempts that failed. @category balancing @since 0.1.0 */
export const connectsFailed = counter<Target>(
  "grpc.subchannel.connection_attempts_failed",
  "{attempt}",
  "Connection attempts that failed"
)
/** Peers with a ready connection. @category balancing @since 0.1.0 */
export const openConnections = gauge<Target>(
  "grpc.subchannel.open_connections",
  "{connection}",
  "Peers with a ready connection"
)
/** Pickers that fell back to round robin for lack of weights. @category balancing @since 0.1.0 */
export const roundRobinFallbacks = counter<Target>(
  "grpc.lb.wrr.rr_fallback",
  "{update}",
  "Pickers that fell back to round robin for lack of weights"
)
/** Endpoints without a usable weight, per picker update. @category balancing @since 0.1.0 */
export const weightsNotYetUsable = counter<Target>(
  "grpc.lb.wrr.endpoint_weight_not_yet_usable",
  "{endpoint}",
  "Endpoints without a usable weight, per picker update"
)
/** Endpoints with an expired weight, per picker update. @category balancing @since 0.1.0 */
export const weightsStale = counter<Target>(
  "grpc.lb.wrr.endpoint_weight_stale",
  "{endpoint}",
  "Endpoints with an expired weight, per picker update"
)
/** Endpoint weights, per picker update. @category balancing @since 0.1.0 */
export const weights = histogram<Target>(
  "grpc.lb.wrr.endpoint_weights",
  "{weight}",
  "Endpoint weights, per picker update",
  [0, 1, 10, 100, 1000, 10_000, 100_000]
)
/** Outlier ejections enforced. @category balancing @since 0.1.0 */
export const ejectionsEnforced = counter<Target | "grpc.lb.outlier_detection.detection_method">(
  "grpc.lb.outlier_detection.ejections_enforced",
  "{ejection}",
  "Outlier ejections enforced"
)
/** Outlier ejections not enforced. @category balancing @since 0.1.0 */
export const ejectionsUnenforced = counter<
  Target | "grpc.lb.outlier_detection.detection_method" | "grpc.lb.outlier_detection.unenforced_reason"
>("grpc.lb.outlier_detection.ejections_unenforced", "{ejection}", "Outlier ejections not enforced")

// ---------------------------------------------------------------------------------------------------------------------
// What gRPC has no name for
// ---------------------------------------------------------------------------------------------------------------------

/** Peers by state. @category pools @since 0.1.0 */
export const peers = gauge<Target | "trunkline.state">("trunkline.pool.peers", "{peer}", "Peers by state")
/** Active attempts. @category pools @since 0.1.0 */
export const pending = gauge<Target>("trunkline.pool.pending", "{attempt}", "Active attempts")
/** Pickers built. @category pools @since 0.1.0 */
export const pickerRebuilds = counter<Target>("trunkline.pool.picker_rebuilds", "{picker}", "Pickers built")
/** Attempts sent in panic mode, ignoring the health of peers. @category pools @since 0.1.0 */
export const panicked = counter<Target>(
  "trunkline.pool.panicked",
  "{attempt}",
  "Attempts sent in panic mode, ignoring the health of peers"
)
/** Attempts sent as probes to peers on probation. @category pools @since 0.1.0 */
export const probes = counter<Target>(
  "trunkline.pool.probes",
  "{attempt}",
  "Attempts sent as probes to peers on probation"
)
/** Circuit breaker trips. @category pools @since 0.1.0 */
export const breakerTrips = counter<Target | "trunkline.reason">(
  "trunkline.breaker.trips",
  "{trip}",
  "Circuit breaker trips"
)
/** Switches of the current endpoint of a multi-endpoint. @category pools @since 0.1.0 */
export const switches = counter<"trunkline.multi_endpoint" | "trunkline.reason">(
  "trunkline.multi_endpoint.switches",
  "{switch}",
  "Switches of the current endpoint of a multi-endpoint"
)
/** Whether an endpoint is the current one of a multi-endpoint: 1 or 0. @category pools @since 0.1.0 */
export const currentEndpoint = gauge<"trunkline.multi_endpoint" | "trunkline.endpoint">(
  "trunkline.multi_endpoint.current",
  "{endpoint}",
  "Whether an endpoint is the current one of a multi-endpoint"
)
/** Endpoints of a multi-endpoint by state. @category pools @since 0.1.0 */
export const endpointStates = gauge<"trunkline.multi_endpoint" | "trunkline.endpoint" | "trunkline.state">(
  "trunkline.multi_endpoint.endpoints",
  "{endpoint}",
  "Endpoints of a multi-endpoint by state"
)
/** Affinity keys bound to a peer. @category pools @since 0.1.0 */
export const boundKeys = gauge<Target>("trunkline.pool.keys", "{key}", "Affinity keys bound to a peer")
/** Attempts with an affinity key sent to another peer because the bound one was not ready. @category pools @since 0.1.0 */
export const keyFallbacks = counter<Target>(
  "trunkline.pool.key_fallbacks",
  "{attempt}",
  "Attempts with an affinity key sent to another peer because the bound one was not ready"
)

/** Balance of a retry budget. @category budgets @since 0.1.0 */
export const budgetBalance = gauge<"trunkline.client">(
  "trunkline.retry_budget.balance",
  "{retry}",
  "Balance of a retry budget"
)
/** Retries and hedges allowed by a retry budget. @category budgets @since 0.1.0 */
export const budgetWithdrawals = counter<"trunkline.client">(
  "trunkline.retry_budget.withdrawals",
  "{attempt}",
  "Retries and hedges allowed by a retry budget"
)
/** Retries and hedges refused by a retry budget. @category budgets @since 0.1.0 */
export const budgetExhaustions = counter<"trunkline.client">(
  "trunkline.retry_budget.exhaustions",
  "{attempt}",
  "Retries and hedges refused by a retry budget"
)
