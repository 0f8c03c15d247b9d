/**
 * gRPC over @grpc/grpc-js: clients and servers.
 */

// Calling.
export * as GrpcJsChannel from "../channel/GrpcJsChannel.ts"
export * as GrpcJsConnector from "./GrpcJsConnector.ts"

// Serving.
export * as GrpcJsServer from "./GrpcJsServer.ts"
