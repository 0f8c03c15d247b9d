/**
 * Connections over grpc-js, one channel each.
 *
 * A channel per endpoint, with grpc-js's own balancing, resolution and service configs out of the way, leaves it to do
 * what it does well: HTTP/2. grpc-js may not retry by policy (its pushback and hedge throttling are wrong), but its free
 * retry of a stream the server never looked at is left on. grpc-js says `application/grpc` of every request, also of one
 * whose method writes JSON.
 */
import * as grpc from "@grpc/grpc-js"
import { Config, Effect, Layer } from "effect"
import * as CallCredentials from "../call/CallCredentials.ts"
import * as Interceptor from "../call/Interceptor.ts"
import { Address, authorityOf, type Endpoint } from "../discovery/Endpoint.ts"
import * as Way from "../socket/Way.ts"
import { Connectivity } from "../transport/Connectivity.ts"
import { type Connection, Connector } from "../transport/Connector.ts"
import type { ProxyOption } from "../transport/HttpProxy.ts"
import type { ClientTls } from "../transport/Tls.ts"
import * as Watched from "../transport/Watched.ts"
import { cancel, connectionClosed, type GrpcCall, type GrpcConnection } from "./GrpcCall.ts"
import { GrpcCredentials } from "./GrpcCredentials.ts"
import * as GrpcStream from "./GrpcStream.ts"
import * as GrpcUnary from "./GrpcUnary.ts"

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
  /** Further grpc-js channel options, such as keepalive. The connector's own win. */
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

/** Follows a channel's state until it is shut down. */
const watch = (channel: grpc.Channel, credentials: GrpcCredentials, states: Watched.Writable<Connectivity>): void => {
  const state = channel.getConnectivityState(false)
  if (state === grpc.connectivityState.SHUTDOWN) return states.set(Connectivity.Shutdown())
  // First of all, because whoever hears of the state may close the channel. No deadline: there is no way to stop watching,
  // and with one grpc-js would keep a timer.
  channel.watchConnectivityState(state, Infinity, () => watch(channel, credentials, states))
  switch (state) {
    case grpc.connectivityState.IDLE:
      return states.set(Connectivity.Idle())
    case grpc.connectivityState.CONNECTING:
      return states.set(Connectivity.Connecting())
    case grpc.connectivityState.READY:
      return states.set(Connectivity.Ready())
    case grpc.connectivityState.TRANSIENT_FAILURE:
      return failureCause(channel, credentials, (cause) => states.set(Connectivity.TransientFailure({ cause })))
  }
}

const connect = (way: Way.Way, options: Options | undefined) => {
  const { endpoint } = way
  return Effect.acquireRelease(
    Effect.sync(() => {
      const credentials = new GrpcCredentials(way)
      const channel = new grpc.Channel(targetOf(way), credentials, channelOptions(endpoint, options))
      const connection: GrpcConnection = { channel, endpoint, active: new Set<GrpcCall>() }
      const states = Watched.make<Connectivity>(Connectivity.Idle())
      watch(channel, credentials, states)
      return { connection, states }
    }),
    ({ connection, states }) =>
      Effect.andThen(
        Effect.forEach([...connection.active], (call) => cancel(connection, call, connectionClosed), { discard: true }),
        Effect.sync(() => {
          connection.channel.close()
          states.set(Connectivity.Shutdown())
        })
      )
  ).pipe(
    Effect.tap(() => (way.ignored === undefined ? Effect.void : Effect.logWarning(`no proxy is used: ${way.ignored}`))),
    Effect.map(({ connection, states }): Connection => ({
      transport: Interceptor.apply(
        CallCredentials.attach({
          authority: authorityOf(endpoint),
          secure: options?.tls !== undefined
        }),
        { unary: GrpcUnary.make(connection), stream: GrpcStream.make(connection) }
      ),
      connectivity: states,
      connect: Effect.sync(() => void connection.channel.getConnectivityState(true))
    }))
  )
}

/**
 * A connector over grpc-js.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Connector["Service"] => {
  const wayTo = waysOf(options)
  return Connector.of({ connect: (endpoint) => Effect.suspend(() => connect(wayTo(endpoint), options)) })
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
