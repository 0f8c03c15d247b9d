/** The interop cases, as calls of our client. */
import type { Effect } from "effect"
import type { RpcError } from "trunkline"
import type { Discovery } from "trunkline/extend"
import * as Compression from "./cases/compression.ts"
import * as GiveUp from "./cases/giveUp.ts"
import * as Load from "./cases/load.ts"
import * as Metadata from "./cases/metadata.ts"
import * as Scaling from "./cases/scaling.ts"
import * as Soak from "./cases/soak.ts"
import * as Status from "./cases/status.ts"
import * as Streaming from "./cases/streaming.ts"
import * as Unary from "./cases/unary.ts"
import type { CaseName } from "./catalogue.ts"
import type { Mismatch } from "./expect.ts"
import type { Peer } from "./Peer.ts"

/** Succeeds when the case holds. */
export type Case = (peer: Peer) => Effect.Effect<unknown, Mismatch | RpcError.RpcError | Discovery.DiscoveryError>

export const cases: Readonly<Record<CaseName, Case>> = {
  empty_unary: Unary.emptyUnary,
  large_unary: Unary.largeUnary,
  very_large_request: Unary.veryLargeRequest,
  client_compressed_unary: Compression.clientCompressedUnary,
  client_compressed_unary_noprobe: Compression.clientCompressedUnaryNoProbe,
  server_compressed_unary: Compression.serverCompressedUnary,
  client_streaming: Streaming.clientStreaming,
  client_compressed_streaming: Compression.clientCompressedStreaming,
  client_compressed_streaming_noprobe: Compression.clientCompressedStreamingNoProbe,
  server_streaming: Streaming.serverStreaming,
  server_compressed_streaming: Compression.serverCompressedStreaming,
  ping_pong: Streaming.pingPong,
  empty_stream: Streaming.emptyStream,
  custom_metadata: Metadata.customMetadata,
  status_code_and_message: Status.statusCodeAndMessage,
  special_status_message: Status.specialStatusMessage,
  unimplemented_method: Status.unimplementedMethod,
  unimplemented_service: Status.unimplementedService,
  cancel_after_begin: GiveUp.cancelAfterBegin,
  cancel_after_first_response: GiveUp.cancelAfterFirstResponse,
  timeout_on_sleeping_server: GiveUp.timeoutOnSleepingServer,
  concurrent_large_unary: Unary.concurrentLargeUnary,
  pick_first_unary: Unary.pickFirstUnary,
  rpc_soak: Soak.rpcSoak,
  channel_soak: Soak.channelSoak,
  orca_per_rpc: Load.orcaPerRpc,
  orca_oob: Load.orcaOob,
  max_concurrent_streams_connection_scaling: Scaling.connectionScaling
}
