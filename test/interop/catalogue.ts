/** The names of the interop cases: those our client has. */

/** In the order of the public description. */
export const caseNames = [
  "empty_unary",
  "large_unary",
  "very_large_request",
  "client_compressed_unary",
  "client_compressed_unary_noprobe",
  "server_compressed_unary",
  "client_streaming",
  "client_compressed_streaming",
  "client_compressed_streaming_noprobe",
  "server_streaming",
  "server_compressed_streaming",
  "ping_pong",
  "empty_stream",
  "custom_metadata",
  "status_code_and_message",
  "special_status_message",
  "unimplemented_method",
  "unimplemented_service",
  "cancel_after_begin",
  "cancel_after_first_response",
  "timeout_on_sleeping_server",
  "concurrent_large_unary",
  "pick_first_unary",
  "rpc_soak",
  "channel_soak",
  "orca_per_rpc",
  "orca_oob",
  "max_concurrent_streams_connection_scaling"
] as const

export type CaseName = (typeof caseNames)[number]
