/**
 * Functional RPC for TypeScript: gRPC calls as Effect values over load-balanced, self-healing backends.
 *
 * This is what an application names. The wires are `trunkline/http2` and `trunkline/grpc-js`; what pickers, signals, discoveries
 * and connectors are made of is `trunkline/extend`.
 */

// How a call can end.
export * as Code from "./status/Code.ts"
export * as ErrorDetails from "./status/ErrorDetails.ts"
export * as RpcError from "./status/RpcError.ts"

// What a call is.
export * as CallCredentials from "./call/CallCredentials.ts"
export * as CallOptions from "./call/CallOptions.ts"
export * as Compression from "./call/Compression.ts"
export * as Deadline from "./call/Deadline.ts"
export * as DeclaredError from "./call/DeclaredError.ts"
export * as DefaultMetadata from "./call/DefaultMetadata.ts"
export * as Interceptor from "./call/Interceptor.ts"
export * as Metadata from "./call/Metadata.ts"
export * as MetadataKey from "./call/MetadataKey.ts"
export * as Method from "./call/Method.ts"
export * as Service from "./call/Service.ts"

// What stands in front of calls.
export * as CallLogger from "./interceptors/CallLogger.ts"
export * as ConcurrencyLimit from "./interceptors/ConcurrencyLimit.ts"
export * as ErrorMapper from "./interceptors/ErrorMapper.ts"
export * as RequestId from "./interceptors/RequestId.ts"
export * as Validation from "./interceptors/Validation.ts"

// Calling and serving.
export * as Client from "./client/Client.ts"
export * as Handlers from "./server/Handlers.ts"
export * as HttpProxy from "./transport/HttpProxy.ts"
export * as Server from "./server/Server.ts"
export * as ServerCall from "./server/ServerCall.ts"
export * as ServerLimits from "./server/ServerLimits.ts"
export * as Tls from "./transport/Tls.ts"
export * as Transport from "./transport/Transport.ts"

// The standard services.
export * as Health from "./services/Health.ts"
export * as LoadReport from "./services/LoadReport.ts"
export * as ReflectedMethod from "./services/ReflectedMethod.ts"
export * as Reflection from "./services/Reflection.ts"
export * as ReportedLoad from "./services/ReportedLoad.ts"
export * as ServerLoad from "./services/ServerLoad.ts"

// Whether and when to try again.
export * as Backoff from "./retry/Backoff.ts"
export * as Hedge from "./retry/Hedge.ts"
export * as MethodPolicy from "./policy/MethodPolicy.ts"
export * as Pushback from "./retry/Pushback.ts"
export * as Resume from "./attempts/Resume.ts"
export * as Retry from "./retry/Retry.ts"
export * as RetryBudget from "./retry/RetryBudget.ts"
export * as RetryBuffer from "./attempts/RetryBuffer.ts"
export * as ServiceConfig from "./policy/ServiceConfig.ts"

// Which backends exist.
export * as DnsDiscovery from "./discovery/DnsDiscovery.ts"
export * as Endpoint from "./discovery/Endpoint.ts"
export * as EndpointList from "./discovery/EndpointList.ts"
export * as StaticDiscovery from "./discovery/StaticDiscovery.ts"
export * as Target from "./discovery/Target.ts"

// Which backend takes a call.
export * as ExcludeTried from "./picker/combinators/ExcludeTried.ts"
export * as HashKey from "./picker/hash/HashKey.ts"
export * as LeastPending from "./picker/LeastPending.ts"
export * as Locality from "./picker/combinators/Locality.ts"
export * as Maglev from "./picker/Maglev.ts"
export * as Panic from "./picker/combinators/Panic.ts"
export * as PeakEwma from "./picker/PeakEwma.ts"
export * as PendingLoad from "./picker/PendingLoad.ts"
export * as PickFirst from "./picker/PickFirst.ts"
export * as PowerOfTwo from "./picker/PowerOfTwo.ts"
export * as Priority from "./picker/combinators/Priority.ts"
export * as Random from "./picker/Random.ts"
export * as Rendezvous from "./picker/Rendezvous.ts"
export * as RingHash from "./picker/RingHash.ts"
export * as RoundRobin from "./picker/RoundRobin.ts"
export * as RoutePicker from "./picker/RoutePicker.ts"
export * as Sticky from "./picker/combinators/Sticky.ts"
export * as Subset from "./picker/combinators/Subset.ts"
export * as Weighted from "./picker/Weighted.ts"

// What speaks against a backend.
export * as FailureAccrual from "./signals/FailureAccrual.ts"
export * as OutlierDetection from "./signals/OutlierDetection.ts"
export * as SlowStart from "./signals/SlowStart.ts"

// Backends as one transport.
export * as Affinity from "./affinity/Affinity.ts"
export * as Balancer from "./balancer/Balancer.ts"
export * as ChannelPool from "./channelpool/ChannelPool.ts"
export * as MultiEndpoint from "./multiendpoint/MultiEndpoint.ts"
export * as MultiEndpointConfig from "./multiendpoint/MultiEndpointConfig.ts"
export * as PickError from "./picker/PickError.ts"

// Seeing it.
export * as Introspection from "./introspection/Introspection.ts"
export * as Metrics from "./telemetry/Metrics.ts"
export * as PeerLogger from "./balancer/PeerLogger.ts"
export * as TraceContext from "./telemetry/TraceContext.ts"
export * as Tracing from "./telemetry/Tracing.ts"
