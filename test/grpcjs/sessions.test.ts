/** What grpc-js does not see of its HTTP/2 session, and the connector does. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import http2 from "node:http2"
import { vi } from "vitest"
import { Balancer, CallOptions, Client, Metadata, RoundRobin, type RpcError, StaticDiscovery } from "trunkline"
import { GrpcJsConnector } from "trunkline/grpc-js"
import { EchoService } from "../gen/echo_pb.ts"
import * as Frames from "../support/frameServer.ts"

type Echo = Client.Client<typeof EchoService>
type Call = (client: Echo) => Effect.Effect<unknown, RpcError.RpcError>

const kinds: ReadonlyArray<readonly [string, Call]> = [
  ["unary", (client) => client.echo({})],
  ["stream", (client) => Stream.runDrain(client.expand({}))]
]

const { answer, block, data, empty, frame, goaway, headers, settings, trailers, u32 } = Frames

const clientOf = (address: string, connector?: GrpcJsConnector.Options) =>
  Effect.gen(function* () {
    const balancer = Balancer.layer({
      discovery: StaticDiscovery.make([address]),
      picker: RoundRobin.make(),
      reconnect: Schedule.spaced("20 millis")
    })
    const transport = yield* Layer.build(Layer.provide(balancer, GrpcJsConnector.layer(connector)))
    return yield* Effect.provideContext(Client.make(EchoService), transport)
  })

const once = CallOptions.nonIdempotent
const inTime = CallOptions.withDeadline("20 seconds")

/** Does this to the first requests, and answers the rest. */
const serving = (count: number, first: (connection: Frames.Connection, stream: number, count: number) => void) =>
  Frames.serve({
    onRequest: (connection, stream, seen) =>
      seen <= count ? first(connection, stream, seen) : answer(connection, stream)
  })

describe.each(kinds)("%s", (_, callOf) => {
  describe("a goodbye with an error", () => {
    it.live.each([1, 2, 7, 8, 11, 12, 13, 4711])("%s: what the server has not looked at is sent elsewhere", (code) =>
      Effect.gen(function* () {
        const server = yield* serving(1, ({ send }) => send(goaway(0, code)))
        const client = yield* clientOf(server.address)
        yield* callOf(client).pipe(once, inTime)
        assert.strictEqual(server.connections(), 2)
      })
    )

    it.live.each([2, 7, 8, 11, 12])("%s: of several calls those it may have looked at fail, the others move", (code) =>
      Effect.gen(function* () {
        const server = yield* serving(4, (connection, _, count) => {
          if (count === 4) connection.send(goaway(3, code))
        })
        const client = yield* clientOf(server.address)
        const exits = yield* Effect.all(
          Array.from({ length: 4 }, () => Effect.exit(callOf(client).pipe(once, inTime))),
          { concurrency: "unbounded" }
        )
        const errors = yield* Effect.forEach(exits.filter(Exit.isFailure), (exit) => Effect.flip(exit))
        assert.deepStrictEqual(
          errors.map((error) => [error.code, error.progress, error.origin]),
          [
            ["UNAVAILABLE", "processed", "local"],
            ["UNAVAILABLE", "processed", "local"]
          ]
        )
        for (const error of errors) assert.include(error.message, `the server said goodbye with code ${code}`)
      })
    )
  })

  it.live("a call that a goodbye without an error leaves alone goes on", () =>
    Effect.gen(function* () {
      const held = yield* Deferred.make<() => void>()
      const server = yield* serving(1, (connection, stream) => {
        connection.send(goaway(stream, 0))
        Deferred.doneUnsafe(
          held,
          Effect.succeed(() => answer(connection, stream))
        )
      })
      const client = yield* clientOf(server.address)
      const first = yield* Effect.forkChild(callOf(client).pipe(once, inTime))
      const finish = yield* Deferred.await(held)
      yield* callOf(client).pipe(once, inTime)
      finish()
      yield* Fiber.join(first)
      assert.strictEqual(server.connections(), 2)
    })
  )

  it.live("a server that pushes has lost the connection, and nothing else", () =>
    Effect.gen(function* () {
      const promise = block([
        [":method", "GET"],
        [":scheme", "http"],
        [":authority", "a"],
        [":path", "/"]
      ])
      const pushed = (stream: number) => frame(5, 4, stream, Buffer.concat([u32(2), promise]))
      const server = yield* serving(2, ({ send }, stream, count) =>
        count === 2 ? send(pushed(stream), headers(2), data(2, empty)) : undefined
      )
      const client = yield* clientOf(server.address)
      const errors = yield* Effect.all(
        [0, 1].map(() => Effect.flip(callOf(client).pipe(once, inTime))),
        { concurrency: "unbounded" }
      )
      for (const error of errors) {
        assert.deepStrictEqual([error.code, error.progress, error.origin], ["UNAVAILABLE", "processed", "local"])
        assert.include(error.message, "it pushed a stream")
      }
      yield* callOf(client).pipe(once, inTime)
      assert.strictEqual(server.connections(), 2)
    })
  )

  it.live("calls over what the server takes at one time have not left when the connection is lost", () =>
    Effect.gen(function* () {
      let first = true
      const server = yield* Frames.serve({
        onConnection: ({ send }) => send(settings([3, 1])),
        onRequest: (connection, stream) => {
          if (!first) return answer(connection, stream)
          first = false
          connection.socket.destroy()
        }
      })
      const client = yield* clientOf(server.address)
      const exits = yield* Effect.all(
        [0, 1, 2].map(() => Effect.exit(callOf(client).pipe(once, inTime))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        exits.map((exit) => exit._tag),
        ["Failure", "Success", "Success"]
      )
    })
  )

  it.live("a connection whose stream ids run out is replaced, and no call is lost", () =>
    Effect.gen(function* () {
      const { connect } = http2
      const server = yield* Frames.serve({ onRequest: answer })
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          vi.spyOn(http2, "connect").mockImplementation((authority, options) => {
            const session = connect(authority, options)
            // Its types do not know it.
            const setNextStreamId: unknown = Reflect.get(session, "setNextStreamID")
            assert(typeof setNextStreamId === "function")
            return session.once("connect", () => void setNextStreamId.call(session, 2 ** 31 - 5))
          })
        ),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      const client = yield* clientOf(server.address)
      for (let count = 0; count < 8; count++) yield* callOf(client).pipe(once, inTime)
      assert.isAtLeast(server.connections(), 3)
    })
  )
})

describe("answers", () => {
  const answering = (
    fields: ReadonlyArray<readonly [string, string]>,
    last: ReadonlyArray<readonly [string, string]>
  ) =>
    Frames.serve({
      onRequest: ({ send }, stream) => send(headers(stream, fields), data(stream, empty), trailers(stream, last))
    })

  it.live.each(["", "0x0", "1e0", "-1", "+0", "0 "])("the status %j is no status", (status) =>
    Effect.gen(function* () {
      const server = yield* answering(Frames.grpc, [["grpc-status", status]])
      const client = yield* clientOf(server.address)
      const error = yield* Effect.flip(client.echo({}).pipe(inTime))
      assert.deepStrictEqual([error.code, error.origin], ["UNKNOWN", "remote"])
    })
  )

  it.live("the text of a status is read as gRPC writes it", () =>
    Effect.gen(function* () {
      const text = "100%25 of %2Fhome%3F %E2%82%AC"
      const server = yield* answering(Frames.grpc, [
        ["grpc-status", "5"],
        ["grpc-message", text]
      ])
      const client = yield* clientOf(server.address)
      const error = yield* Effect.flip(client.echo({}).pipe(inTime))
      assert.strictEqual(error.reason.message, "100% of /home? €")
    })
  )

  it.live("values of one name stay apart, in headers and in trailers", () =>
    Effect.gen(function* () {
      const fields = [...Frames.grpc, ["tag", "a"], ["tag", "b, c"]] as const
      const last = [
        ["grpc-status", "0"],
        ["end", "x"],
        ["one", "1"],
        ["end", "y"]
      ] as const
      const server = yield* answering(fields, last)
      const client = yield* clientOf(server.address)
      const response = yield* client.echo.response({}).pipe(inTime)
      assert.deepStrictEqual(Metadata.getAll(response.headers, "tag"), ["a", "b, c"])
      assert.deepStrictEqual(Metadata.getAll(response.trailers, "end"), ["x", "y"])
      assert.deepStrictEqual(Metadata.getAll(response.trailers, "one"), ["1"])
    })
  )

  it.live.each(kinds)("%s: a page in the place of an answer is said to be one", ([, callOf]) =>
    Effect.gen(function* () {
      const page = [
        [":status", "503"],
        ["content-type", "text/html"]
      ] as const
      const server = yield* Frames.serve({
        onRequest: ({ send }, stream) => send(headers(stream, page), data(stream, Buffer.from("<html>no</html>")))
      })
      const client = yield* clientOf(server.address)
      const error = yield* Effect.flip(callOf(client).pipe(once, inTime))
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.include(error.message, "the answer is not gRPC: HTTP status 503, content-type text/html")
    })
  )
})

describe("metadata that cannot be sent", () => {
  const fromTheWire = (metadata: Metadata.Metadata) => CallOptions.update((options) => ({ ...options, metadata }))

  it.live.each(kinds)("%s: names its field, is not tried again, and harms no other call", ([, callOf]) =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({ onRequest: answer })
      const client = yield* clientOf(server.address, { maxMetadataBytes: 1000 })
      const cases: ReadonlyArray<readonly [string, Metadata.Metadata]> = [
        ["INTERNAL", new Map([["x-name", ["caf\u00e9"]]])],
        ["INTERNAL", new Map([["x-name", ["a\u0000b"]]])],
        ["INTERNAL", new Map([["x name", ["a"]]])],
        ["INTERNAL", new Map([["authorization", ["a", "b"]]])],
        ["INTERNAL", new Map([["connection", ["close"]]])],
        ["RESOURCE_EXHAUSTED", new Map([["x-name", ["a".repeat(1000)]]])]
      ]
      for (const [code, metadata] of cases) {
        const error = yield* Effect.flip(callOf(client).pipe(fromTheWire(metadata), inTime))
        assert.deepStrictEqual([error.code, error.progress, error.origin], [code, "not_started", "local"])
        assert.isAtMost(error.attempts.length, 1)
        assert.include(error.message, JSON.stringify([...metadata.keys()][0]))
        yield* callOf(client).pipe(inTime)
      }
      assert.strictEqual(server.connections(), 1)
    })
  )
})

describe("keepalive", () => {
  it.live("a server that finds pings too many gets half as many, on later connections too", () =>
    Effect.gen(function* () {
      const pings: Array<readonly [connection: number, at: number]> = []
      const began: Array<number> = []
      const server = yield* Frames.serve({
        onRequest: ({ number }) => void (began[number] = performance.now()),
        onFrame: (connection, { flags, type }) => {
          if (type !== Frames.types.ping || (flags & 1) !== 0) return
          pings.push([connection.number, performance.now() - began[connection.number]!])
          connection.send(goaway(0, 11, "too_many_pings"))
        }
      })
      const client = yield* clientOf(server.address, { keepalive: { time: "100 millis" } })
      yield* Effect.forkChild(Effect.ignore(client.echo({}).pipe(once, inTime)))
      yield* server.until(({ connection, type }) => connection === 1 && type === Frames.types.ping)
      yield* server.until(({ connection, type }) => connection === 2 && type === Frames.types.ping)
      const [first, second] = pings
      assert.deepStrictEqual([first![0], second![0]], [1, 2])
      assert.isAtLeast(second![1], 150)
    })
  )

  it.live("a connection whose other end is silent is given up, with its calls, also after a goodbye", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        answersPings: false,
        onRequest: ({ send, socket }, stream) => {
          send(goaway(stream, 0))
          socket.removeAllListeners("data").pause()
        }
      })
      const keepalive = { time: "100 millis", timeout: "100 millis" } as const
      const client = yield* clientOf(server.address, { keepalive })
      const error = yield* Effect.flip(client.echo({}).pipe(once, inTime))
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.include(error.message, "no answer to a ping within 100 ms")
    })
  )
})
