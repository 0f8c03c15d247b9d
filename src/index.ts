/**
 * Functional RPC for TypeScript: gRPC calls as Effect values over load-balanced, self-healing peers.
 */

// How a call can end.
export * as Code from "./status/Code.ts"
export * as ErrorDetails from "./status/ErrorDetails.ts"
export * as Outcome from "./status/Outcome.ts"
export * as RpcError from "./status/RpcError.ts"

// What a call is.
export * as Call from "./call/Call.ts"
export * as CallCredentials from "./call/CallCredentials.ts"
export * as CallLogger from "./call/CallLogger.ts"
export * as CallOptions from "./call/CallOptions.ts"
export * as Compression from "./call/Compression.ts"
export * as ConcurrencyLimit from "./call/ConcurrencyLimit.ts"
export * as Deadline from "./call/Deadline.ts"
export * as DeclaredError from "./call/DeclaredError.ts"
export * as DefaultMetadata from "./call/DefaultMetadata.ts"
export * as Interceptor from "./call/Interceptor.ts"
export * as Metadata from "./call/Metadata.ts"
export * as MetadataKey from "./call/MetadataKey.ts"
export * as Method from "./call/Method.ts"
export * as Service from "./call/Service.ts"
export * as Validation from "./call/Validation.ts"

// Calling and serving.
export * as Client from "./client/Client.ts"
export * as Operation from "./client/Operation.ts"
export * as Paging from "./client/Paging.ts"
export * as ErrorMapper from "./server/ErrorMapper.ts"
export * as Handlers from "./server/Handlers.ts"
export * as Server from "./server/Server.ts"
export * as ServerCall from "./server/ServerCall.ts"

// The standard services.
export * as Health from "./services/Health.ts"
export * as LoadReport from "./services/LoadReport.ts"
export * as Reflection from "./services/Reflection.ts"
export * as ServerLoad from "./services/ServerLoad.ts"

// Whether and when to try again.
export * as Backoff from "./retry/Backoff.ts"
export * as GapicConfig from "./retry/GapicConfig.ts"
export * as Hedge from "./retry/Hedge.ts"
export * as HttpStatus from "./retry/HttpStatus.ts"
export * as Jitter from "./retry/Jitter.ts"
export * as MethodPolicy from "./retry/MethodPolicy.ts"
export * as Pushback from "./retry/Pushback.ts"
export * as Replay from "./retry/Replay.ts"
export * as Resume from "./retry/Resume.ts"
export * as Retry from "./retry/Retry.ts"
export * as RetryBudget from "./retry/RetryBudget.ts"
export * as ServiceConfig from "./retry/ServiceConfig.ts"

// Seeing it.
export * as Instruments from "./observe/Instruments.ts"
export * as Metrics from "./observe/Metrics.ts"
export * as RequestId from "./observe/RequestId.ts"
export * as Sampled from "./observe/Sampled.ts"
export * as TraceContext from "./observe/TraceContext.ts"
export * as Tracing from "./observe/Tracing.ts"

// Which endpoints exist now.
export * as Discovery from "./discovery/Discovery.ts"
export * as DnsDiscovery from "./discovery/DnsDiscovery.ts"
export * as Endpoint from "./discovery/Endpoint.ts"
export * as NodeDns from "./discovery/NodeDns.ts"
export * as StaticDiscovery from "./discovery/StaticDiscovery.ts"

// What carries a call.
export * as Connectivity from "./transport/Connectivity.ts"
export * as Connector from "./transport/Connector.ts"
export * as Transport from "./transport/Transport.ts"
export * as Watched from "./transport/Watched.ts"

// One backend and all that is known of it.
export * as FailureAccrual from "./peer/FailureAccrual.ts"
export * as OutlierDetection from "./peer/OutlierDetection.ts"
export * as Peer from "./peer/Peer.ts"
export * as PeerRegistry from "./peer/PeerRegistry.ts"
export * as PeerStats from "./peer/PeerStats.ts"
export * as PeerStatus from "./peer/PeerStatus.ts"
export * as Signal from "./peer/Signal.ts"
export * as SlowStart from "./peer/SlowStart.ts"
export * as Verdict from "./peer/Verdict.ts"

// Which peer takes this call.
export * as LeastPending from "./picker/LeastPending.ts"
export * as Locality from "./picker/Locality.ts"
export * as Panic from "./picker/Panic.ts"
export * as PeakEwma from "./picker/PeakEwma.ts"
export * as PendingLoad from "./picker/PendingLoad.ts"
export * as PickFirst from "./picker/PickFirst.ts"
export * as Picker from "./picker/Picker.ts"
export * as PowerOfTwo from "./picker/PowerOfTwo.ts"
export * as Priority from "./picker/Priority.ts"
export * as Random from "./picker/Random.ts"
export * as RoundRobin from "./picker/RoundRobin.ts"
export * as Subset from "./picker/Subset.ts"

// Peers and a picker: a transport.
export * as Balancer from "./pool/Balancer.ts"
export * as NoPeerReady from "./pool/NoPeerReady.ts"
export * as PeerLogger from "./pool/PeerLogger.ts"
export * as PeerPool from "./pool/PeerPool.ts"
export * as PoolClosed from "./pool/PoolClosed.ts"
export * as PoolMetrics from "./pool/PoolMetrics.ts"
export * as PoolStats from "./pool/PoolStats.ts"

// The wire.
export * as GrpcJsConnector from "./grpcjs/GrpcJsConnector.ts"
export * as GrpcJsServer from "./grpcjs/GrpcJsServer.ts"
export * as Http2Connector from "./http2/Http2Connector.ts"
export * as Http2Server from "./http2/Http2Server.ts"
export * as Rotation from "./http2/Rotation.ts"
export * as TlsFiles from "./http2/TlsFiles.ts"
