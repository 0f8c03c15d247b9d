/** What a party cannot do, by case, with the footnote that says why. */
import type { CaseName } from "./catalogue.ts"

type Limits = Readonly<Partial<Record<CaseName, string>>>

const probed = {
  client_compressed_unary: "grpc-js compression",
  client_compressed_streaming: "grpc-js compression"
} satisfies Limits

const answered = {
  server_compressed_unary: "grpc-js compression",
  server_compressed_streaming: "grpc-js compression"
} satisfies Limits

/** More connections than one to a backend, and a server that says over which of them a call came. */
const scaled = { max_concurrent_streams_connection_scaling: "scaling" } satisfies Limits

/** Our connector and our server on grpc-js. */
export const onGrpcJs = {
  ...scaled,
  ...probed,
  ...answered,
  client_compressed_unary_noprobe: "grpc-js compression",
  client_compressed_streaming_noprobe: "grpc-js compression"
} satisfies Limits

/** grpc-js's own client. */
export const grpcJsClient = {
  ...onGrpcJs,
  orca_per_rpc: "grpc-js reports",
  orca_oob: "grpc-js reports"
} satisfies Limits

/** grpc-js's own server. */
export const grpcJsServer = { ...scaled, ...probed, ...answered, orca_oob: "grpc-js memory" } satisfies Limits

export const rubyServer = {
  ...scaled,
  very_large_request: "ruby limit",
  client_compressed_unary: "ruby compression",
  client_compressed_streaming: "ruby compression",
  server_compressed_unary: "ruby compression",
  server_compressed_streaming: "ruby compression",
  concurrent_large_unary: "ruby threads",
  pick_first_unary: "ruby id",
  orca_per_rpc: "ruby reports",
  orca_oob: "ruby reports"
} satisfies Limits
