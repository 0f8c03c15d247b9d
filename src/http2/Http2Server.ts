/**
 * A server straight on Node's HTTP/2.
 *
 * Node does the sockets and the frames; every call is served by `ServeCall`, one fiber each, which is interrupted when the
 * client goes away. Responses can be compressed, certificates rotate, and a connection carries as many calls at one time
 * as the server says.
 */
import { Config, type Duration, Effect, FiberSet, Layer, Option, type Scope, Stream } from "effect"
import * as http2 from "node:http2"
import type { Socket } from "node:net"
import * as ContentType from "../call/ContentType.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import { OpenCalls } from "../server/OpenCalls.ts"
import * as Server from "../server/Server.ts"
import * as ServerLimits from "../server/ServerLimits.ts"
import type * as RpcError from "../status/RpcError.ts"
import { serverPem } from "../socket/Pem.ts"
import type { ServerTls } from "../transport/Tls.ts"
import { format, listen, type Listening } from "./Listener.ts"
import { follow, type Rotating } from "./CertificateProvider.ts"
import { connectionWindow, streamWindow } from "./FlowControl.ts"
import { type Limits, ownFields, refuse, refuseHttp, type Run, serve, type ServerStream } from "./ServerStream.ts"
import { ServedConnection } from "./ServedConnection.ts"

/**
 * Where and how to serve.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> extends Server.ListenOptions<R> {
  /** Plain text without it. A new set holds for every connection made from then on. */
  readonly tls?: Rotating<ServerTls> | undefined
}

type NodeServer = http2.Http2Server | http2.Http2SecureServer

/** Throws where a set cannot be used. */
const secureOptions = (tls: ServerTls): http2.SecureServerOptions => {
  const { ca, cert, key } = serverPem(tls)
  return { key, cert, ...(ca === undefined ? undefined : { ca, requestCert: true, rejectUnauthorized: true }) }
}

/** What a server has open. */
interface Open {
  /** Of every connection, also of those that have not said a word of HTTP/2 or TLS yet. */
  readonly sockets: Set<Socket>
  readonly connections: Map<http2.Http2Session | undefined, ServedConnection>
  readonly calls: OpenCalls<ServerStream>
}

/** Completes when no HTTP/2 connection is open. */
const deserted = ({ connections }: Open): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const look = () => void (connections.size === 0 && resume(Effect.void))
    for (const { session } of connections.values()) session.once("close", look)
    look()
  })

/** How long the last words of calls that were ended may take. */
const farewell: Duration.Input = "500 millis"

/** Says that it will stop, stops accepting, waits for the calls under way, and at the limit ends them. */
const stop = Effect.fnUntraced(function* <R>(
  { servers }: Listening<NodeServer>,
  open: Open,
  drain: Effect.Effect<void>,
  options: Options<R>
) {
  yield* drain
  yield* Effect.sleep(options.drainDelay ?? 0)
  for (const server of servers) server.close()
  for (const { session } of open.connections.values()) session.close()
  const drained = yield* Effect.timeoutOption(open.calls.empty, options.drainTimeout ?? "10 seconds")
  if (Option.isNone(drained)) {
    open.calls.stop()
    yield* Effect.timeoutOption(open.calls.empty, farewell)
  }
  // Whoever has no call has been told to leave. Those that never spoke, or do not listen, are not waited for.
  yield* Effect.timeoutOption(deserted(open), goodbye)
  // Not by their sessions: those would tell the calls left that they are cancelled.
  for (const socket of open.sockets) socket.destroy()
})

/** How long a connection without calls may take to close. */
const goodbye: Duration.Input = "100 millis"

/** What serving needs besides the connections. */
interface Serving {
  readonly application: Server.Application
  readonly run: Run
  readonly limits: Limits
  readonly bounds: ServerLimits.ServerLimits
  readonly random: () => number
}

/** Serves every call the router has a handler for. */
const attach = (server: NodeServer, open: Open, { application, bounds, limits, random, run }: Serving): void => {
  server.on("connection", (socket: Socket) => {
    open.sockets.add(socket)
    socket.once("close", () => open.sockets.delete(socket))
    // Before there is a session, nobody else listens.
    socket.on("error", () => {})
  })
  server.on("session", (session) => {
    open.connections.set(session, new ServedConnection(session, bounds, random))
    session.on("close", () => open.connections.delete(session))
    session.setLocalWindowSize(connectionWindow)
  })
  server.on("stream", ((
    stream: http2.ServerHttp2Stream,
    headers: http2.IncomingHttpHeaders,
    _: number,
    raw: ReadonlyArray<string>
  ) => {
    const connection = open.connections.get(stream.session)
    connection?.called()
    const path = headers[":path"] ?? ""
    const isGrpc = headers[":method"] === "POST" && ContentType.subtypeOf(headers["content-type"]) !== undefined
    if (!isGrpc) return refuseHttp(stream)
    const handler = application.router.get(path)
    if (handler === undefined) {
      const { code, reason } = application.unserved(path)
      return refuse(stream, headers, { code, message: reason.message })
    }
    const call = serve({ stream, headers, raw, connection }, handler, run, limits)
    if (call === undefined) return
    open.calls.add(call)
    connection?.add(call)
    stream.once("close", () => {
      open.calls.delete(call)
      connection?.delete(call)
    })
  }) as never)
  if (bounds.maxConnections !== Infinity) server.maxConnections = bounds.maxConnections
}

/** More than there is. */
const unboundedMegabytes = 1_000_000

/** Node's own bound of a header block. */
const nodeBlock = 65_535

const nodeOptions = (maxMetadataBytes: number, bounds: ServerLimits.ServerLimits) => {
  const maxBlock = maxMetadataBytes + ownFields
  return {
    maxSendHeaderBlockLength: Math.max(maxBlock, nodeBlock),
    maxHeaderListPairs: Math.ceil(maxBlock / 32),
    // Answers that wait for a slow client count as a session's memory; over its bound Node resets other calls. What is
    // held for a client is bounded by its calls.
    maxSessionMemory: unboundedMegabytes,
    // A client may open more calls than it may before it has read how many it may. They are refused, and sent again.
    maxSessionRejectedStreams: 10_000,
    // Node's word for the time of a TLS handshake.
    handshakeTimeout: Math.min(bounds.handshakeMillis, 2 ** 31 - 1),
    settings: {
      initialWindowSize: streamWindow,
      maxHeaderListSize: Math.max(maxBlock, nodeBlock),
      ...(bounds.maxConcurrentCalls === Infinity ? undefined : { maxConcurrentStreams: bounds.maxConcurrentCalls })
    }
  }
}

/**
 * Starts a server. When the scope closes it drains, goes on accepting for the drain delay, then stops accepting,
 * lets running calls end within the drain timeout, and ends what is left.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: Options<R>
): Effect.fn.Return<Server.Server["Service"], Server.BindError | Server.MethodCollision, R | Scope.Scope> {
  const application = yield* Server.build(options)
  const run = yield* FiberSet.makeRuntime<never, unknown, RpcError.RpcError>()
  const at = { host: options.host ?? "127.0.0.1", port: options.port ?? 0, path: options.path }
  const cannot = (problem: string) => new Server.BindError({ address: format(at), problem })
  const bounds = ServerLimits.make(options)
  const settings = nodeOptions(options.maxMetadataBytes ?? MetadataLimit.defaultMaxBytes, bounds)
  const made: Array<NodeServer> = []
  const { tls } = options
  const replace = (set: http2.SecureServerOptions) => {
    for (const server of made) (server as http2.Http2SecureServer).setSecureContext(set)
  }
  const sets = tls === undefined || Stream.isStream(tls) ? tls : Stream.make(tls)
  const latest =
    sets === undefined
      ? undefined
      : yield* Effect.mapError(follow(sets, secureOptions, replace), ({ problem }) => cannot(problem))
  const create = () =>
    latest === undefined
      ? http2.createServer(settings)
      : http2.createSecureServer({ ...settings, ...latest(), allowHTTP1: false })
  yield* Effect.try({
    try: create,
    catch: (error) => cannot(error instanceof Error ? error.message : "the certificate cannot be used")
  })
  const open: Open = { sockets: new Set(), connections: new Map(), calls: new OpenCalls() }
  const serving: Serving = {
    application,
    run: run as Run,
    bounds,
    random: yield* ServerLimits.chance,
    limits: {
      window: options.window ?? 16,
      maxMetadataBytes: options.maxMetadataBytes ?? MetadataLimit.defaultMaxBytes,
      maxReceiveMessageBytes: options.maxReceiveMessageBytes ?? 4 * 1024 * 1024
    }
  }
  const start = () => {
    const server = create()
    made.push(server)
    attach(server, open, serving)
    return server
  }
  const { port } = yield* Effect.acquireRelease(listen(start, at), (listening) =>
    stop(listening, open, application.drain, options)
  )
  return Server.Server.of({ address: format({ ...at, port }) })
})

/**
 * Serves handlers on Node's HTTP/2 for as long as the layer lives.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Handlers, Service } from "trunkline"
 * import { Http2Server } from "trunkline/http2"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * const EchoServer = Http2Server.layer({
 *   port: 50051,
 *   maxConcurrentCalls: 100,
 *   handlers: [Handlers.make(Echo, { say: (text) => Effect.succeed(text) })]
 * })
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<Server.Server, Server.BindError | Server.MethodCollision, R> =>
  Layer.effect(Server.Server, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <R = never>(
  options: Config.Wrap<Options<R>>
): Layer.Layer<Server.Server, Server.BindError | Server.MethodCollision | Config.ConfigError, R> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))
