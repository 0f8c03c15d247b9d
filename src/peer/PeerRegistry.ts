/**
 * Peers shared by the pools that want them.
 *
 * A peer exists while somebody holds it: the first `retain` makes it, the last release closes it, after a time to live
 * if the registry has one. Two pools over one registry share a backend's connection and what is known of it, if they
 * connect to it in the same way: with one connector, which has the credentials, and the same options. Two registries share
 * nothing.
 *
 * A release waits for nobody. The calls still on a peer that is released end in the background, within its drain timeout,
 * and the registry's own scope closes when the last of them has.
 */
import { Config, Context, Duration, Effect, Equal, type Exit, Fiber, Hash, Layer, RcMap, Scope } from "effect"
import * as Endpoint from "../discovery/Endpoint.ts"
import { Connector } from "../transport/Connector.ts"
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
 * Shares peers by endpoint, connector and options. `retain` holds a peer until the scope closes; what its options leave
 * out is as the registry's options say.
 *
 * @category services
 * @since 0.1.0
 */
export class PeerRegistry extends Context.Service<
  PeerRegistry,
  {
    readonly retain: (
      endpoint: Endpoint.Endpoint,
      options?: Peer.Options
    ) => Effect.Effect<Peer.Peer, never, Connector | Scope.Scope>
  }
>()("trunkline/peer/PeerRegistry") {}

/** Objects by a number each, so that what they are part of can be compared as text. */
const numbering = () => {
  const numbers = new WeakMap<object, number>()
  let last = 0
  return (object: object | undefined): number => {
    if (object === undefined) return 0
    const number = numbers.get(object) ?? ++last
    numbers.set(object, number)
    return number
  }
}

/** What makes a peer that one and no other. */
class Key implements Equal.Equal {
  readonly text: string
  readonly endpoint: Endpoint.Endpoint
  readonly connector: Connector["Service"]
  readonly options: Peer.Options

  constructor(text: string, endpoint: Endpoint.Endpoint, connector: Connector["Service"], options: Peer.Options) {
    this.text = text
    this.endpoint = endpoint
    this.connector = connector
    this.options = options
  }

  [Equal.symbol](that: Equal.Equal): boolean {
    return that instanceof Key && that.text === this.text
  }

  [Hash.symbol](): number {
    return Hash.string(this.text)
  }
}

const millisOf = (duration: Duration.Input | undefined): number | undefined =>
  duration === undefined ? undefined : Duration.toMillis(duration)

/**
 * Makes a registry. Endpoints are the same peer when their id, address and authority are equal.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  defaults?: Options
): Effect.fn.Return<PeerRegistry["Service"], never, Scope.Scope> {
  const numberOf = numbering()
  const closing = new Set<Fiber.Fiber<void>>()
  yield* Effect.addFinalizer(() => Effect.suspend(() => Fiber.awaitAll([...closing])))

  const keyOf = (endpoint: Endpoint.Endpoint, connector: Connector["Service"], options?: Peer.Options): Key => {
    const { address, authority, id } = endpoint
    const connectTimeout = options?.connectTimeout ?? defaults?.connectTimeout
    const drainTimeout = options?.drainTimeout ?? defaults?.drainTimeout
    const reconnect = options?.reconnect ?? defaults?.reconnect
    const shortestSession = options?.shortestSession ?? defaults?.shortestSession
    const text = JSON.stringify([
      id,
      Endpoint.format(address),
      authority,
      numberOf(connector),
      millisOf(connectTimeout),
      numberOf(reconnect),
      millisOf(drainTimeout),
      millisOf(shortestSession)
    ])
    // What discovery says of a backend may change; which connection it is does not depend on it.
    const connected = { ...Endpoint.make(address, { authority }), id }
    return new Key(text, connected, connector, { connectTimeout, drainTimeout, reconnect, shortestSession })
  }

  /** Ends a peer's calls while nobody waits for them. */
  const close = Effect.fnUntraced(function* (scope: Scope.Closeable, exit: Exit.Exit<unknown, unknown>) {
    const fiber = yield* Effect.forkDetach(Scope.close(scope, exit), { startImmediately: true })
    closing.add(fiber)
    fiber.addObserver(() => closing.delete(fiber))
  })

  const peers = yield* RcMap.make({
    lookup: ({ connector, endpoint, options }: Key) =>
      Effect.flatMap(Effect.acquireRelease(Scope.make(), close), (scope) =>
        Peer.make(endpoint, options).pipe(Effect.provideService(Connector, connector), Scope.provide(scope))
      ),
    idleTimeToLive: defaults?.idleTimeToLive
  })
  return PeerRegistry.of({
    retain: Effect.fnUntraced(function* (endpoint, options) {
      const key = keyOf(endpoint, yield* Connector, options)
      const peer = yield* RcMap.get(peers, key)
      if (peer.status.state !== "Gone") return peer
      // It gave up connecting, for those who still hold it. Who comes later gets one that tries.
      yield* RcMap.invalidate(peers, key)
      return yield* RcMap.get(peers, key)
    })
  })
})

/**
 * A registry for every pool below it, so that they share peers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<PeerRegistry> => Layer.effect(PeerRegistry, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<PeerRegistry, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
