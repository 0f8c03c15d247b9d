/**
 * A server over grpc-js.
 *
 * grpc-js does the sockets; every call is served by `ServeCall`, one fiber each, which is interrupted when the client
 * goes away.
 *
 * What grpc-js takes, hides or cannot do, an adapter cannot mend. `Http2Server` is right in each:
 *
 * - It does not say which content type a client asked in: answers are of the type that the method writes.
 * - A message whose first byte is neither 0 nor 1 is read as one that is not compressed.
 * - A second value of a field that HTTP allows one of, such as `etag`, is not seen. A field with a byte above 0x7f is dropped.
 * - A request of more than 128 header fields is reset (Node's `maxHeaderListPairs`), which clients read as RESOURCE_EXHAUSTED.
 * - A handler sees no deadline where `grpc-timeout` is longer than 596 hours.
 * - A compressed request in an encoding that it does not know is refused without saying which ones are known.
 * - It does not bound how often clients ping (`pings`) nor how long they take to their first call (`firstCallTimeout`), and
 *   carries at most 60,000 bytes of metadata.
 * - A connection at its greatest age is closed without a ping before, so calls on their way are refused, which clients may
 *   send again; after the grace they end as the client's library reads a reset, and not as `UNAVAILABLE`.
 *
 * Requests are put right on Node's HTTP/2 server, which grpc-js keeps in a field that is not public. Where it is not found,
 * whatever begins with `application/grpc` is served, over any HTTP method; a type in capitals is not; and values of one text
 * key come as one, joined by a comma and a space.
 */
import * as grpc from "@grpc/grpc-js"
import { Config, Deferred, type Duration, Effect, FiberSet, Layer, Option, Result, type Scope } from "effect"
import * as MetadataLimit from "../call/MetadataLimit.ts"
import type * as RpcError from "../status/RpcError.ts"
import { OpenCalls } from "../server/OpenCalls.ts"
import * as Server from "../server/Server.ts"
import * as ServerLimits from "../server/ServerLimits.ts"
import * as ListenFailure from "../socket/ListenFailure.ts"
import { serverPem } from "../socket/Pem.ts"
import type { ServerTls } from "../transport/Tls.ts"
import { interceptor, type Run, type Served } from "./GrpcServerCall.ts"
import { GrpcSockets } from "./GrpcSockets.ts"

/**
 * Where and how to serve.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> extends Server.ListenOptions<R> {
  /** Plain text without it. */
  readonly tls?: ServerTls | undefined
}

const identity = (bytes: Buffer): Buffer => bytes

/** grpc-js looks a method up before it asks its interceptors; what it finds there is never run. */
const register = (server: grpc.Server, path: string): boolean =>
  server.register(path, () => {}, identity, identity, "bidi")

const bind = (server: grpc.Server, address: string, credentials: grpc.ServerCredentials) =>
  Effect.callback<number, Server.BindError>((resume) =>
    server.bindAsync(address, credentials, (error, port) =>
      resume(
        error === null
          ? Effect.succeed(port)
          : Effect.fail(new Server.BindError({ address, problem: ListenFailure.explain(error.message) }))
      )
    )
  )

/** Both families on one port; a machine without IPv6 still has a `localhost`. */
const bindLocalhost = Effect.fnUntraced(function* (
  server: grpc.Server,
  port: number,
  credentials: grpc.ServerCredentials
): Effect.fn.Return<number, Server.BindError> {
  const bound = yield* bind(server, `127.0.0.1:${port}`, credentials)
  const sixth = yield* Effect.result(bind(server, `[::1]:${bound}`, credentials))
  if (Result.isFailure(sixth) && !/EADDRNOTAVAIL|EAFNOSUPPORT|EINVAL/.test(sixth.failure.problem)) {
    return yield* Effect.fail(sixth.failure)
  }
  return bound
})

/** What a server has open. */
interface Open {
  readonly sockets: GrpcSockets
  readonly calls: OpenCalls<Served>
}

/** How long the last words of calls that were ended may take. */
const farewell: Duration.Input = "500 millis"

/** How long connections without calls may take to close: some never spoke, and do not hear that they should. */
const goodbye: Duration.Input = "200 millis"

/** Says that it will stop, stops accepting, waits for the calls under way, and at the limit ends them. */
const stop = Effect.fnUntraced(function* <R>(
  server: grpc.Server,
  { calls, sockets }: Open,
  drain: Effect.Effect<void>,
  options: Options<R>
) {
  yield* drain
  yield* Effect.sleep(options.drainDelay ?? 0)
  const closed = yield* Deferred.make<void>()
  server.tryShutdown(() => Deferred.doneUnsafe(closed, Effect.void))
  const drained = yield* Effect.timeoutOption(calls.empty, options.drainTimeout ?? "10 seconds")
  if (Option.isNone(drained)) {
    calls.stop()
    yield* Effect.timeoutOption(calls.empty, farewell)
  }
  const left = yield* Effect.timeoutOption(Deferred.await(closed), goodbye)
  if (Option.isSome(left)) return
  // grpc-js would tell calls that are left that they are cancelled; a connection that is gone is UNAVAILABLE.
  sockets.destroy()
  server.forceShutdown()
})

/** What grpc-js keeps of the bounds by itself. It draws each connection's age, within 10 %, by itself too. */
const bounded = (limits: ServerLimits.ServerLimits): grpc.ServerOptions =>
  Object.fromEntries(
    Object.entries({
      "grpc.max_concurrent_streams": limits.maxConcurrentCalls,
      "grpc.keepalive_time_ms": limits.keepaliveMillis,
      "grpc.keepalive_timeout_ms": limits.keepaliveTimeoutMillis,
      "grpc.max_connection_idle_ms": limits.idleMillis,
      "grpc.max_connection_age_ms": limits.ageMillis,
      "grpc.max_connection_age_grace_ms": limits.graceMillis
    }).filter(([, value]) => value < longestTimer)
  )

/** The longest time Node's timers count; a longer wait is none. */
const longestTimer = 2 ** 31 - 1

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
  const limits = ServerLimits.make(options)
  const open: Open = { sockets: new GrpcSockets(), calls: new OpenCalls() }
  const server = new grpc.Server({
    interceptors: [
      interceptor(router, run as Run, {
        calls: open.calls,
        window: options.window ?? 16,
        maxMetadataBytes: Math.min(options.maxMetadataBytes ?? Infinity, MetadataLimit.defaultMaxBytes)
      })
    ],
    "grpc.enable_channelz": 0,
    ...bounded(limits),
    ...(options.maxReceiveMessageBytes === undefined
      ? undefined
      : { "grpc.max_receive_message_length": options.maxReceiveMessageBytes })
  })
  for (const path of router.keys()) register(server, path)
  const host = options.host ?? "127.0.0.1"
  const at = (port: number) =>
    options.path === undefined ? `${host.includes(":") ? `[${host}]` : host}:${port}` : `unix:${options.path}`
  const given = options.port ?? 0
  const secured = yield* Effect.try({
    try: () => credentials(options.tls),
    catch: (error) =>
      new Server.BindError({
        address: at(options.port ?? 0),
        problem: error instanceof Error ? error.message : "the certificate cannot be used"
      })
  })
  const binding =
    host === "localhost" && options.path === undefined
      ? bindLocalhost(server, given, secured)
      : bind(server, at(given), secured)
  const port = yield* Effect.acquireRelease(binding, () => stop(server, open, drain, options))
  open.sockets.watch(server, limits, router)
  return Server.Server.of({ address: at(port) })
})

/**
 * Serves handlers over grpc-js for as long as the layer lives.
 *
 * @example
 * import { Effect, Schema } from "effect"
 * import { Handlers, Service } from "trunkline"
 * import { GrpcJsServer } from "trunkline/grpc-js"
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
