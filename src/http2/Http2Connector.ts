/**
 * Connections straight on Node's HTTP/2.
 *
 * The same wire as grpc-js with nothing between: less work for each call, compression chosen call by call and message by
 * message, certificates that rotate, and an error that knows whether the server ever saw the call.
 */
import { Config, Duration, Effect, Layer, type Scope, Stream } from "effect"
import * as CallCredentials from "../call/CallCredentials.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Invoker } from "../call/Interceptor.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import * as Way from "../socket/Way.ts"
import { type Connection, Connector } from "../transport/Connector.ts"
import type { ProxyOption } from "../transport/HttpProxy.ts"
import type { ClientTls } from "../transport/Tls.ts"
import { KeepaliveTimes } from "../session/Keepalive.ts"
import { type CredentialsError, follow, type Rotating } from "./CertificateProvider.ts"
import { type Options as SessionOptions, Http2Connection } from "./Http2Connection.ts"
import { invoker, ConnectionGroup } from "./ConnectionGroup.ts"
import * as DuplexStream from "./DuplexStream.ts"
import * as UnaryStream from "./UnaryStream.ts"

/**
 * How to connect.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Plain text without it. A new set holds for every connection made from then on. */
  readonly tls?: Rotating<ClientTls> | undefined
  /**
   * An HTTP proxy to connect through, as `http://user:password@host:port`; `false` for none. By default the environment
   * decides (`HttpProxy`).
   */
  readonly proxy?: ProxyOption | undefined
  /** Largest message that is read, in bytes. Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number | undefined
  /** Largest message that is sent, in bytes. Default no limit. */
  readonly maxSendMessageBytes?: number | undefined
  /**
   * The most metadata a call may send, in bytes as RFC 9113, 6.5.2 counts them, and what is read of it in answers at the
   * least. Default 60,000.
   */
  readonly maxMetadataBytes?: number | undefined
  /**
   * Connections to one endpoint where the server limits the calls on each (gRFC A105). Default 1: what is over the limit
   * waits. Further connections are opened when those there are full, and close with the first.
   */
  readonly maxConnectionsPerEndpoint?: number | undefined
  /**
   * Pings a connection with calls on it after this time, and gives it up when no answer comes (gRFC A8). Off by default:
   * servers may take offence at pings more often than every 5 minutes. To an endpoint that does (`too_many_pings`), this
   * connector waits twice as long from then on.
   */
  readonly keepalive?: { readonly time: Duration.Input; readonly timeout?: Duration.Input | undefined } | undefined
}

const invokerOf = (session: Http2Connection): Invoker =>
  Interceptor.apply(CallCredentials.attach({ authority: session.authority, secure: session.scheme === "https" }), {
    unary: UnaryStream.make(session),
    stream: DuplexStream.make(session)
  })

const connect = (endpoint: Endpoint, options: SessionOptions, maxConnections: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const first = new Http2Connection(endpoint, options)
      const group = new ConnectionGroup(first, maxConnections, () => new Http2Connection(endpoint, options))
      return { first, group }
    }),
    ({ group }) => Effect.sync(() => group.close("the connection was closed"))
  ).pipe(
    Effect.map(({ first, group }): Connection => ({
      transport: maxConnections > 1 ? invoker(group, invokerOf) : invokerOf(first),
      connectivity: first.states,
      connect: Effect.sync(() => first.connect()),
      disconnectReason: () => first.disconnectReason
    }))
  )

/** The latest keys and certificates. A set that never changes is looked at when it is used, as over grpc-js. */
const identityOf = Effect.fnUntraced(function* (
  tls: Options["tls"]
): Effect.fn.Return<(() => Way.Identity) | undefined, CredentialsError, Scope.Scope> {
  if (tls === undefined) return undefined
  if (!Stream.isStream(tls)) {
    const identity = Way.identity(tls)
    return () => identity
  }
  return yield* follow(tls, (set) => {
    const identity = Way.identity(set)
    identity.context()
    return identity
  })
})

/**
 * Makes a connector. The scope is that of the rotation of its certificates.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options?: Options
): Effect.fn.Return<Connector["Service"], CredentialsError, Scope.Scope> {
  const identity = yield* identityOf(options?.tls)
  const { keepalive } = options ?? {}
  const rest = {
    maxReceiveMessageBytes: options?.maxReceiveMessageBytes ?? 4 * 1024 * 1024,
    maxSendMessageBytes: options?.maxSendMessageBytes ?? Infinity,
    maxMetadataBytes: options?.maxMetadataBytes ?? MetadataLimit.defaultMaxBytes,
    keepalive:
      keepalive === undefined
        ? undefined
        : new KeepaliveTimes({
            timeMillis: Duration.toMillis(keepalive.time),
            timeoutMillis: Duration.toMillis(keepalive.timeout ?? "20 seconds")
          })
  }
  return Connector.of({
    connect: (endpoint) =>
      Effect.gen(function* () {
        const way = Way.make(endpoint, { identity, proxy: options?.proxy })
        if (way.ignored !== undefined) yield* Effect.logWarning(`no proxy is used: ${way.ignored}`)
        return yield* connect(endpoint, { way, ...rest }, options?.maxConnectionsPerEndpoint ?? 1)
      })
  })
})

/**
 * Provides a connector on Node's HTTP/2.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Connector, CredentialsError> =>
  Layer.effect(Connector, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<Connector, CredentialsError | Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
