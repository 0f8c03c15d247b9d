/** What only a real socket can show. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Duration, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import {
  Balancer,
  CallOptions,
  Client,
  Deadline,
  Handlers,
  Retry,
  RoundRobin,
  RpcError,
  Service,
  StaticDiscovery
} from "trunkline"
import { Call, Connector, PeerRegistry } from "trunkline/extend"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"
import * as Raw from "../support/rawFrames.ts"
import { adapters, type ConnectorOptions, type ServerOptions } from "../support/adapters.ts"
import { selfSigned } from "../support/certificate.ts"
import { mute } from "../support/muteServer.ts"

const quick = Schedule.spaced("50 millis")

/** A service whose every method waits, and says when it begins and how it ends. */
const waiting = Effect.gen(function* () {
  const began = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  const wait = Effect.andThen(Deferred.succeed(began, undefined), Effect.never).pipe(
    Effect.onExit((exit) => Deferred.succeed(ended, exit))
  )
  const handlers = Handlers.make(EchoService, {
    echo: () => wait,
    lookup: () => wait,
    expand: () => Stream.fromEffect(wait),
    collect: () => wait,
    chat: () => Stream.fromEffect(wait)
  })
  return { began: Deferred.await(began), ended: Deferred.await(ended), handlers }
})

describe.each(adapters)("$name", (adapter) => {
  /** A client of servers at these addresses. */
  const clientOf = (addresses: ReadonlyArray<string>, connector?: ConnectorOptions, pool?: Partial<Balancer.Options>) =>
    Effect.gen(function* () {
      const layer = Balancer.layer({
        discovery: StaticDiscovery.make(addresses),
        picker: RoundRobin.make(),
        reconnect: quick,
        ...pool
      }).pipe(Layer.provide(adapter.connector(connector)))
      const transport = yield* Layer.build(layer)
      return yield* Effect.provideContext(Client.make(EchoService), transport)
    })

  const serveEcho = (options?: Partial<ServerOptions>) =>
    adapter.serve({ handlers: [echoHandlers("a")], drainTimeout: "1 second", ...options })

  describe("deadlines", () => {
    it.live("the server learns the deadline and stops its handler", () =>
      Effect.gen(function* () {
        const { ended, handlers } = yield* waiting
        const server = yield* serveEcho({ handlers: [handlers] })
        const echo = yield* clientOf([server.address])
        const error = yield* Effect.flip(echo.echo({}).pipe(CallOptions.withDeadline("200 millis")))
        assert.strictEqual(error.code, "DEADLINE_EXCEEDED")
        assert.isTrue(Exit.isFailure(yield* Effect.timeout(ended, "2 seconds")))
      })
    )

    it.live("a handler's own calls inherit it", () =>
      Effect.gen(function* () {
        const { ended, handlers } = yield* waiting
        const back = yield* serveEcho({ handlers: [handlers] })
        const behind = yield* clientOf([back.address])
        const front = yield* serveEcho({
          handlers: [
            Handlers.make(EchoService, {
              echo: () => behind.echo({}),
              lookup: () => behind.echo({}),
              expand: () => Stream.empty,
              collect: () => behind.echo({}),
              chat: () => Stream.empty
            })
          ]
        })
        const echo = yield* clientOf([front.address])
        yield* Effect.flip(echo.echo({}).pipe(CallOptions.withDeadline("200 millis")))
        assert.isTrue(Exit.isFailure(yield* Effect.timeout(ended, "2 seconds")))
      })
    )
  })

  describe("metadata", () => {
    it.live("reaches the handler, text and bytes", () =>
      Effect.gen(function* () {
        let seen: ReadonlyMap<string, ReadonlyArray<unknown>> = new Map()
        const server = yield* serveEcho({
          handlers: [
            Handlers.make(EchoService, {
              echo: (_request, call) =>
                Effect.sync(() => {
                  seen = call.options.metadata
                  return {}
                }),
              lookup: () => Effect.succeed({}),
              expand: () => Stream.empty,
              collect: () => Effect.succeed({}),
              chat: () => Stream.empty
            })
          ]
        })
        const echo = yield* clientOf([server.address])
        yield* echo
          .echo({})
          .pipe(CallOptions.withMetadata({ "X-Tenant": ["a", "b"], "trace-bin": Uint8Array.of(0, 255) }))
        // grpc-js joins on arrival what was sent apart.
        assert.strictEqual(seen.get("x-tenant")!.join(", "), "a, b")
        assert.deepStrictEqual([...(seen.get("trace-bin")![0] as Uint8Array)], [0, 255])
      })
    )
  })

  describe("draining", () => {
    it.live("closing the client's scope waits for a call under way", () =>
      Effect.gen(function* () {
        const server = yield* serveEcho()
        const scope = yield* Scope.make()
        const echo = yield* Scope.provide(clientOf([server.address]), scope)
        const call = yield* Effect.forkChild(echo.echo({ text: "slow", delayMillis: 300 }))
        yield* Effect.sleep("100 millis")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(call)).text, "slow")
        assert.strictEqual((yield* Effect.flip(echo.echo({}))).code, "UNAVAILABLE")
      })
    )

    it.live("closing the server waits for a call under way", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(serveEcho(), scope)
        const echo = yield* clientOf([server.address])
        const call = yield* Effect.forkChild(echo.echo({ text: "slow", delayMillis: 300 }))
        yield* Effect.sleep("100 millis")
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(call)).text, "slow")
      })
    )

    it.live("a call outliving the drain limit is cancelled", () =>
      Effect.gen(function* () {
        const { began, ended, handlers } = yield* waiting
        const server = yield* serveEcho({ handlers: [handlers] })
        const scope = yield* Scope.make()
        const echo = yield* Scope.provide(clientOf([server.address], undefined, { drainTimeout: "100 millis" }), scope)
        const call = yield* Effect.forkChild(Effect.flip(echo.echo({})))
        yield* began
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(call)).code, "CANCELLED")
        assert.isTrue(Exit.isFailure(yield* Effect.timeout(ended, "2 seconds")))
      })
    )
  })

  describe("a server that stops", () => {
    it.live("says so first and still accepts, stays for the drain delay, then refuses", () =>
      Effect.gen(function* () {
        const drained = yield* Deferred.make<string>()
        let call: Effect.Effect<void, RpcError.RpcError> = Effect.void
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(
          serveEcho({ onDrain: Effect.suspend(() => Effect.orDie(call)), drainDelay: "200 millis" }),
          scope
        )
        const echo = yield* clientOf([server.address])
        call = Effect.flatMap(echo.lookup({ text: "still here" }), ({ text }) =>
          Effect.asVoid(Deferred.succeed(drained, text))
        )
        const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
        assert.strictEqual(yield* Deferred.await(drained), "still here")
        assert.isAtLeast(Duration.toMillis(elapsed), 199)
        assert.strictEqual((yield* Effect.flip(echo.lookup({}))).code, "UNAVAILABLE")
      })
    )

    it.live("ends at the drain limit what does not end by itself", () =>
      Effect.gen(function* () {
        const { began, ended, handlers } = yield* waiting
        const scope = yield* Scope.make()
        const server = yield* Scope.provide(serveEcho({ handlers: [handlers], drainTimeout: "100 millis" }), scope)
        const echo = yield* clientOf([server.address])
        const call = yield* Effect.forkChild(Effect.flip(echo.echo({})))
        yield* began
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(call)).code, "UNAVAILABLE")
        assert.isTrue(Exit.isFailure(yield* Effect.timeout(ended, "2 seconds")))
      })
    )
  })

  describe("mutual TLS", () => {
    const identities = Effect.all({
      server: selfSigned("localhost"),
      known: selfSigned("a"),
      stranger: selfSigned("b")
    })

    it.live("a client with a certificate the server knows is served", () =>
      Effect.gen(function* () {
        const { known, server } = yield* identities
        const { address } = yield* serveEcho({ tls: { ...server, clientCa: known.cert } })
        const target = `localhost:${address.split(":")[1]}`
        const echo = yield* clientOf([target], { tls: { ca: server.cert, ...known } })
        assert.strictEqual((yield* echo.lookup({ text: "hello" })).text, "hello")
      })
    )

    it.live("one without, or with another's, is refused and told", () =>
      Effect.gen(function* () {
        const { known, server, stranger } = yield* identities
        const { address } = yield* serveEcho({ tls: { ...server, clientCa: known.cert } })
        const target = `localhost:${address.split(":")[1]}`
        for (const identity of [{}, stranger]) {
          const echo = yield* clientOf([target], { tls: { ca: server.cert, ...identity } })
          const error = yield* Effect.flip(echo.lookup({}))
          assert.strictEqual(error.code, "UNAVAILABLE")
          assert.include(error.message, target)
        }
      })
    )
  })

  describe("a backend that goes away", () => {
    it.live("costs at most one failed attempt, and comes back", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const lost = yield* Scope.provide(serveEcho({ drainTimeout: 0 }), scope)
        const kept = yield* serveEcho({ handlers: [echoHandlers("kept")] })
        const echo = yield* clientOf([lost.address, kept.address], undefined, { eager: true })
        const both = yield* Effect.forEach(Array.from({ length: 10 }), () => echo.lookup({}))
        assert.strictEqual(new Set(both.map((reply) => reply.server)).size, 2)
        yield* Scope.close(scope, Exit.void)
        const results = yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.exit(echo.lookup({})))
        assert.isAtMost(results.filter(Exit.isFailure).length, 1)
        yield* serveEcho({ port: Number(lost.address.split(":")[1]) })
        const back = Effect.gen(function* () {
          const reply = yield* echo.lookup({})
          return reply.server === "a" ? reply : yield* Effect.fail("not yet" as const)
        })
        yield* Effect.retry(back, Schedule.max([Schedule.spaced("20 millis"), Schedule.recurs(100)]))
      })
    )

    it.live("a server that accepts and stays silent is given up", () =>
      Effect.gen(function* () {
        const address = yield* mute
        const registry = yield* Effect.provide(PeerRegistry.make({ connectTimeout: "200 millis" }), adapter.connector())
        const echo = yield* clientOf([address]).pipe(Effect.provideService(PeerRegistry.PeerRegistry, registry))
        const error = yield* Effect.flip(echo.lookup({}))
        assert.include(error.message, `${address} Down (not ready within 200ms)`)
      })
    )
  })

  describe("how far a call got", () => {
    /** The unary call of a connection, whatever its state. */
    const callOn = (connection: Connector.Connection) =>
      Effect.flatMap(Clock.Clock, (clock) => {
        const call = new Call.Call(CallOptions.Current.defaultValue(), clock, Deadline.none)
        return connection.transport.unary(Service.from(EchoService).methods.echo, {}, call)
      })

    it.live("nowhere: no connection, and one that is closed", () =>
      Effect.gen(function* () {
        const connector = Context.get(yield* Layer.build(adapter.connector()), Connector.Connector)
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(connector.connect(endpoint("127.0.0.1:1")), scope)
        const refused = yield* Effect.flip(callOn(connection))
        yield* Scope.close(scope, Exit.void)
        const closed = yield* Effect.flip(callOn(connection))
        for (const error of [refused, closed]) {
          assert.deepStrictEqual(
            [error.code, error.progress, error.origin, error.answered],
            ["UNAVAILABLE", "not_started", "local", false]
          )
        }
        assert.match(refused.message, /no connection/i)
      })
    )

    it.live("to a handler: it may have run, and answered or not", () =>
      Effect.gen(function* () {
        const handlers = Handlers.make(EchoService, {
          echo: (request, call) =>
            Effect.andThen(request.count > 0 ? call.sendHeaders : Effect.void, RpcError.make("UNAVAILABLE", "later")),
          lookup: () => Effect.succeed({}),
          expand: () => Stream.empty,
          collect: () => Effect.succeed({}),
          chat: () => Stream.empty
        })
        const server = yield* serveEcho({ handlers: [handlers] })
        const echo = yield* clientOf([server.address])
        const bare = yield* Effect.flip(echo.echo({}))
        const begun = yield* Effect.flip(echo.echo({ count: 1 })).pipe(
          Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], Schedule.forever))
        )
        assert.deepStrictEqual(
          [bare, begun].map(({ answered, progress, stopped }) => [progress, answered, stopped]),
          [
            ["processed", false, "not_retryable"],
            ["processed", true, "committed"]
          ]
        )
      })
    )
  })

  describe("an answer that breaks off", () => {
    /** A server that breaks off once its headers are out, and how many calls it has had. */
    const breaking = (end: "reset" | "close") =>
      Effect.gen(function* () {
        let calls = 0
        const server = yield* Raw.serve((stream) => {
          calls++
          stream.respond({ ":status": 200, "content-type": "application/grpc" })
          setTimeout(() => (end === "reset" ? server.reset() : stream.session?.destroy()), 50)
        })
        return { address: server.address, calls: () => calls }
      })
    const retried = Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], quick))

    it.live.each(["reset", "close"] as const)("is the connection's error and not the server's: %s", (end) =>
      Effect.gen(function* () {
        const echo = yield* clientOf([(yield* breaking(end)).address])
        const error = yield* Effect.flip(retried(echo.echo({})))
        assert.deepStrictEqual(
          [error.code, error.origin, error.answered, error.stopped],
          ["UNAVAILABLE", "local", true, "committed"]
        )
      })
    )

    it.live("costs a call nothing that is harmless", () =>
      Effect.gen(function* () {
        const broken = yield* breaking("reset")
        const well = yield* serveEcho()
        const echo = yield* clientOf([broken.address, well.address], undefined, { eager: true })
        while (broken.calls() === 0) assert.strictEqual((yield* retried(echo.lookup({}))).server, "a")
      })
    )
  })

  describe("bad input is a typed error that names what was wrong", () => {
    const failure = (addresses: ReadonlyArray<string>, connector?: ConnectorOptions) =>
      Effect.flatMap(clientOf(addresses, connector), (echo) => echo.lookup({})).pipe(Effect.flip)

    it.live.each([
      ["nonsense", "nonsense"],
      ["ftp://a:1", "ftp"],
      ["a:99999", "65535"],
      ["a:0", "65535"]
    ])("address %s", ([address, named]) =>
      Effect.gen(function* () {
        const error = yield* failure(["127.0.0.1:1", address!])
        assert.strictEqual(error._tag, "DiscoveryError")
        assert.include(error.message, address!)
        assert.include(error.message, named!)
      })
    )

    it.live("no address at all", () =>
      Effect.gen(function* () {
        const error = yield* failure([])
        assert.strictEqual(error._tag, "DiscoveryError")
        assert.include(error.message, "empty")
      })
    )

    it.live("a port nobody listens on", () =>
      Effect.gen(function* () {
        const error = yield* failure(["127.0.0.1:1"])
        assert(RpcError.isRpcError(error))
        assert.strictEqual(error.code, "UNAVAILABLE")
        assert.match(error.message, /127\.0\.0\.1:1 \w+ \(.*ECONNREFUSED/)
        assert.isFalse(Retry.isPermanent(error))
      })
    )

    it.live("TLS to a server without it", () =>
      Effect.gen(function* () {
        const server = yield* serveEcho()
        const error = yield* failure([server.address], { tls: {} })
        assert(RpcError.isRpcError(error))
        assert.strictEqual(error.code, "UNAVAILABLE")
        assert.include(error.message, server.address)
        assert.match(error.message, /SSL|TLS/i)
      })
    )

    it.live("a certificate for another name", () =>
      Effect.gen(function* () {
        const { cert, key } = yield* selfSigned("other.example")
        const server = yield* serveEcho({ tls: { cert, key } })
        const error = yield* failure([server.address], { tls: { ca: cert } })
        assert(RpcError.isRpcError(error))
        assert.match(error.message, /is not for "127.0.0.1", but for DNS:other.example/)
        assert.isTrue(Retry.isPermanent(error))
      })
    )

    it.live("a certificate nobody vouches for", () =>
      Effect.gen(function* () {
        const { cert, key } = yield* selfSigned("localhost")
        const server = yield* serveEcho({ tls: { cert, key } })
        const error = yield* failure([server.address], { tls: {} })
        assert(RpcError.isRpcError(error))
        assert.match(error.message, /is self-signed and not trusted here/)
        assert.isTrue(Retry.isPermanent(error))
      })
    )

    it.live("a certificate for the right name is no error", () =>
      Effect.gen(function* () {
        const { cert, key } = yield* selfSigned("localhost")
        const server = yield* serveEcho({ tls: { cert, key } })
        const port = server.address.split(":")[1]
        const echo = yield* clientOf([`localhost:${port}`], { tls: { ca: cert } })
        assert.strictEqual((yield* echo.lookup({ text: "hello" })).text, "hello")
      })
    )

    it.live("a response over the size limit", () =>
      Effect.gen(function* () {
        const server = yield* serveEcho()
        const echo = yield* clientOf([server.address], { maxReceiveMessageBytes: 1000 })
        const error = yield* Effect.flip(echo.echo({ payload: new Uint8Array(2000) }))
        assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
        assert.match(error.message, /larger than max \(20\d\d vs\.? 1000\)/)
        assert.strictEqual(error.peer, server.address)
        assert.strictEqual((yield* echo.echo({ text: "still fine" })).text, "still fine")
      })
    )

    it.live("a request over the size limit", () =>
      Effect.gen(function* () {
        const server = yield* serveEcho({ maxReceiveMessageBytes: 1000 })
        const echo = yield* clientOf([server.address])
        const error = yield* Effect.flip(echo.echo({ payload: new Uint8Array(2000) }))
        assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
        assert.match(error.message, /larger than max \(20\d\d vs\.? 1000\)/)
      })
    )

    it.live("a port already taken", () =>
      Effect.gen(function* () {
        const server = yield* serveEcho()
        const error = yield* Effect.flip(serveEcho({ port: Number(server.address.split(":")[1]) }))
        assert.strictEqual(error._tag, "BindError")
        assert.include(error.message, server.address)
      })
    )
  })
})
