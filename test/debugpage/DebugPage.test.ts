/** The page over HTTP: in effect's router, and on Node's own server on loopback. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, Stream } from "effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as Http from "node:http"
import { Introspection } from "trunkline"
import { DebugPage, NodeDebugPage } from "trunkline/debug-page"
import { Snapshot } from "trunkline/extend"

/** What came back. */
interface Reply {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
}

/** Asks over a socket; events are read until so many have come. */
const ask = (url: string, options?: Http.RequestOptions & { readonly events?: number }): Effect.Effect<Reply> =>
  Effect.callback((resume) => {
    const request = Http.request(url, options ?? {}, (response) => {
      let body = ""
      const done = () => resume(Effect.succeed({ status: response.statusCode!, headers: response.headers, body }))
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text
        if (body.split("\n\n").length > (options?.events ?? Infinity)) {
          request.destroy()
          done()
        }
      })
      response.on("end", done)
    })
    request.on("error", (error) => resume(Effect.die(error)))
    request.end()
    return Effect.sync(() => request.destroy())
  })

const Seen = Introspection.layer({ interval: "100 millis" })

const pool = { target: "the <cellar>", discovery: {}, peers: [] }

/** The URL of a page that shows one pool. */
const served = (options?: NodeDebugPage.Options) =>
  Effect.gen(function* () {
    yield* Introspection.register({ _tag: "Pool", read: Effect.succeed(pool) })
    return (yield* NodeDebugPage.make(options)).url
  })

const live = <A, E>(name: string, test: () => Effect.Effect<A, E, Introspection.Introspection>) =>
  it.live(name, () => Effect.provide(test(), Seen))

describe("on Node", () => {
  live("is a page that trusts nobody", () =>
    Effect.gen(function* () {
      const url = yield* served()
      assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/debug\/backends$/)
      const { body, headers, status } = yield* ask(url)
      assert.deepStrictEqual([status, headers["content-type"]], [200, "text/html; charset=utf-8"])
      assert.include(body, "the &lt;cellar&gt;")
      const nonce = /'nonce-([0-9a-f]{32})'/.exec(headers["content-security-policy"] as string)![1]!
      assert.strictEqual(body.split(`nonce="${nonce}"`).length, 3)
      assert.match(headers["content-security-policy"] as string, /^default-src 'none'; style-src 'nonce-/)
      assert.deepStrictEqual(
        ["x-content-type-options", "cache-control", "referrer-policy"].map((name) => headers[name]),
        ["nosniff", "no-store", "no-referrer"]
      )
      assert.notInclude((yield* ask(url)).body, nonce)
    }).pipe(Effect.scoped)
  )

  live("nobody foretells a nonce: it does not come from the context's chance", () =>
    Effect.gen(function* () {
      const headers = { header: () => undefined, method: "GET", url: "/debug/backends" }
      const foretold = { nextIntUnsafe: () => 7, nextDoubleUnsafe: () => 0.5 }
      const mark = Effect.map(
        Effect.provideService(DebugPage.answer(headers), Random.Random, foretold),
        (answer) => /'nonce-([0-9a-f]{32})'/.exec(answer!.headers["content-security-policy"]!)![1]
      )
      assert.notStrictEqual(yield* mark, yield* mark)
    })
  )

  live("is JSON for whoever prefers that", () =>
    Effect.gen(function* () {
      const url = yield* served()
      const named = yield* ask(`${url}.json`)
      assert.strictEqual(named.headers["content-type"], "application/json; charset=utf-8")
      const { pools, version } = yield* Snapshot.fromJson(named.body)
      assert.deepStrictEqual([version, pools[0]!.target], [1, "the <cellar>"])
      const preferred = yield* ask(url, { headers: { accept: "application/json" } })
      assert.strictEqual((yield* Snapshot.fromJson(preferred.body)).version, 1)
      const browser = yield* ask(url, { headers: { accept: "text/html,application/json;q=0.9" } })
      assert.match(browser.body, /^<!doctype html>/)
    }).pipe(Effect.scoped)
  )

  live("sends the changing part as events, again and again", () =>
    Effect.gen(function* () {
      const url = yield* served()
      const { body, headers } = yield* ask(`${url}/events`, { events: 3 })
      assert.strictEqual(headers["content-type"], "text/event-stream; charset=utf-8")
      const events = body.split("\n\n").slice(0, 3)
      for (const event of events) {
        assert.match(event, /^event: page\ndata: <main id="main"/)
        assert.isTrue(
          event
            .split("\n")
            .slice(1)
            .every((line) => line.startsWith("data: "))
        )
      }
      const json = yield* ask(`${url}/events?format=json`, { events: 2 })
      const [first, second] = json.body.split("\n\n").map((event) => event.replace("event: snapshot\ndata: ", ""))
      const before = yield* Snapshot.fromJson(first)
      const after = yield* Snapshot.fromJson(second)
      assert.isAtLeast(after.at - before.at, 90)
    }).pipe(Effect.scoped)
  )

  live("stops making events for a reader that has left", () =>
    Effect.gen(function* () {
      let looks = 0
      yield* Introspection.register({
        _tag: "MultiEndpoint",
        read: Effect.sync(() => {
          looks++
          return []
        })
      })
      const url = yield* served()
      yield* ask(`${url}/events`, { events: 2 })
      yield* Effect.sleep("100 millis")
      const before = looks
      assert.isAtLeast(before, 2)
      yield* Effect.sleep("400 millis")
      assert.strictEqual(looks, before)
    }).pipe(Effect.scoped)
  )

  live("only reads, and is nowhere else", () =>
    Effect.gen(function* () {
      const url = yield* served()
      for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
        const { headers, status } = yield* ask(url, { method })
        assert.deepStrictEqual([status, headers.allow], [405, "GET, HEAD"], method)
      }
      const head = yield* ask(`${url}/events`, { method: "HEAD" })
      assert.deepStrictEqual([head.status, head.body], [200, ""])
      for (const path of [
        "/",
        "/debug",
        "/debug/backends/",
        "/debug/backends/x",
        "/debug/backends.html",
        "//x/debug"
      ]) {
        assert.strictEqual((yield* ask(new URL(url).origin + path)).status, 404, path)
      }
    }).pipe(Effect.scoped)
  )

  live("asks who may see it, for each of its addresses", () =>
    Effect.gen(function* () {
      const authorize = (request: DebugPage.Request) => Effect.succeed(request.header("authorization") === "Bearer ok")
      const refused = yield* served({ authorize })
      const challenged = yield* served({ authorize, challenge: `Bearer realm="debug"` })
      for (const suffix of ["", ".json", "/events"]) {
        const { body, status } = yield* ask(refused + suffix)
        assert.deepStrictEqual([status, body], [403, "forbidden\n"], suffix)
        const { headers, status: unknown } = yield* ask(challenged + suffix)
        assert.deepStrictEqual([unknown, headers["www-authenticate"]], [401, `Bearer realm="debug"`], suffix)
      }
      const headers = { authorization: "Bearer ok" }
      assert.strictEqual((yield* ask(refused, { headers })).status, 200)
    }).pipe(Effect.scoped)
  )

  live("answers on loopback only to names of loopback", () =>
    Effect.gen(function* () {
      const url = yield* served()
      const { port } = new URL(url)
      const status = (host: string) => Effect.map(ask(url, { headers: { host } }), (reply) => reply.status)
      for (const host of [`localhost:${port}`, "127.0.0.1", `[::1]:${port}`]) {
        assert.strictEqual(yield* status(host), 200, host)
      }
      for (const host of ["evil.example", `localhost.evil.example:${port}`, "127.0.0.1.evil.example"]) {
        assert.strictEqual(yield* status(host), 421, host)
      }
    }).pipe(Effect.scoped)
  )

  live("says where it could not listen, and lets go of its port in the end", () =>
    Effect.gen(function* () {
      const url = yield* Effect.scoped(
        Effect.gen(function* () {
          const url = yield* served()
          const port = Number(new URL(url).port)
          const error = yield* Effect.flip(NodeDebugPage.make({ port }))
          assert.match(
            error.message,
            new RegExp(`^the debug page cannot listen on 127\\.0\\.0\\.1:${port}: .*EADDRINUSE`)
          )
          const reader = yield* Effect.forkScoped(ask(`${url}/events`, { events: 1000 }))
          yield* Effect.sleep("50 millis")
          assert.isUndefined(reader.pollUnsafe())
          yield* Fiber.interrupt(reader)
          return url
        })
      )
      yield* Effect.scoped(NodeDebugPage.make({ port: Number(new URL(url).port) }))
    })
  )

  live("passes on what is not its own when it is a part of a server", () =>
    Effect.gen(function* () {
      const handler = yield* NodeDebugPage.handler({ path: "/backends" })
      const server = Http.createServer((request, response) =>
        handler(request, response, () => response.end("the rest of the program"))
      )
      yield* Effect.acquireRelease(
        Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () => Effect.sync(() => server.close())
      )
      const origin = `http://127.0.0.1:${(server.address() as { readonly port: number }).port}`
      assert.match((yield* ask(`${origin}/backends`)).body, /^<!doctype html>/)
      assert.strictEqual((yield* ask(`${origin}/debug/backends`)).body, "the rest of the program")
    }).pipe(Effect.scoped)
  )
})

describe("in a router", () => {
  const App = (options?: DebugPage.Options) =>
    HttpRouter.toWebHandler(
      Layer.mergeAll(
        DebugPage.layer(options),
        Layer.effectDiscard(Introspection.register({ _tag: "Pool", read: Effect.succeed(pool) }))
      ).pipe(Layer.provide(Seen)),
      { disableLogger: true }
    )

  const asking = (app: ReturnType<typeof App>, path: string, init?: RequestInit) =>
    Effect.promise(() => app.handler(new Request(`http://any.example${path}`, init)))

  it.live("answers as it does on Node", () =>
    Effect.gen(function* () {
      const app = App()
      yield* Effect.addFinalizer(() => Effect.promise(app.dispose))
      const page = yield* asking(app, "/debug/backends?x=1")
      assert.deepStrictEqual([page.status, page.headers.get("content-type")], [200, "text/html; charset=utf-8"])
      assert.include(page.headers.get("content-security-policy")!, "default-src 'none'")
      assert.include(yield* Effect.promise(() => page.text()), "the &lt;cellar&gt;")
      const json = yield* asking(app, "/debug/backends.json")
      const { pools } = yield* Snapshot.fromJson(yield* Effect.promise(() => json.text()))
      assert.strictEqual(pools[0]!.target, "the <cellar>")
      assert.strictEqual((yield* asking(app, "/debug/backends", { method: "POST" })).status, 405)
      const events = yield* asking(app, "/debug/backends/events?format=json")
      assert.strictEqual(events.headers.get("content-type"), "text/event-stream; charset=utf-8")
      const body = yield* Stream.fromReadableStream({ evaluate: () => events.body!, onError: (error) => error }).pipe(
        Stream.take(2),
        Stream.decodeText,
        Stream.mkString
      )
      assert.strictEqual(body.match(/^event: snapshot$/gm)?.length, 2)
    }).pipe(Effect.scoped)
  )

  it.live("is where it is mounted, and for whom", () =>
    Effect.gen(function* () {
      const app = App({ path: "/who", authorize: ({ header }) => Effect.succeed(header("x-me") === "1") })
      yield* Effect.addFinalizer(() => Effect.promise(app.dispose))
      assert.strictEqual((yield* asking(app, "/debug/backends")).status, 404)
      assert.strictEqual((yield* asking(app, "/who")).status, 403)
      assert.strictEqual((yield* asking(app, "/who", { headers: { "x-me": "1" } })).status, 200)
    }).pipe(Effect.scoped)
  )
})
