/** Certificates that change while connections are open. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Queue, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Balancer, Client, Handlers, RoundRobin, StaticDiscovery, type Tls } from "trunkline"
import { Http2Connector, Http2Server, TlsFiles } from "trunkline/http2"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { selfSigned } from "../support/certificate.ts"
import { clientOf } from "../support/http2Client.ts"

const serve = (tls: Http2Server.Options<never>["tls"], handlers: Handlers.Handlers = echoHandlers("a")) =>
  Effect.map(Http2Server.make({ handlers: [handlers], drainTimeout: "1 second", tls }), ({ address }) => ({
    address,
    target: `localhost:${address.split(":")[1]}`
  }))

/** Whether a client with these credentials is served. */
const served = (target: string, tls: Http2Connector.Options["tls"]) =>
  Effect.scoped(
    Effect.map(
      Effect.exit(Effect.flatMap(clientOf([target], { tls }), (client) => client.lookup({ text: "hello" }))),
      Exit.isSuccess
    )
  )

const within = Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(100)])

/** Waits for a rotation to be through. */
const eventually = (check: Effect.Effect<boolean>, expected: boolean) =>
  Effect.retry(
    Effect.flatMap(check, (found) => (found === expected ? Effect.void : Effect.fail("not yet"))),
    within
  )

describe("a server's certificate", () => {
  it.live("new connections get the new one, a call under way is not disturbed", () =>
    Effect.gen(function* () {
      const before = yield* selfSigned("localhost")
      const after = yield* selfSigned("localhost")
      const sets = yield* Queue.unbounded<typeof before>()
      yield* Queue.offer(sets, before)
      const gate = yield* Deferred.make<void>()
      const began = yield* Deferred.make<void>()
      const handlers = Handlers.make(EchoService, {
        echo: () =>
          Effect.as(Effect.andThen(Deferred.succeed(began, undefined), Deferred.await(gate)), { text: "kept" }),
        lookup: () => Effect.succeed({}),
        expand: () => Stream.empty,
        collect: () => Effect.succeed({}),
        chat: () => Stream.empty
      })
      const { target } = yield* serve(Stream.fromQueue(sets), handlers)
      const old = yield* clientOf([target], { tls: { ca: before.cert } })
      const call = yield* Effect.forkChild(old.echo({}))
      yield* Deferred.await(began)
      yield* Queue.offer(sets, after)
      yield* eventually(served(target, { ca: after.cert }), true)
      assert.isFalse(yield* served(target, { ca: before.cert }))
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual((yield* Fiber.join(call)).text, "kept")
      yield* old.lookup({})
    })
  )

  it.live("that cannot be used leaves the one before in its place", () =>
    Effect.gen(function* () {
      const good = yield* selfSigned("localhost")
      const other = yield* selfSigned("localhost")
      const sets = yield* Queue.unbounded<typeof good>()
      yield* Queue.offer(sets, good)
      const { target } = yield* serve(Stream.fromQueue(sets))
      yield* Queue.offer(sets, { key: other.key, cert: good.cert })
      yield* Effect.sleep("50 millis")
      assert.isTrue(yield* served(target, { ca: good.cert }))
      yield* Queue.offer(sets, other)
      yield* eventually(served(target, { ca: other.cert }), true)
    })
  )

  it.live("that is not there at first keeps the server from starting", () =>
    Effect.gen(function* () {
      const missing = TlsFiles.watch({ key: "/nowhere/tls.key", cert: "/nowhere/tls.crt" })
      const error = yield* Effect.flip(serve(missing))
      assert.match(error.message, /cannot listen on 127\.0\.0\.1:0: .*cannot read \/nowhere\/tls\.(key|crt): ENOENT/)
      const empty = yield* Effect.flip(serve(Stream.empty))
      assert.match(error._tag, /BindError/)
      assert.include(empty.message, "the stream is empty")
      const garbage = yield* Effect.flip(serve({ key: Uint8Array.of(1), cert: Uint8Array.of(2) }))
      assert.include(garbage.message, "cannot listen on")
    })
  )
})

describe("the certificates a server accepts from clients, and a client's own", () => {
  it.live("rotate too", () =>
    Effect.gen(function* () {
      const server = yield* selfSigned("localhost")
      const [first, second] = [yield* selfSigned("a"), yield* selfSigned("b")]
      const trusted = yield* Queue.unbounded<Uint8Array>()
      yield* Queue.offer(trusted, first.cert)
      const { target } = yield* serve(Stream.map(Stream.fromQueue(trusted), (clientCa) => ({ ...server, clientCa })))
      assert.isTrue(yield* served(target, { ca: server.cert, ...first }))
      assert.isFalse(yield* served(target, { ca: server.cert, ...second }))
      yield* Queue.offer(trusted, second.cert)
      yield* eventually(served(target, { ca: server.cert, ...second }), true)
      assert.isFalse(yield* served(target, { ca: server.cert, ...first }))

      const own = yield* Queue.unbounded<typeof first>()
      yield* Queue.offer(own, first)
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(
        clientOf([target], {
          tls: Stream.map(Stream.fromQueue(own), (identity) => ({ ca: server.cert, ...identity }))
        }),
        scope
      )
      const call = Effect.map(Effect.exit(client.lookup({})), Exit.isSuccess)
      assert.isFalse(yield* call)
      yield* Queue.offer(own, second)
      yield* eventually(call, true)
      yield* Scope.close(scope, Exit.void)
    })
  )
})

describe("a client's certificates that cannot be used", () => {
  it.live("leave the ones before in their place, however many there are, until some can be used", () =>
    Effect.gen(function* () {
      const server = yield* selfSigned("localhost")
      const [first, second] = [yield* selfSigned("a"), yield* selfSigned("b")]
      const { target } = yield* serve({ ...server, clientCa: Buffer.concat([first.cert, second.cert]) })
      const ca = server.cert
      const sets = yield* Queue.unbounded<Tls.ClientTls>()
      const read: Array<Tls.ClientTls> = []
      yield* Queue.offer(sets, { ca, ...first })
      const tls = Stream.tap(Stream.fromQueue(sets), (set) => Effect.sync(() => read.push(set)))
      const connector = yield* Layer.build(Http2Connector.layer({ tls }))
      const call = Effect.scoped(
        Effect.gen(function* () {
          const pool = Balancer.layer({ discovery: StaticDiscovery.make([target]), picker: RoundRobin.make() })
          const transport = yield* Layer.build(Layer.provide(pool, Layer.succeedContext(connector)))
          const client = yield* Effect.provideContext(Client.make(EchoService), transport)
          return yield* client.lookup({ text: "hello" })
        })
      )
      assert.strictEqual((yield* call).text, "hello")
      const bad: ReadonlyArray<Tls.ClientTls> = [
        { ca, key: first.key.slice(0, 60), cert: first.cert },
        { ca, key: second.key, cert: first.cert },
        { ca: "half a f", ...first },
        { ca, cert: first.cert }
      ]
      yield* Queue.offerAll(sets, bad)
      yield* eventually(
        Effect.sync(() => read.length === 5),
        true
      )
      assert.strictEqual((yield* call).text, "hello")
      yield* Queue.offer(sets, { ca: second.cert })
      yield* eventually(Effect.map(Effect.exit(call), Exit.isSuccess), false)
      yield* Queue.offer(sets, { ca, ...second })
      yield* eventually(Effect.map(Effect.exit(call), Exit.isSuccess), true)
    })
  )

  it.live("are none to begin with", () =>
    Effect.gen(function* () {
      const { cert } = yield* selfSigned("a")
      const error = yield* Effect.flip(Layer.build(Http2Connector.layer({ tls: Stream.make({ cert }) })))
      assert.strictEqual(error.message, "no certificate to start with: `tls.cert` is given without `tls.key`")
    })
  )
})

describe("TlsFiles", () => {
  const folder = Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "trunkline-tls-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )

  /** Lets the file system answer. */
  const settle = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))

  it.effect("says what the files hold, and says it again when they change", () =>
    Effect.gen(function* () {
      const path = join(yield* folder, "tls.key")
      writeFileSync(path, "one")
      const seen: Array<string> = []
      yield* TlsFiles.watch({ key: path }, { every: "10 seconds" }).pipe(
        Stream.runForEach(({ key }) => Effect.sync(() => seen.push(new TextDecoder().decode(key)))),
        Effect.forkScoped
      )
      const pass = Effect.andThen(TestClock.adjust("10 seconds"), settle)
      yield* settle
      assert.deepStrictEqual(seen, ["one"])
      yield* pass
      assert.deepStrictEqual(seen, ["one"])
      writeFileSync(path, "two")
      yield* TestClock.adjust("9999 millis")
      yield* settle
      assert.deepStrictEqual(seen, ["one"])
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.deepStrictEqual(seen, ["one", "two"])
      rmSync(path)
      yield* pass
      writeFileSync(path, "three")
      yield* pass
      assert.deepStrictEqual(seen, ["one", "two", "three"])
    })
  )
})
