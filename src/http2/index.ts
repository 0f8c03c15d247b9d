/**
 * gRPC straight on HTTP/2: clients and servers.
 */

// Calling.
export * as Http2Channel from "../channel/Http2Channel.ts"
export * as Http2Connector from "./Http2Connector.ts"

// Serving.
export * as Http2Server from "./Http2Server.ts"

// Keys and certificates that change.
export * as TlsFiles from "./TlsFiles.ts"
