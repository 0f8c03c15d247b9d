/**
 * A server straight on Node's HTTP/2.
 *
 * Node does the sockets and the frames; every call is served by `Dispatch`, one fiber each, which is interrupted when the
 * client goes away. Responses can be compressed, certificates rotate, and a connection carries as many calls at one time
 * as the server says.
 */
import { Config, type Duration, Effect, FiberSet, Layer, Option, type Scope, Stream } from "effect"
import * as http2 from "node:http2"
import type { AddressInfo } from "node:net"
import * as ContentType from "../call/ContentType.ts"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import * as Server from "../server/Server.ts"
import type * as RpcError from "../status/RpcError.ts"
import { serverPem } from "../socket/Pem.ts"
import type { ServerTls } from "../transport/Tls.ts"
import { follow, type Rotating } from "./Rotation.ts"
import { connectionWindow, streamWindow } from "./FlowControl.ts"
import { type Limits, ownFields, refuse, type Run, serve, type ServedCall } from "./ServedCall.ts"

/**
 * Where and how to serve.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> extends Server.Options<R> {
  /** Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** Default 0: any free port; the server's address says which. */
  readonly port?: number | undefined
  /** Plain text without it. A new set holds for every connection made from then on. */
  readonly tls?: Rotating<ServerTls> | undefined
  /** Largest message that is read, in bytes. Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number | undefined
  /**
   * The most metadata a header block of an answer may have, in bytes as RFC 9113, 6.5.2 counts them. Default 60,000. A
   * client that reads less gets less.
   */
  readonly maxMetadataBytes?: number | undefined
  /** Messages of a request stream that may be buffered or asked for at one time. Default 16. */
  readonly window?: number | undefined
  /** Calls a connection may have under way at one time; clients hold the others back. Default no limit. */
  readonly maxConcurrentCalls?: number | undefined
  /** How long the server goes on accepting calls when it has drained, for balancers to notice. Default 0. */
  readonly drainDelay?: Duration.Input | undefined
  /** How long calls may go on when the server has stopped accepting. Default 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
}

type NodeServer = http2.Http2Server | http2.Http2SecureServer

/** Throws where a set cannot be used. */
const secureOptions = (tls: ServerTls): http2.SecureServerOptions => {
  const { ca, cert, key } = serverPem(tls)
  return { key, cert, ...(ca === undefined ? undefined : { ca, requestCert: true, rejectUnauthorized: true }) }
}

const bind = (server: NodeServer, host: string, port: number) =>
  Effect.callback<number, Server.BindError>((resume) => {
    const failed = (error: Error) =>
      resume(Effect.fail(new Server.BindError({ address: format(host, port), problem: error.message })))
    server.once("error", failed)
    server.listen(port, host, () => {
      server.off("error", failed)
      resume(Effect.succeed((server.address() as AddressInfo).port))
    })
  })

const format = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** What a server has open. */
interface Open {
  readonly sessions: Set<http2.ServerHttp2Session>
  readonly calls: Set<ServedCall>
}

/** Completes when no connection is open. */
const deserted = ({ sessions }: Open): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const look = () => void (sessions.size === 0 && resume(Effect.void))
    for (const session of sessions) session.once("close", look)
    look()
  })

/** How long the last words of calls that were ended may take. */
const farewell: Duration.Input = "500 millis"

/** Says that it will stop, stops accepting, waits for the calls under way, and at the limit ends them. */
const stop = Effect.fnUntraced(function* <R>(
  server: NodeServer,
  open: Open,
  drain: Effect.Effect<void>,
  options: Options<R>
) {
  yield* drain
  yield* Effect.sleep(options.drainDelay ?? 0)
  server.close()
  for (const session of open.sessions) session.close()
  const drained = yield* Effect.timeoutOption(deserted(open), options.drainTimeout ?? "10 seconds")
  if (Option.isSome(drained)) return
  for (const call of open.calls) call.stop()
  yield* Effect.timeoutOption(deserted(open), farewell)
  for (const session of open.sessions) session.destroy()
})

/** Serves every call the router has a handler for. */
const listen = (
  server: NodeServer,
  open: Open,
  { router, unserved }: Server.Application,
  run: Run,
  limits: Limits
): void => {
  server.on("session", (session) => {
    open.sessions.add(session)
    session.setLocalWindowSize(connectionWindow)
    session.on("error", () => {})
    session.on("close", () => open.sessions.delete(session))
  })
  server.on("stream", ((
    stream: http2.ServerHttp2Stream,
    headers: http2.IncomingHttpHeaders,
    _: number,
    raw: ReadonlyArray<string>
  ) => {
    const path = headers[":path"] ?? ""
    const isGrpc = headers[":method"] === "POST" && ContentType.subtypeOf(headers["content-type"]) !== undefined
    if (!isGrpc) {
      stream.on("error", () => {})
      return stream.respond({ ":status": 415 }, { endStream: true })
    }
    const handler = router.get(path)
    if (handler === undefined) {
      const { code, reason } = unserved(path)
      return refuse(stream, headers, { code, message: reason.message })
    }
    const call = serve(stream, headers, raw, handler, run, limits)
    if (call === undefined) return
    open.calls.add(call)
    stream.once("close", () => open.calls.delete(call))
  }) as never)
}

/** More than there is. */
const unboundedMegabytes = 1_000_000

/** Node's own bound of a header block. */
const nodeBlock = 65_535

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
  const host = options.host ?? "127.0.0.1"
  const cannot = (problem: string) => new Server.BindError({ address: format(host, options.port ?? 0), problem })
  const maxBlock = (options.maxMetadataBytes ?? MetadataLimit.defaultMaxBytes) + ownFields
  const settings: http2.ServerOptions = {
    maxSendHeaderBlockLength: Math.max(maxBlock, nodeBlock),
    maxHeaderListPairs: Math.ceil(maxBlock / 32),
    // Answers that wait for a slow client count as a session's memory; over its bound Node resets other calls. What is
    // held for a client is bounded by its calls.
    maxSessionMemory: unboundedMegabytes,
    settings: {
      maxHeaderListSize: Math.max(maxBlock, nodeBlock),
      initialWindowSize: streamWindow,
      ...(options.maxConcurrentCalls === undefined ? undefined : { maxConcurrentStreams: options.maxConcurrentCalls })
    }
  }
  let server: NodeServer | undefined
  const { tls } = options
  if (tls === undefined) server = http2.createServer(settings)
  else {
    const replace = (set: http2.SecureServerOptions) =>
      (server as http2.Http2SecureServer | undefined)?.setSecureContext(set)
    const sets = Stream.isStream(tls) ? tls : Stream.make(tls)
    const latest = yield* Effect.mapError(follow(sets, secureOptions, replace), ({ problem }) => cannot(problem))
    server = yield* Effect.try({
      try: () => http2.createSecureServer({ ...settings, ...latest(), allowHTTP1: false }),
      catch: (error) => cannot(error instanceof Error ? error.message : "the certificate cannot be used")
    })
  }
  const open: Open = { sessions: new Set(), calls: new Set() }
  listen(server, open, application, run as Run, {
    window: options.window ?? 16,
    maxMetadataBytes: options.maxMetadataBytes ?? MetadataLimit.defaultMaxBytes,
    maxReceiveMessageBytes: options.maxReceiveMessageBytes ?? 4 * 1024 * 1024
  })
  const port = yield* Effect.acquireRelease(bind(server, host, options.port ?? 0), () =>
    stop(server, open, application.drain, options)
  )
  return Server.Server.of({ address: format(host, port) })
})

/**
 * Serves handlers on Node's HTTP/2 for as long as the layer lives.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Handlers, Http2Server, Service } from "trunkline"
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
