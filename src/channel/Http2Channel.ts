/**
 * The backends of a target over HTTP/2, in one line.
 *
 * The parts are a target (which backends there are), `Balancer` (which of them takes a call) and `Http2Connector` (how they
 * are reached). This is their sum with the defaults of each; a program that needs more of one writes the sum.
 */
import { Layer } from "effect"
import * as Balancer from "../balancer/Balancer.ts"
import type { PeerPool } from "../balancer/PeerPool.ts"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import type { CredentialsError } from "../http2/CertificateProvider.ts"
import * as Http2Connector from "../http2/Http2Connector.ts"
import type { Transport } from "../transport/Transport.ts"

/**
 * How to connect, and how to balance.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Http2Connector.Options, Omit<Balancer.Options, "discovery"> {}

/**
 * Provides the transport of clients, and the pool behind it: the backends of a target, balanced, over HTTP/2.
 *
 * @example
 * import { Layer, Schema } from "effect"
 * import { Client, Service } from "trunkline"
 * import { Http2Channel } from "trunkline/http2"
 *
 * const EchoService = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * class Echo extends Client.Service<Echo>()("app/Echo", EchoService) {}
 *
 * const EchoLive = Echo.layer.pipe(Layer.provide(Http2Channel.layer("echo:50051")))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  target: string,
  options?: Options
): Layer.Layer<Transport | PeerPool, DiscoveryError | CredentialsError> =>
  Layer.provide(Balancer.layer({ ...options, discovery: target }), Http2Connector.layer(options))
