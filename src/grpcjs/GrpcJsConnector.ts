/**
 * Connections over grpc-js, one channel each.
 *
 * A channel per endpoint, with grpc-js's own balancing, resolution and service configs out of the way, leaves it to do
 * what it does well: HTTP/2. grpc-js may not retry, neither by policy (its pushback and hedge throttling are wrong) nor what
 * was never sent (it tries that without end, on the same connection): who balances knows of other peers. grpc-js says `application/grpc` of every request, also of one
 * whose method writes JSON.
 */
import * as grpc from "@grpc/grpc-js"
import { Config, Duration, Effect, Layer } from "effect"
import * as CallCredentials from "../call/CallCredentials.ts"
import * as Interceptor from "../call/Interceptor.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import { Address, authorityOf, type Endpoint } from "../discovery/Endpoint.ts"
import { KeepaliveTimes } from "../session/Keepalive.ts"
import * as Way from "../socket/Way.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import { type Connection, Connector } from "../transport/Connector.ts"
import type { ProxyOption } from "../transport/HttpProxy.ts"
import type { ClientTls } from "../transport/Tls.ts"
import { cancel, connectionClosed } from "./GrpcCall.ts"
import { GrpcConnection, type Limits } from "./GrpcConnection.ts"
import { GrpcCredentials } from "./GrpcCredentials.ts"
import * as GrpcStream from "./GrpcStream.ts"
import * as GrpcUnary from "./GrpcUnary.ts"
import { SessionCredentials } from "./SessionCredentials.ts"

/**
 * How to connect.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Plain text without it. */
  readonly tls?: ClientTls | undefined
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
   * The most metadata a call may send, in bytes as RFC 9113, 6.5.2 counts them. Default 60,000, which is the most grpc-js can
   * carry.
   */
  readonly maxMetadataBytes?: number | undefined
  /**
   * Pings a connection with calls on it after this time, and gives it up when no answer comes (gRFC A8). Off by default:
   * servers may take offence at pings more often than every 5 minutes. To an endpoint that does (`too_many_pings`), this
   * connector waits twice as long from then on.
   */
  readonly keepalive?: { readonly time: Duration.Input; readonly timeout?: Duration.Input | undefined } | undefined
  /**
   * Further grpc-js channel options. The connector's own win. Use `keepalive` and not grpc-js's own, which cuts off the
   * calls of a connection that has been told goodbye.
   */
  readonly channelOptions?: grpc.ChannelOptions | undefined
}

const target = (address: Address): string => {
  if (address._tag === "Unix") return `unix:${address.path}`
  const { host, port } = address
  return host.includes(":")
    ? `ipv6:[${host}]:${port}`
    : /^[\d.]+$/.test(host)
      ? `ipv4:${host}:${port}`
      : `dns:${host}:${port}`
}

/** Where grpc-js opens its TCP connection to. */
const targetOf = ({ endpoint, proxy }: Way.Way): string =>
  target(proxy === undefined ? endpoint.address : Address.Tcp(proxy))

const channelOptions = (endpoint: Endpoint, options: Options | undefined): grpc.ChannelOptions => ({
  ...options?.channelOptions,
  ...(options?.maxReceiveMessageBytes === undefined
    ? undefined
    : { "grpc.max_receive_message_length": options.maxReceiveMessageBytes }),
  ...(options?.maxSendMessageBytes === undefined
    ? undefined
    : { "grpc.max_send_message_length": options.maxSendMessageBytes }),
  "grpc.default_authority": authorityOf(endpoint),
  // The way is chosen here.
  "grpc.enable_http_proxy": 0,
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_channelz": 0
})

/** The way to each endpoint. */
const waysOf = (options: Options | undefined): ((endpoint: Endpoint) => Way.Way) => {
  const { proxy, tls } = options ?? {}
  const { "grpc.enable_http_proxy": enabled, "grpc.ssl_target_name_override": name } = options?.channelOptions ?? {}
  const identity = tls === undefined ? undefined : Way.identity(tls)
  return (endpoint) =>
    Way.make(endpoint, {
      identity: identity && (() => identity),
      proxy: enabled === 0 ? false : proxy,
      name: endpoint.authority === undefined ? name : undefined
    })
}

/**
 * A failed channel does not say why; a call on it does, at once and without touching the network.
 */
const failureCause = (channel: grpc.Channel, credentials: GrpcCredentials, done: (cause: string) => void): void => {
  const probe = channel.createCall("/", Infinity, null, null, null)
  probe.start(new grpc.Metadata(), {
    onReceiveMetadata: () => {},
    onReceiveMessage: () => {},
    onReceiveStatus: ({ details }) => done(credentials.explain(details))
  })
}

/** Follows a channel's state until it is shut down, which whoever does it says of the connection. */
const watch = (connection: GrpcConnection, credentials: GrpcCredentials): void => {
  const { channel, states } = connection
  const state = channel.getConnectivityState(false)
  if (state === grpc.connectivityState.SHUTDOWN) return
  // First of all, because whoever hears of the state may close the channel. No deadline: there is no way to stop watching,
  // and with one grpc-js would keep a timer.
  channel.watchConnectivityState(state, Infinity, () => watch(connection, credentials))
  if (connection.isReady) return connection.retire("connection lost")
  switch (state) {
    case grpc.connectivityState.IDLE:
      return states.set(Connectivity.Idle())
    case grpc.connectivityState.CONNECTING:
      return states.set(Connectivity.Connecting())
    case grpc.connectivityState.READY:
      return connection.ready()
    case grpc.connectivityState.TRANSIENT_FAILURE:
      return failureCause(channel, credentials, (cause) => states.set(Connectivity.TransientFailure({ cause })))
  }
}

const open = (way: Way.Way, options: Options | undefined, limits: Limits): GrpcConnection => {
  const connection = new GrpcConnection(way.endpoint, limits)
  const credentials = new GrpcCredentials(way)
  const seen = new SessionCredentials(credentials, (session, socket) => connection.opened(session, socket))
  connection.channel = new grpc.Channel(targetOf(way), seen, channelOptions(way.endpoint, options))
  watch(connection, credentials)
  return connection
}

const connect = (way: Way.Way, options: Options | undefined, limits: Limits) => {
  const { endpoint } = way
  return Effect.acquireRelease(
    Effect.sync(() => open(way, options, limits)),
    (connection) =>
      Effect.andThen(
        Effect.forEach([...connection.active], (call) => cancel(connection, call, connectionClosed), { discard: true }),
        Effect.sync(() => connection.close())
      )
  ).pipe(
    Effect.tap(() => (way.ignored === undefined ? Effect.void : Effect.logWarning(`no proxy is used: ${way.ignored}`))),
    Effect.map((connection): Connection => ({
      transport: Interceptor.apply(
        CallCredentials.attach({
          authority: authorityOf(endpoint),
          secure: options?.tls !== undefined
        }),
        { unary: GrpcUnary.make(connection), stream: GrpcStream.make(connection) }
      ),
      connectivity: connection.states,
      connect: Effect.sync(() => connection.connect()),
      disconnectReason: () => connection.disconnectReason
    }))
  )
}

/**
 * A connector over grpc-js.
 *
 * What grpc-js does and no adapter can correct, and `Http2Connector` does right in each:
 *
 * - A last message that is torn off before a status of OK is not missed: a stream ends well without it.
 * - Any flag of a message but 1 counts as "not compressed".
 * - A second value of a field that HTTP allows one of, such as `etag`, is not seen.
 * - An answer with more than 128 fields in its headers or trailers is lost: the call ends as RESOURCE_EXHAUSTED.
 * - An answer that ends without a status reads as a lost connection, UNAVAILABLE, where the server is at fault.
 * - A call that a reset ends is told by words, which a server's own status may resemble.
 *
 * Its further corrections need Node's HTTP/2 session, which grpc-js does not show; they are gone, and nothing else, on a
 * version of Node that no longer keeps the session on its socket.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Connector["Service"] => {
  const wayTo = waysOf(options)
  const { keepalive } = options ?? {}
  const limits: Limits = {
    maxMetadataBytes: Math.min(options?.maxMetadataBytes ?? Infinity, MetadataLimit.defaultMaxBytes),
    keepalive:
      keepalive === undefined
        ? undefined
        : new KeepaliveTimes({
            timeMillis: Duration.toMillis(keepalive.time),
            timeoutMillis: Duration.toMillis(keepalive.timeout ?? "20 seconds")
          })
  }
  return Connector.of({ connect: (endpoint) => Effect.suspend(() => connect(wayTo(endpoint), options, limits)) })
}

/**
 * Provides a connector over grpc-js.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Connector> => Layer.succeed(Connector, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Connector, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
