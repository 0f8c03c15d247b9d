/**
 * What trunkline is extended with: for a picker, a signal, a discovery or a connector of your own, and for the types that public
 * declarations show.
 */

// Connectors: what opens connections.
export * as Connectivity from "./transport/Connectivity.ts"
export * as Connector from "./transport/Connector.ts"
export * as Disconnect from "./transport/Disconnect.ts"
export * as CertificateProvider from "./http2/CertificateProvider.ts"

// Discoveries: which endpoints exist.
export * as Discovery from "./discovery/Discovery.ts"
export * as NodeDns from "./discovery/NodeDns.ts"

// Pickers: which peer takes a call.
export * as Picker from "./picker/Picker.ts"
export * as PeerPool from "./balancer/PeerPool.ts"
export * as Weights from "./picker/Weights.ts"
export * as Hash64 from "./picker/hash/Hash64.ts"

// Signals: what speaks against a peer.
export * as Signal from "./signals/Signal.ts"
export * as HealthVerdict from "./signals/HealthVerdict.ts"
export * as MetricsRecorder from "./signals/MetricsRecorder.ts"

// Peers: one backend and all that is known of it.
export * as Peer from "./peer/Peer.ts"
export * as PeerRegistry from "./peer/PeerRegistry.ts"
export * as PeerStats from "./peer/PeerStats.ts"
export * as PeerStatus from "./peer/PeerStatus.ts"

// Calls, and what their ends mean.
export * as Call from "./call/Call.ts"
export * as CallObserver from "./call/CallObserver.ts"
export * as HttpStatus from "./retry/HttpStatus.ts"
export * as Jitter from "./retry/Jitter.ts"
export * as MetadataLimit from "./call/MetadataLimit.ts"
export * as Outcome from "./status/Outcome.ts"
export * as RetryAfter from "./status/RetryAfter.ts"

// Values that are watched, numbers that are read.
export * as StateRef from "./transport/StateRef.ts"
export * as Snapshot from "./introspection/Snapshot.ts"
export * as PoolMetrics from "./balancer/PoolMetrics.ts"
export * as PoolStats from "./balancer/PoolStats.ts"
export * as MetricDefinitions from "./telemetry/MetricDefinitions.ts"
export * as ObservableMetric from "./telemetry/ObservableMetric.ts"
export * as ChannelPoolMetricDefinitions from "./channelpool/ChannelPoolMetricDefinitions.ts"
