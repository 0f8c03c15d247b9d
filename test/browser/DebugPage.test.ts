/** The debug page as a person meets it: in a browser, while backends die and come back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Schedule, Scope, Stream } from "effect"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { Backoff, Balancer, Client, Introspection, Retry, RoundRobin, StaticDiscovery, Transport } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"
import { NodeDebugPage } from "trunkline/debug-page"
import type { Snapshot } from "trunkline/extend"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { peer, pool, snapshot } from "../support/snapshots.ts"
import { browser } from "../support/chromium.ts"

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

const hostile = `"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

/** A backend that can die and come back at its address. */
const backend = (name: string) =>
  Effect.gen(function* () {
    const start = (port: number) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const server = GrpcJsServer.make({ handlers: [echoHandlers(name)], port, drainTimeout: 0 })
        const { address } = yield* Scope.provide(server, scope)
        return { address, scope }
      })
    let running = yield* start(0)
    const { address } = running
    const stop = Effect.suspend(() => Scope.close(running.scope, Exit.void))
    yield* Effect.addFinalizer(() => stop)
    const again = start(Number(address.split(":").at(-1)))
    return { address, stop, start: Effect.map(again, (next) => void (running = next)) }
  })

/** Three backends, calls of which some fail, and the page about them. */
const program = Effect.gen(function* () {
  const backends = yield* Effect.all([backend("a"), backend("b"), backend("c")])
  const transport = yield* Balancer.make({
    discovery: StaticDiscovery.make(backends.map(({ address }) => address)),
    picker: RoundRobin.make(),
    reconnect: Schedule.spaced("200 millis"),
    eager: true
  }).pipe(Effect.provide(GrpcJsConnector.layer()))
  const echo = yield* Client.make(EchoService).pipe(
    Effect.provideService(Transport.Transport, transport),
    Effect.provideService(Retry.Current, Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "5 millis" })))
  )
  yield* echo
    .lookup({})
    .pipe(
      Effect.andThen(echo.lookup({ failCode: 13, text: hostile })),
      Effect.ignore,
      Effect.repeat(Schedule.spaced("10 millis")),
      Effect.forkScoped
    )
  const { url } = yield* NodeDebugPage.make()
  return { backends, url }
})

/** Shows one moment for ever. */
const still = (moment: Snapshot.Snapshot) =>
  Layer.succeed(
    Introspection.Introspection,
    Introspection.Introspection.of({
      register: () => Effect.void,
      snapshot: Effect.succeed(moment),
      snapshots: Stream.concat(Stream.succeed(moment), Stream.never)
    })
  )

/** An open page and all that its console complained of. */
const open = (browser: Browser, url: string, options?: BrowserContextOptions) =>
  Effect.gen(function* () {
    const context = yield* Effect.acquireRelease(
      Effect.promise(() => browser.newContext(options)),
      (context) => Effect.promise(() => context.close())
    )
    const page = yield* Effect.promise(() => context.newPage())
    const complaints: Array<string> = []
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complaints.push(message.text())
    })
    page.on("pageerror", (error) => complaints.push(error.message))
    yield* Effect.promise(() => page.goto(url))
    return { page, complaints }
  })

/** Waits until the row of a peer says something; fails after 2 seconds. */
const says = (page: Page, address: string, text: string | RegExp) =>
  Effect.promise(() =>
    page.getByRole("row").filter({ hasText: address }).filter({ hasText: text }).waitFor({ timeout: 2000 })
  )

/** Runs a script in the page; a string, because the compiler of these tests knows no browser. */
const run = (page: Page, script: string): Effect.Effect<unknown> => Effect.promise(() => page.evaluate(script))

/** What axe finds wrong. */
const faults = (page: Page) =>
  Effect.andThen(
    run(page, axe),
    run(
      page,
      `axe.run().then(({ violations }) =>
         violations.map(({ id, nodes }) => id + ": " + nodes[0].html + " " + nodes[0].failureSummary))`
    )
  )

/** Everything that the page can show at once. */
const everything = snapshot({
  pools: [
    pool({
      panicked: 3,
      discovery: { error: "no such host" },
      peers: [
        peer({ id: "a:1", started: 9, recent: { calls: 9, errors: 0, share: 1, latencyMillis: 4, latencies: [3, 5] } }),
        peer({ id: "b:1", state: "Down", cause: "refused", failed: 7, lastError: { text: hostile, at: 0 } }),
        peer({ id: "c:1", state: "Connecting", locality: "west", weight: 2 }),
        peer({ id: "d:1", state: "Idle" }),
        peer({ id: "e:1", state: "Gone" }),
        peer({ id: "f:1", standing: { status: "Ejected", cause: "5 failures", weight: 1, until: 70_000 } }),
        peer({ id: "g:1", standing: { status: "Probe", weight: 1 } }),
        peer({ id: "x".repeat(300), state: "Down", cause: "y".repeat(300) })
      ]
    }),
    pool({ id: 2, peers: [] })
  ],
  clients: [
    {
      id: 3,
      service: "shop.v1.A".repeat(9),
      budget: { balance: 3, withdrawals: 96, exhaustions: 14, shared: true },
      policies: [{ of: "every method", text: "one attempt" }]
    }
  ],
  multiEndpoints: [
    {
      id: 4,
      name: "read",
      current: "a:1",
      endpoints: [
        { endpoint: "a:1", availability: "Recovering", failing: false },
        { endpoint: "b:1", availability: "Available", failing: true },
        { endpoint: "c:1", availability: "Unavailable", failing: false }
      ],
      history: [{ from: "b:1", to: "a:1", reason: "fallback", at: 0 }]
    }
  ]
})

describe("the debug page in Chromium", () => {
  it.live(
    "follows a backend that dies and returns, without being loaded again and without a complaint",
    () =>
      Effect.gen(function* () {
        const { backends, url } = yield* program
        const { complaints, page } = yield* open(yield* browser, url)
        const [, b] = backends
        for (const { address } of backends) yield* says(page, address, "Ready")
        // Lost if the page were loaded again, or its rows made anew.
        yield* run(
          page,
          `[...document.querySelectorAll("tbody tr")].find((row) => row.dataset.key === "${b.address}").mine = true
             document.querySelector("details").open = true
             document.querySelector("summary").focus()`
        )
        const callsOf = Effect.promise(() =>
          page.getByRole("row").filter({ hasText: b.address }).getByRole("cell").nth(2).innerText()
        ).pipe(Effect.map((text) => Number(text.split("\n")[0]!.replace(/\D/g, ""))))

        yield* b.stop
        yield* says(page, b.address, "Down")
        yield* says(page, b.address, /ECONNREFUSED|refused|lost/i)
        yield* Effect.promise(() => page.getByText("2 of 3 backends ready").waitFor({ timeout: 2000 }))
        const trouble = page.getByRole("region", { name: "Not as it should be" })
        yield* Effect.promise(() => trouble.getByRole("link", { name: b.address }).waitFor({ timeout: 2000 }))
        const before = yield* callsOf

        yield* b.start
        yield* says(page, b.address, "Ready")
        yield* Effect.promise(() => page.getByText("3 of 3 backends ready").waitFor({ timeout: 2000 }))
        yield* Effect.sleep("1500 millis")
        assert.isAbove(yield* callsOf, before)

        const kept = yield* run(
          page,
          `({
              mine: [...document.querySelectorAll("tbody tr")].filter((row) => row.mine).length,
              focused: document.activeElement.tagName,
              isOpen: document.querySelector("details").open
            })`
        )
        assert.deepStrictEqual(kept, { mine: 1, focused: "SUMMARY", isOpen: true })

        // What the backends said of themselves is shown, and nothing of it has run.
        yield* Effect.promise(() => page.getByText("<script>document.title='owned'</script>").first().waitFor())
        assert.strictEqual(yield* Effect.promise(() => page.title()), "3/3 Backends")
        assert.strictEqual(yield* Effect.promise(() => page.locator("img").count()), 0)
        assert.strictEqual(yield* Effect.promise(() => page.locator("main script").count()), 0)
        assert.deepStrictEqual(complaints, [])
      }).pipe(Effect.scoped, Effect.provide(Introspection.layer({ interval: "250 millis" }))),
    30_000
  )

  it.live(
    "has no fault that axe knows, at any width, by day and by night, and never scrolls sideways",
    () =>
      Effect.gen(function* () {
        const { url } = yield* NodeDebugPage.make()
        const chromium = yield* browser
        for (const width of [360, 1440]) {
          for (const colorScheme of ["light", "dark"] as const) {
            const { complaints, page } = yield* open(chromium, url, { viewport: { width, height: 900 }, colorScheme })
            yield* Effect.promise(() => page.getByText("What its policy does").click())
            const where = `${width} ${colorScheme}`
            assert.deepStrictEqual(yield* faults(page), [], where)
            const overflow = yield* run(
              page,
              "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert.strictEqual(overflow, 0, where)
            assert.deepStrictEqual(complaints, [], where)
          }
        }
      }).pipe(Effect.scoped, Effect.provide(still(everything))),
    60_000
  )

  it.live(
    "is a table with a name, heads and states in words for whoever hears it",
    () =>
      Effect.gen(function* () {
        const { url } = yield* NodeDebugPage.make()
        const chromium = yield* browser
        for (const width of [360, 1440]) {
          const { page } = yield* open(chromium, url, { viewport: { width, height: 900 } })
          const table = page.getByRole("table", { name: "Backends of dns:///greeter:50051" })
          const count = (role: "columnheader" | "rowheader") => Effect.promise(() => table.getByRole(role).count())
          assert.deepStrictEqual([yield* count("columnheader"), yield* count("rowheader")], [8, 8])
          const cells = yield* Effect.promise(() => table.getByRole("row").nth(2).getByRole("cell").allInnerTexts())
          assert.match(cells[0]!, /^Down/)
          yield* Effect.promise(() =>
            page.getByRole("img", { name: "latency of the last minute: 3 ms to 5 ms" }).waitFor()
          )
        }
      }).pipe(Effect.scoped, Effect.provide(still(everything))),
    30_000
  )

  it.live(
    "can be walked by keyboard, with the focus in sight",
    () =>
      Effect.gen(function* () {
        const { url } = yield* NodeDebugPage.make()
        const { page } = yield* open(yield* browser, url)
        const stops: Array<string> = []
        for (let i = 0; i < 9; i++) {
          yield* Effect.promise(() => page.keyboard.press("Tab"))
          const outline = yield* run(page, "getComputedStyle(document.activeElement).outlineStyle")
          const text = String(yield* run(page, "document.activeElement.textContent"))
          assert.strictEqual(outline, "solid", text)
          stops.push(text)
        }
        assert.deepStrictEqual(
          [stops.at(0), stops.at(2), stops.at(-1)],
          ["Skip to the backends", "b:1", "What its policy does"]
        )
        yield* Effect.promise(() => page.keyboard.press("Enter"))
        yield* Effect.promise(() => page.getByText("one attempt").waitFor({ timeout: 1000 }))
      }).pipe(Effect.scoped, Effect.provide(still(everything))),
    30_000
  )

  it.live(
    "is whole without scripts, and asks for itself anew",
    () =>
      Effect.gen(function* () {
        const { url } = yield* NodeDebugPage.make()
        const { complaints, page } = yield* open(yield* browser, url, { javaScriptEnabled: false })
        yield* says(page, "b:1", "Down")
        yield* Effect.promise(() => page.waitForRequest(url, { timeout: 8000 }))
        assert.deepStrictEqual(complaints, [])
      }).pipe(Effect.scoped, Effect.provide(still(everything))),
    30_000
  )

  it.live(
    "says so when its program is gone, and goes on when it is back",
    () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { url } = yield* Scope.provide(NodeDebugPage.make(), scope)
        const { page } = yield* open(yield* browser, url)
        yield* Effect.promise(() => page.getByText("This page is live").waitFor({ timeout: 2000 }))
        yield* Scope.close(scope, Exit.void)
        yield* Effect.promise(() => page.getByText("not connected, trying again").waitFor({ timeout: 2000 }))
        yield* NodeDebugPage.make({ port: Number(new URL(url).port) })
        yield* Effect.promise(() => page.getByText("This page is live").waitFor({ timeout: 8000 }))
      }).pipe(Effect.scoped, Effect.provide(still(everything))),
    30_000
  )
})
