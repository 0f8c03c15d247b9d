/** The adapters for real sockets, which every socket test runs on. */
import type { Effect, Layer, Scope } from "effect"
import type { Server } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"
import { Http2Connector, Http2Server } from "trunkline/http2"
import type { Connector, CertificateProvider } from "trunkline/extend"

/** Options that every adapter understands. */
export interface ServerOptions extends GrpcJsServer.Options<never> {}
export interface ConnectorOptions extends Omit<GrpcJsConnector.Options, "channelOptions"> {}

export interface Adapter {
  readonly name: string
  readonly connector: (
    options?: ConnectorOptions
  ) => Layer.Layer<Connector.Connector, CertificateProvider.CredentialsError>
  readonly serve: (
    options: ServerOptions
  ) => Effect.Effect<Server.Server["Service"], Server.BindError | Server.MethodCollision, Scope.Scope>
}

export const adapters: ReadonlyArray<Adapter> = [
  { name: "grpc-js", connector: GrpcJsConnector.layer, serve: (options) => GrpcJsServer.make(options) },
  { name: "HTTP/2", connector: Http2Connector.layer, serve: (options) => Http2Server.make(options) }
]
