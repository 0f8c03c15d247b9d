/**
 * The debug page on Node's own HTTP server, for programs that have no effect router.
 *
 * By default it listens where only this machine can reach it. A page somewhere else in the browser could still ask for it
 * under a name that its owner points here, so a server on loopback answers only to the names of loopback.
 *
 * This is an adapter in one file, as `NodeDns` is: it exists so that the page works without a platform package.
 */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Config, Context, Data, Effect, FiberSet, Layer, type Scope, Stream } from "effect"
import * as DebugPage from "./DebugPage.ts"
import type { Introspection } from "../introspection/Introspection.ts"

/**
 * Where to listen, and what and for whom the page is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends DebugPage.Options {
  /** An address of this machine. Default `127.0.0.1`. */
  readonly host?: string | undefined
  /** Default 0, which means one that is free. */
  readonly port?: number | undefined
}

/**
 * The page could not be served there.
 *
 * @category errors
 * @since 0.1.0
 */
export class ListenError extends Data.TaggedError("ListenError")<{
  readonly host: string
  readonly port: number
  readonly cause: Error
}> {
  override get message(): string {
    return `the debug page cannot listen on ${this.host}:${this.port}: ${this.cause.message}`
  }
}

/**
 * A debug page that is served.
 *
 * @category services
 * @since 0.1.0
 */
export class NodeDebugPage extends Context.Service<NodeDebugPage, { readonly url: string }>()(
  "trunkline/debugpage/NodeDebugPage"
) {}

/**
 * A handler of Node's requests, as `http.createServer` and Express take it. It answers what is not the page's by calling
 * `next`, or with 404 without one.
 *
 * @category models
 * @since 0.1.0
 */
export type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse, next?: () => void) => void

const asked = (request: Http.IncomingMessage): DebugPage.Request => ({
  method: request.method ?? "GET",
  url: request.url ?? "/",
  header(name) {
    const value = request.headers[name]
    return Array.isArray(value) ? value.join(", ") : value
  }
})

/** Waits until more can be written. When the reader leaves, the fiber is interrupted. */
const drained = (response: Http.ServerResponse) =>
  Effect.callback<void>((resume) => {
    const done = () => resume(Effect.void)
    response.once("drain", done)
    return Effect.sync(() => response.removeListener("drain", done))
  })

const send = (request: Http.IncomingMessage, response: Http.ServerResponse, answer: DebugPage.Answer) => {
  const { body, headers, status } = answer
  response.writeHead(status, headers)
  if (request.method === "HEAD" || typeof body === "string") {
    return Effect.sync(() => void response.end(request.method === "HEAD" ? undefined : body))
  }
  return Stream.runForEach(body, (text) => (response.write(text) ? Effect.void : drained(response)))
}

/** Answers a request whose handling failed with a defect. */
const broken = (response: Http.ServerResponse): void => {
  if (!response.headersSent) response.writeHead(500)
  response.end()
}

/**
 * Makes a handler, whose requests end with the scope.
 *
 * @example
 * import { createServer } from "node:http"
 * import { Effect } from "effect"
 * import { Introspection } from "trunkline"
 * import { NodeDebugPage } from "trunkline/debug-page"
 *
 * const program = Effect.gen(function*() {
 *   const handler = yield* NodeDebugPage.handler()
 *   return createServer(handler)
 * }).pipe(Effect.provide(Introspection.layer()))
 *
 * @category constructors
 * @since 0.1.0
 */
export const handler = Effect.fnUntraced(function* (
  options?: DebugPage.Options
): Effect.fn.Return<Handler, never, Introspection | Scope.Scope> {
  const run = yield* FiberSet.makeRuntime<Introspection>()
  return (request, response, next) => {
    const fiber = run(
      Effect.flatMap(DebugPage.answer(asked(request), options), (answer) => {
        if (answer !== undefined) return send(request, response, answer)
        if (next !== undefined) return Effect.sync(next)
        const headers = { "content-type": "text/plain; charset=utf-8" }
        return send(request, response, { status: 404, headers, body: "not found\n" })
      }).pipe(Effect.catchCause(() => Effect.sync(() => broken(response))))
    )
    response.once("close", () => fiber.interruptUnsafe())
  }
})

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

const isLoopback = (host: string): boolean => loopback.test(host.includes(":") ? `[${host}]` : host)

/** Serves only requests for a host name of loopback. */
const guarded =
  (handler: Handler): Handler =>
  (request, response) => {
    if (loopback.test(request.headers.host ?? "")) return handler(request, response)
    response.writeHead(421, { "content-type": "text/plain; charset=utf-8" })
    response.end("this page is served to loopback host names only\n")
  }

const listen = (server: Http.Server, host: string, port: number) =>
  Effect.callback<AddressInfo, ListenError>((resume) => {
    server.once("error", (cause) => resume(Effect.fail(new ListenError({ host, port, cause }))))
    server.listen(port, host, () => resume(Effect.succeed(server.address() as AddressInfo)))
  })

/**
 * Serves the page until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options?: Options
): Effect.fn.Return<NodeDebugPage["Service"], ListenError, Introspection | Scope.Scope> {
  const host = options?.host ?? "127.0.0.1"
  const answer = yield* handler(options)
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => Http.createServer(isLoopback(host) ? guarded(answer) : answer)),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const { address, port } = yield* listen(server, host, options?.port ?? 0)
  const name = address.includes(":") ? `[${address}]` : address
  return NodeDebugPage.of({ url: `http://${name}:${port}${options?.path ?? DebugPage.defaultPath}` })
})

/**
 * Serves the page of everything above the introspection it is given.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<NodeDebugPage, ListenError, Introspection> =>
  Layer.effect(NodeDebugPage, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<NodeDebugPage, ListenError | Config.ConfigError, Introspection> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
