/**
 * Peers shared by the pools that want them.
 *
 * A peer exists while somebody holds it: the first `retain` makes it, the last release closes it, after a time to live
 * if the registry has one. Two pools over one registry share a backend's connection and what is known of it; two
 * registries share nothing.
 */
import { Config, Context, type Duration, Effect, Layer, RcMap, type Scope } from "effect"
import * as Endpoint from "../discovery/Endpoint.ts"
import type { Connector } from "../transport/Connector.ts"
import * as Peer from "./Peer.ts"

/**
 * A registry's options: how its peers connect, and how long an unheld peer is kept (default: not at all).
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Peer.Options {
  readonly idleTimeToLive?: Duration.Input | undefined
}

/**
 * Shares peers by endpoint. `retain` holds a peer until the scope closes.
 *
 * @category services
 * @since 0.1.0
 */
export class PeerRegistry extends Context.Service<
  PeerRegistry,
  {
    readonly retain: (endpoint: Endpoint.Endpoint) => Effect.Effect<Peer.Peer, never, Scope.Scope>
  }
>()("trunkline/peer/PeerRegistry") {}

/**
 * Makes a registry. Endpoints are the same peer when their id, address and authority are equal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options?: Options
): Effect.fn.Return<PeerRegistry["Service"], never, Connector | Scope.Scope> {
  const peers = yield* RcMap.make({
    lookup: (endpoint: Endpoint.Endpoint) => Peer.make(endpoint, options),
    idleTimeToLive: options?.idleTimeToLive
  })
  // What discovery says of a backend may change; which connection it is does not depend on it.
  const key = ({ address, authority, id }: Endpoint.Endpoint) => ({ ...Endpoint.make(address, { authority }), id })
  return PeerRegistry.of({ retain: (endpoint) => RcMap.get(peers, key(endpoint)) })
})

/**
 * A registry for every pool below it, so that they share peers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<PeerRegistry, never, Connector> =>
  Layer.effect(PeerRegistry, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<PeerRegistry, Config.ConfigError, Connector> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
