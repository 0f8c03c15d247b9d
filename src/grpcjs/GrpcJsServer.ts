/**
 * A server over grpc-js.
 *
 * grpc-js does the sockets; every call is served by `Dispatch`, one fiber each, which is interrupted when the client
 * goes away. grpc-js does not say which content type a client asked in: it serves everything that begins with
 * `application/grpc` in lower case, and requests in a subtype that a method does not read fail when they are decoded.
 * `Http2Server` refuses both.
 */
import * as grpc from "@grpc/grpc-js"
import { Config, type Duration, Effect, FiberSet, Layer, Option, type Scope } from "effect"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type * as RpcError from "../status/RpcError.ts"
import * as Server from "../server/Server.ts"
import { serverPem } from "../socket/Pem.ts"
import type { ServerTls } from "../transport/Tls.ts"
import { interceptor, type Run } from "./GrpcServerCall.ts"

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
  /** Plain text without it. */
  readonly tls?: ServerTls | undefined
  /** Largest message that is read, in bytes. Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number | undefined
  /**
   * The most metadata a header block of an answer may have, in bytes as RFC 9113, 6.5.2 counts them. Default 60,000, which is the
   * most grpc-js can carry.
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

const identity = (bytes: Buffer): Buffer => bytes

/** grpc-js looks a method up before it asks its interceptors; what it finds there is never run. */
const register = (server: grpc.Server, path: string): boolean =>
  server.register(path, () => {}, identity, identity, "bidi")

const bind = (server: grpc.Server, address: string, credentials: grpc.ServerCredentials) =>
  Effect.callback<number, Server.BindError>((resume) =>
    server.bindAsync(address, credentials, (error, port) =>
      resume(
        error === null ? Effect.succeed(port) : Effect.fail(new Server.BindError({ address, problem: error.message }))
      )
    )
  )

/** Says that it will stop, stops accepting, waits for the calls under way, and at the limit ends them. */
const stop = Effect.fnUntraced(function* <R>(server: grpc.Server, drain: Effect.Effect<void>, options: Options<R>) {
  yield* drain
  yield* Effect.sleep(options.drainDelay ?? 0)
  const drained = yield* Effect.callback<void>((resume) => server.tryShutdown(() => resume(Effect.void))).pipe(
    Effect.timeoutOption(options.drainTimeout ?? "10 seconds")
  )
  if (Option.isNone(drained)) server.forceShutdown()
})

/** Throws where a certificate cannot be used. */
const credentials = (tls: ServerTls | undefined): grpc.ServerCredentials => {
  if (tls === undefined) return grpc.ServerCredentials.createInsecure()
  const { ca, cert, key } = serverPem(tls)
  return grpc.ServerCredentials.createSsl(ca ?? null, [{ private_key: key, cert_chain: cert }], ca !== undefined)
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
  const { drain, router } = yield* Server.build(options)
  const run = yield* FiberSet.makeRuntime<never, unknown, RpcError.RpcError>()
  const server = new grpc.Server({
    interceptors: [
      interceptor(router, run as Run, {
        window: options.window ?? 16,
        maxMetadataBytes: Math.min(options.maxMetadataBytes ?? Infinity, MetadataLimit.defaultMaxBytes)
      })
    ],
    "grpc.enable_channelz": 0,
    ...(options.maxConcurrentCalls === undefined
      ? undefined
      : { "grpc.max_concurrent_streams": options.maxConcurrentCalls }),
    ...(options.maxReceiveMessageBytes === undefined
      ? undefined
      : { "grpc.max_receive_message_length": options.maxReceiveMessageBytes })
  })
  for (const path of router.keys()) register(server, path)
  const host = options.host ?? "127.0.0.1"
  const at = (port: number) => `${host.includes(":") ? `[${host}]` : host}:${port}`
  const secured = yield* Effect.try({
    try: () => credentials(options.tls),
    catch: (error) =>
      new Server.BindError({
        address: at(options.port ?? 0),
        problem: error instanceof Error ? error.message : "the certificate cannot be used"
      })
  })
  const port = yield* Effect.acquireRelease(bind(server, at(options.port ?? 0), secured), () =>
    stop(server, drain, options)
  )
  return Server.Server.of({ address: at(port) })
})

/**
 * Serves handlers over grpc-js for as long as the layer lives.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { GrpcJsServer, Handlers, Service } from "trunkline"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * const EchoServer = GrpcJsServer.layer({
 *   port: 50051,
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
