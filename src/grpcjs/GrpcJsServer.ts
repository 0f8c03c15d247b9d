/**
 * A server over grpc-js.
 *
 * grpc-js does the sockets; every call is served by `Dispatch`, one fiber each, which is interrupted when the client
 * goes away.
 */
import * as grpc from "@grpc/grpc-js"
import {
  Cause,
  Config,
  Data,
  type Duration,
  Effect,
  Exit,
  type Fiber,
  FiberSet,
  Layer,
  Option,
  type Scope,
  Stream
} from "effect"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import * as Dispatch from "../server/Dispatch.ts"
import type { Handler } from "../server/Handlers.ts"
import * as Server from "../server/Server.ts"
import { toBuffer } from "./GrpcCall.ts"
import { fromGrpc, toGrpc } from "./GrpcMetadata.ts"

/**
 * The address cannot be listened on.
 *
 * @category errors
 * @since 0.1.0
 */
export class BindError extends Data.TaggedError("BindError")<{
  readonly address: string
  readonly problem: string
}> {
  override get message(): string {
    return `cannot listen on ${this.address}: ${this.problem}`
  }
}

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
  readonly tls?: { readonly key: Uint8Array; readonly cert: Uint8Array } | undefined
  /** Largest message that is read, in bytes. Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number | undefined
  /** How long calls may go on when the server stops. Default 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
}

type UnaryCall = grpc.ServerUnaryCall<Buffer, Buffer>
type DuplexCall = grpc.ServerDuplexStream<Buffer, Buffer>
type Run = <A>(effect: Effect.Effect<A, RpcError.RpcError>) => Fiber.Fiber<A, RpcError.RpcError>

const incoming = (call: grpc.ServerUnaryCall<unknown, unknown> | DuplexCall): Dispatch.Incoming => {
  const deadline = call.getDeadline()
  return {
    metadata: fromGrpc(call.metadata),
    timeoutMillis: deadline === Infinity ? Infinity : Math.max(0, Number(deadline) - Date.now())
  }
}

const toStatus = (cause: Cause.Cause<RpcError.RpcError>): grpc.StatusObject => {
  const error = RpcError.fromCause(cause)
  return { code: Code.toNumber(error.code), details: error.reason.message, metadata: toGrpc(error.trailers) }
}

const serveUnary =
  (handler: Handler, run: Run) =>
  (call: UnaryCall, callback: grpc.sendUnaryData<Buffer>): void => {
    const fiber = run(Dispatch.unary(handler, call.request, incoming(call)))
    call.on("cancelled", () => fiber.interruptUnsafe())
    fiber.addObserver((exit) => {
      if (call.cancelled) return
      if (Exit.isFailure(exit)) return callback(toStatus(exit.cause))
      const { headers, message, trailers } = exit.value
      if (headers.size > 0) call.sendMetadata(toGrpc(headers))
      callback(null, toBuffer(message), toGrpc(trailers))
    })
  }

/** The client's messages, read from the socket as they are asked for. */
const requests = (call: DuplexCall): Stream.Stream<Uint8Array, RpcError.RpcError> => {
  const readable = Effect.callback<void, Cause.Done>((resume) => {
    const proceed = () => settle(Effect.void)
    const end = () => settle(Cause.done())
    const settle = (effect: Effect.Effect<void, Cause.Done>) => {
      call.off("readable", proceed).off("end", end)
      resume(effect)
    }
    if (call.readableEnded) return settle(Cause.done())
    call.on("readable", proceed).on("end", end)
    return Effect.sync(() => void call.off("readable", proceed).off("end", end))
  })
  const pull: Effect.Effect<readonly [Uint8Array], Cause.Done> = Effect.suspend(() => {
    const message = call.read() as Buffer | null
    return message === null ? Effect.andThen(readable, pull) : Effect.succeed([message] as const)
  })
  return Stream.fromPull(Effect.succeed(pull))
}

/** Writes a message and waits until there is room for the next. */
const send =
  (call: DuplexCall) =>
  (message: Uint8Array): Effect.Effect<void> =>
    Effect.callback((resume) => {
      if (call.write(toBuffer(message))) return resume(Effect.void)
      const drained = () => resume(Effect.void)
      call.once("drain", drained)
      return Effect.sync(() => void call.off("drain", drained))
    })

const serveStream =
  (handler: Handler, run: Run) =>
  (call: DuplexCall): void => {
    const fiber = run(Dispatch.stream(handler, requests(call), incoming(call), send(call)))
    call.on("cancelled", () => fiber.interruptUnsafe())
    fiber.addObserver((exit) => {
      if (call.cancelled) return
      // grpc-js sends the messages written so far, then the status of the error it is told of.
      if (Exit.isFailure(exit)) call.emit("error", toStatus(exit.cause))
      else call.end()
    })
  }

const identity = (bytes: Buffer): Buffer => bytes

/**
 * Every streaming kind is served as the widest one: the wire does not tell them apart.
 */
const register = (server: grpc.Server, handler: Handler, run: Run): boolean =>
  handler.method.kind === "unary"
    ? server.register(handler.method.path, serveUnary(handler, run), identity, identity, "unary")
    : server.register(handler.method.path, serveStream(handler, run), identity, identity, "bidi")

const bind = (server: grpc.Server, address: string, credentials: grpc.ServerCredentials) =>
  Effect.callback<number, BindError>((resume) =>
    server.bindAsync(address, credentials, (error, port) =>
      resume(error === null ? Effect.succeed(port) : Effect.fail(new BindError({ address, problem: error.message })))
    )
  )

/** Stops accepting, waits for the calls under way, and at the limit ends them. */
const stop = (server: grpc.Server, drainTimeout: Duration.Input) =>
  Effect.callback<void>((resume) => server.tryShutdown(() => resume(Effect.void))).pipe(
    Effect.timeoutOption(drainTimeout),
    Effect.flatMap((done) => (Option.isSome(done) ? Effect.void : Effect.sync(() => server.forceShutdown())))
  )

/**
 * Starts a server. When the scope closes it stops accepting, lets running calls end within the drain timeout, and then
 * ends them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R = never>(
  options: Options<R>
): Effect.fn.Return<Server.Server["Service"], BindError, R | Scope.Scope> {
  const router = yield* Server.router(options)
  const run = yield* FiberSet.makeRuntime<never, unknown, RpcError.RpcError>()
  const server = new grpc.Server({
    "grpc.enable_channelz": 0,
    ...(options.maxReceiveMessageBytes === undefined
      ? undefined
      : { "grpc.max_receive_message_length": options.maxReceiveMessageBytes })
  })
  for (const handler of router.values()) register(server, handler, run as Run)
  const host = options.host ?? "127.0.0.1"
  const { tls } = options
  const credentials =
    tls === undefined
      ? grpc.ServerCredentials.createInsecure()
      : grpc.ServerCredentials.createSsl(null, [
          { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) }
        ])
  yield* Effect.addFinalizer(() => stop(server, options.drainTimeout ?? "10 seconds"))
  const port = yield* bind(server, `${host.includes(":") ? `[${host}]` : host}:${options.port ?? 0}`, credentials)
  return Server.Server.of({ address: `${host.includes(":") ? `[${host}]` : host}:${port}` })
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
export const layer = <R = never>(options: Options<R>): Layer.Layer<Server.Server, BindError, R> =>
  Layer.effect(Server.Server, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <R = never>(
  options: Config.Wrap<Options<R>>
): Layer.Layer<Server.Server, BindError | Config.ConfigError, R> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))
