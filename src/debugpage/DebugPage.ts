/**
 * `/debug/backends`: a page that shows the backends of a program, their health, and why calls failed.
 *
 * It answers GET and HEAD, and changes nothing. The page, its JSON and its events are made of the same snapshot. The page is
 * complete without scripts; with them, it updates by server-sent events. Its data come from other machines, so all of it is
 * escaped, and a content security policy is the second defence. `authorize` decides who may see it: the page names machines.
 *
 * `answer` knows no server. `layer` mounts it in an effect `HttpRouter`; `NodeDebugPage` serves it with Node alone.
 */
import { Config, Effect, Layer, Stream } from "effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Document from "./Document.ts"
import { Introspection } from "../introspection/Introspection.ts"

/**
 * What the page needs to know of a request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  readonly method: string
  /** Path and query. */
  readonly url: string
  /** By a name in lower case. */
  readonly header: (name: string) => string | undefined
}

/**
 * What is answered. A stream of text is one of events, and ends when its reader leaves.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Stream.Stream<string>
}

/**
 * Where the page is, and for whom.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Default `/debug/backends`. The JSON is at the same path with `.json`, the events at `/events` below it. */
  readonly path?: `/${string}` | undefined
  /** Whether a request may see the page. Default everybody who reaches it. */
  readonly authorize?: ((request: Request) => Effect.Effect<boolean>) | undefined
  /** The `WWW-Authenticate` of a refusal, such as `Basic realm="debug"`. Default none, and a plain 403. */
  readonly challenge?: string | undefined
}

/**
 * Where the page is unless said otherwise.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultPath = "/debug/backends"

/** A page without scripts is asked for anew so often, in seconds. */
const refreshSeconds = 5

/** 128 bits, as hexadecimal digits. A secret, and so not from the context's `Random`, whose numbers can be foretold. */
const nonce = Effect.sync(() =>
  [...globalThis.crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("")
)

const common = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin"
}

const text = (status: number, body: string, headers?: Readonly<Record<string, string>>): Answer => ({
  status,
  headers: { ...common, "content-type": "text/plain; charset=utf-8", ...headers },
  body
})

const policy = (nonce: string): string =>
  [
    "default-src 'none'",
    `style-src 'nonce-${nonce}'`,
    `script-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; ")

const page = (introspection: Introspection["Service"], path: string) =>
  Effect.gen(function* () {
    const mark = yield* nonce
    // Relative, so that the page works behind whatever prefix it is mounted or proxied under.
    const events = `./${path.slice(path.lastIndexOf("/") + 1)}/events`
    const body = Document.page(yield* introspection.snapshot, { nonce: mark, events, refreshSeconds })
    const headers = {
      ...common,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy(mark),
      vary: "accept"
    }
    return { status: 200, headers, body }
  })

const json = (introspection: Introspection["Service"]) =>
  Effect.map(introspection.snapshot, (snapshot) => ({
    status: 200,
    headers: { ...common, "content-type": "application/json; charset=utf-8", vary: "accept" },
    body: JSON.stringify(snapshot)
  }))

/** One event; a line of text is a line of data. */
const event = (name: string, data: string): string =>
  `event: ${name}\n${data
    .split(/\r\n|\n|\r/)
    .map((line) => `data: ${line}\n`)
    .join("")}\n`

const events = (introspection: Introspection["Service"], format: string | null): Answer => ({
  status: 200,
  headers: { ...common, "content-type": "text/event-stream; charset=utf-8", "x-accel-buffering": "no" },
  body: Stream.map(introspection.snapshots, (snapshot) =>
    format === "json" ? event("snapshot", JSON.stringify(snapshot)) : event("page", Document.main(snapshot).text)
  )
})

/** What is asked for, or `undefined` if it is not ours. */
const kindOf = (pathname: string, path: string, accept: string): "page" | "json" | "events" | undefined => {
  if (pathname === `${path}/events`) return "events"
  if (pathname === `${path}.json`) return "json"
  if (pathname !== path) return undefined
  return accept.includes("application/json") && !accept.includes("text/html") ? "json" : "page"
}

const split = (url: string): readonly [pathname: string, query: URLSearchParams] => {
  const at = url.indexOf("?")
  return at < 0 ? [url, new URLSearchParams()] : [url.slice(0, at), new URLSearchParams(url.slice(at + 1))]
}

/**
 * Answers a request; `undefined` if its path is not the page's.
 *
 * @category answering
 * @since 0.1.0
 */
export const answer = Effect.fnUntraced(function* (
  request: Request,
  options?: Options
): Effect.fn.Return<Answer | undefined, never, Introspection> {
  const introspection = yield* Introspection
  const [pathname, query] = split(request.url)
  const kind = kindOf(pathname, options?.path ?? defaultPath, request.header("accept") ?? "")
  if (kind === undefined) return undefined
  if (request.method !== "GET" && request.method !== "HEAD") {
    return text(405, "method not allowed\n", { allow: "GET, HEAD" })
  }
  if (options?.authorize !== undefined && !(yield* options.authorize(request))) {
    return options.challenge === undefined
      ? text(403, "forbidden\n")
      : text(401, "authentication required\n", { "www-authenticate": options.challenge })
  }
  if (kind === "events") return events(introspection, query.get("format"))
  return yield* kind === "json" ? json(introspection) : page(introspection, pathname)
})

const toResponse = ({ body, headers, status }: Answer): HttpServerResponse.HttpServerResponse =>
  typeof body === "string"
    ? HttpServerResponse.text(body, { status, headers, contentType: headers["content-type"] })
    : HttpServerResponse.stream(Stream.encodeText(body), { status, headers, contentType: headers["content-type"] })

const notFound: Answer = text(404, "not found\n")

/**
 * Mounts the page in a router, under the prefix of that router if it has one.
 *
 * @example
 * import { Effect, Layer } from "effect"
 * import { HttpRouter } from "effect/http"
 * import { Introspection } from "trunkline"
 * import { DebugPage } from "trunkline/debug-page"
 *
 * const Debug = DebugPage.layer({
 *   authorize: (request) => Effect.succeed(request.header("authorization") === "Bearer letmein")
 * })
 * const App = Layer.mergeAll(Debug, HttpRouter.add("GET", "/", Effect.die("the rest of the program")))
 *   .pipe(Layer.provide(Introspection.layer()))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never, never, HttpRouter.HttpRouter | Introspection> => {
  const path = options?.path ?? defaultPath
  return HttpRouter.use((router) =>
    Effect.gen(function* () {
      const introspection = yield* Introspection
      const handle = (suffix: "" | ".json" | "/events") =>
        router.add("*", `${path}${suffix}`, (request) =>
          answer(
            {
              method: request.method,
              // The router has matched the path; whatever was in front of it is not for us to know.
              url: `${path}${suffix}${request.url.includes("?") ? request.url.slice(request.url.indexOf("?")) : ""}`,
              header: (name) => request.headers[name]
            },
            options
          ).pipe(
            Effect.provideService(Introspection, introspection),
            Effect.map((answered) => toResponse(answered ?? notFound))
          )
        )
      yield* handle("")
      yield* handle(".json")
      yield* handle("/events")
    })
  )
}

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (
  options: Config.Wrap<Options>
): Layer.Layer<never, Config.ConfigError, HttpRouter.HttpRouter | Introspection> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
