/**
 * A server of handlers.
 *
 * What serves is an adapter's business; what is served is a `Router`: methods by their path, with the handlers' context
 * and the server's interceptors already in place.
 */
import { Context, Data, type Duration, Effect } from "effect"
import * as Interceptor from "../call/Interceptor.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as Tracing from "../telemetry/Tracing.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Handler, Handlers } from "./Handlers.ts"
import type * as ServerLimits from "./ServerLimits.ts"

/**
 * A running server.
 *
 * @category services
 * @since 0.1.0
 */
export class Server extends Context.Service<
  Server,
  {
    /** Where clients connect, `host:port`, with the port that was bound. */
    readonly address: string
  }
>()("trunkline/server/Server") {}

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
 * What to serve.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> {
  readonly handlers: ReadonlyArray<Handlers<R>>
  /** Stands in front of every handler. */
  readonly interceptor?: Interceptor.Interceptor | undefined
  /** Runs when the server begins to stop and still accepts calls, after the handlers' own. */
  readonly onDrain?: Effect.Effect<void, never, R> | undefined
}

/**
 * Where and how any adapter serves.
 *
 * @category models
 * @since 0.1.0
 */
export interface ListenOptions<R> extends Options<R>, ServerLimits.Options {
  /** Default `127.0.0.1`. `localhost` is both families on one port. */
  readonly host?: string | undefined
  /** Default 0: any free port; the server's address says which. */
  readonly port?: number | undefined
  /** Of a Unix socket to listen at, instead of host and port; the server's address is `unix:` and the path. */
  readonly path?: string | undefined
  /** Largest message that is read, in bytes. Default 4 MiB. */
  readonly maxReceiveMessageBytes?: number | undefined
  /**
   * The most metadata a header block of an answer may have, in bytes as RFC 9113, 6.5.2 counts them. Default 60,000, which
   * is also the most grpc-js can carry. A client that reads less gets less.
   */
  readonly maxMetadataBytes?: number | undefined
  /** Messages of a request stream that may be buffered or asked for at one time. Default 16. */
  readonly window?: number | undefined
  /** How long the server goes on accepting calls when it has drained, for balancers to notice. Default 0. */
  readonly drainDelay?: Duration.Input | undefined
  /** How long calls may go on when the server has stopped accepting. Default 10 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
}

/**
 * Two handlers for one method, of which a server can only ask one.
 *
 * @category errors
 * @since 0.1.0
 */
export class MethodCollision extends Data.TaggedError("MethodCollision")<{
  /** Full method path, `/package.Service/Method`. */
  readonly method: string
}> {
  override get message(): string {
    return `more than one handler for ${this.method}`
  }
}

/**
 * Handlers by method path.
 *
 * @category models
 * @since 0.1.0
 */
export type Router = ReadonlyMap<string, Handler>

/**
 * What an adapter serves: the handlers, and what is to be done when it begins to stop.
 *
 * @category models
 * @since 0.1.0
 */
export interface Application {
  readonly router: Router
  /**
   * What to answer a call that no handler serves. Each is counted, so it is asked once a call. grpc-js answers such calls by
   * itself and tells nobody, so over it they are not counted.
   */
  readonly unserved: (path: string) => RpcError.RpcError
  readonly drain: Effect.Effect<void>
}

/** A server stops whatever its program makes of the news. */
const surviving = <R>(self: Effect.Effect<void, never, R>, what: string): Effect.Effect<void, never, R> =>
  Effect.catchCause(self, (cause) => Effect.logError(`${what} died; the server stops all the same`, cause))

/**
 * Builds what is to be served in the context it needs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const build = Effect.fnUntraced(function* <R>(
  options: Options<R>
): Effect.fn.Return<Application, MethodCollision, R> {
  const context = yield* Effect.context<R>()
  const interceptor = Interceptor.compose([
    Tracing.server(yield* Tracing.Current),
    options.interceptor ?? Interceptor.identity
  ])
  const handlers = yield* Effect.forEach(options.handlers, (handlers) => handlers.build)
  const methods = handlers.flat().map(({ method }) => method)
  const measured = (yield* Metrics.Current) === undefined ? undefined : yield* Metrics.server(methods)
  const observe = measured?.call
  const router = new Map<string, Handler>()
  for (const { invoker, intercepted = false, method } of handlers.flat()) {
    if (router.has(method.path)) return yield* new MethodCollision({ method: method.path })
    router.set(method.path, {
      method,
      invoker: Interceptor.apply(interceptor, invoker),
      intercepted: intercepted || options.interceptor !== undefined,
      observe
    })
  }
  const drains = options.handlers.map(({ drain, service }) => surviving(drain, `the drain of ${service.typeName}`))
  const drain = Effect.andThen(
    Effect.forEach(drains, (drain) => drain, { concurrency: "unbounded", discard: true }),
    surviving(options.onDrain ?? Effect.void, "onDrain")
  )
  const unserved = (path: string): RpcError.RpcError => {
    const error = RpcError.make("UNIMPLEMENTED", `no method ${path}`)
    measured?.unserved(error.code)
    return error
  }
  return { router, unserved, drain: Effect.provideContext(drain, context) }
})
