/** What servers may say to the connector that no gRPC server of ours would, and what is made of it. */
import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Stream } from "effect"
import * as http2 from "node:http2"
import * as net from "node:net"
import { CallOptions, type Client, Metadata, RpcError } from "trunkline"
import { frame } from "../../src/http2/Framing.ts"
import { EchoResponseSchema, type EchoService } from "../gen/echo_pb.ts"
import { clientOf } from "../support/http2Client.ts"
import * as Frames from "../support/frameServer.ts"
import * as Raw from "../support/rawFrames.ts"

const response = frame(toBinary(EchoResponseSchema, create(EchoResponseSchema, { text: "hello" })), false)

const grpc = { ":status": 200, "content-type": "application/grpc" }

/** Answers with headers, data and trailers; without trailers the answer just ends. */
const answering =
  (headers: http2.OutgoingHttpHeaders, data: ReadonlyArray<Buffer>, trailers?: http2.OutgoingHttpHeaders): Raw.Answer =>
  (stream) => {
    stream.respond(headers, { waitForTrailers: trailers !== undefined })
    stream.on("wantTrailers", () => stream.sendTrailers(trailers!))
    stream.end(Buffer.concat(data))
  }

const ok = answering(grpc, [response], { "grpc-status": "0" })

/** How a unary and a streaming call fail. */
const failures = Effect.fnUntraced(function* (client: Client.Client<typeof EchoService>) {
  const unary = yield* Effect.flip(client.echo({}))
  const stream = yield* Effect.flip(Stream.runDrain(client.expand({ count: 1 })).pipe(CallOptions.waitForReady))
  assert(RpcError.isRpcError(unary) && RpcError.isRpcError(stream))
  return [unary, stream]
})

describe("an answer that is not gRPC's", () => {
  it.live.each<[string, Raw.Answer, string, RegExp]>([
    [
      "a proxy's error page",
      answering({ ":status": 503, "content-type": "text/html" }, []),
      "UNAVAILABLE",
      /HTTP status 503, content-type text\/html/
    ],
    [
      "an HTTP error without a type",
      answering({ ":status": 404 }, []),
      "UNIMPLEMENTED",
      /HTTP status 404, content-type none/
    ],
    [
      "a page where an answer belongs",
      answering({ ":status": 200, "content-type": "text/html" }, [Buffer.from("<p>")]),
      "UNKNOWN",
      /text\/html/
    ],
    ["no status at the end", answering(grpc, [response]), "INTERNAL", /without a status/],
    [
      "an end inside a message",
      answering(grpc, [response.subarray(0, 6)], { "grpc-status": "0" }),
      "INTERNAL",
      /inside a message/
    ],
    [
      "a status that is no number",
      answering(grpc, [], { "grpc-status": "fine" }),
      "UNKNOWN",
      /grpc-status is no number: "fine"/
    ],
    [
      "an encoding nobody knows",
      answering({ ...grpc, "grpc-encoding": "br" }, [response], { "grpc-status": "0" }),
      "INTERNAL",
      /encoding br/
    ],
    [
      "data that is no message",
      answering(grpc, [Buffer.from("hello, world")], { "grpc-status": "0" }),
      "INTERNAL",
      /began with flag 104/
    ],
    [
      "a message that does not decode",
      answering(grpc, [frame(Uint8Array.of(255), false)], { "grpc-status": "0" }),
      "INTERNAL",
      /cannot decode the response/
    ],
    [
      "a status in an HTTP error",
      answering({ ":status": 500, "grpc-status": "8", "grpc-message": "full" }, []),
      "RESOURCE_EXHAUSTED",
      /full/
    ]
  ])("%s", ([, answer, code, message]) =>
    Effect.gen(function* () {
      const server = yield* Raw.serve(answer)
      const client = yield* clientOf([server.address])
      for (const error of yield* failures(client)) {
        assert.strictEqual(error.code, code)
        assert.match(error.message, message)
        assert.strictEqual(error.peer, server.address)
      }
    })
  )

  it.live.each([
    [0, [] as ReadonlyArray<Buffer>],
    [2, [response, response]]
  ] as const)("%s messages where one belongs", ([count, data]) =>
    Effect.gen(function* () {
      const server = yield* Raw.serve(answering(grpc, data, { "grpc-status": "0" }))
      const client = yield* clientOf([server.address])
      const error = yield* Effect.flip(client.echo({}))
      assert.strictEqual(error.code, "INTERNAL")
      assert.include(error.message, `expected one response message, received ${count}`)
    })
  )
})

describe("an error says how far the call got", () => {
  it.live("a call the server refused has not run", () =>
    Effect.gen(function* () {
      const server = yield* Raw.serve((stream) => stream.close(http2.constants.NGHTTP2_REFUSED_STREAM))
      const client = yield* clientOf([server.address])
      for (const error of yield* failures(client)) {
        assert.deepStrictEqual([error.code, error.progress, error.origin], ["UNAVAILABLE", "refused", "remote"])
      }
    })
  )

  it.live("a call whose connection is lost may have", () =>
    Effect.gen(function* () {
      const server = yield* Raw.serve((stream) => stream.session!.destroy())
      const client = yield* clientOf([server.address])
      for (const error of yield* failures(client)) {
        assert.deepStrictEqual([error.code, error.progress, error.origin], ["UNAVAILABLE", "processed", "local"])
        assert.match(error.message, /connection lost/)
      }
    })
  )

  it.live("a call a goodbye overtook has not run, and goes to the next connection; one before it goes on", () =>
    Effect.gen(function* () {
      const streams: Array<http2.ServerHttp2Stream> = []
      const server = yield* Raw.serve((stream, headers) => {
        streams.push(stream)
        if (streams.length === 2) stream.session!.goaway(http2.constants.NGHTTP2_NO_ERROR, streams[0]!.id!)
        if (streams.length === 3) ok(stream, headers)
      })
      const client = yield* clientOf([server.address])
      const first = yield* Effect.forkChild(client.echo({}))
      while (streams.length < 1) yield* Effect.sleep("5 millis")
      const second = yield* client.echo({}).pipe(CallOptions.waitForReady)
      assert.strictEqual(second.text, "hello")
      assert.deepStrictEqual([streams.length, server.seen()], [3, 2])
      ok(streams[0]!, {})
      assert.strictEqual((yield* Fiber.join(first)).text, "hello")
    })
  )

  it.live("metadata too large to be sent is said so before it is", () =>
    Effect.gen(function* () {
      const server = yield* Raw.serve(ok)
      const client = yield* clientOf([server.address])
      const large = CallOptions.withMetadata({ a: "x".repeat(70_000) })
      const error = yield* Effect.flip(client.echo({}).pipe(large))
      assert.deepStrictEqual([error.code, error.progress], ["RESOURCE_EXHAUSTED", "not_started"])
    })
  )
})

describe("metadata", () => {
  it.live("values of one key stay apart, in order, both ways", () =>
    Effect.gen(function* () {
      const server = yield* Raw.serve((stream, headers) => {
        answering({ ...grpc, seen: String(headers["tag"]), tag: ["a", "b, c"] }, [response], {
          "grpc-status": "0",
          "trail-bin": ["AQ", "Ag"]
        })(stream, headers)
      })
      const client = yield* clientOf([server.address])
      const answer = yield* client.echo.response({}).pipe(CallOptions.withMetadata({ tag: ["x", "y"] }))
      assert.deepStrictEqual(Metadata.getAll(answer.headers, "seen"), ["x, y"])
      assert.deepStrictEqual(Metadata.getAll(answer.headers, "tag"), ["a", "b, c"])
      assert.deepStrictEqual(
        Metadata.getAll(answer.trailers, "trail-bin").map((bytes) => [...(bytes as Uint8Array)]),
        [[1], [2]]
      )
    })
  )
})

describe("keepalive", () => {
  it.live("a connection whose other end is silent is given up, with its calls", () =>
    Effect.gen(function* () {
      // What comes through is held back from the moment the first call is there.
      const began = yield* Deferred.make<void>()
      const server = yield* Raw.serve(() => Deferred.doneUnsafe(began, Effect.void))
      let silent = false
      const port = Number(server.address.split(":")[1])
      const proxy = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const proxy = net.createServer((near) => {
            const far = net.connect(port, "127.0.0.1")
            near.on("error", () => {}).on("data", (data) => silent || far.write(data))
            far.on("error", () => {}).on("data", (data) => silent || near.write(data))
            near.on("close", () => far.destroy())
          })
          proxy.listen(0, "127.0.0.1", () => resume(Effect.succeed(proxy)))
        }),
        (proxy) => Effect.sync(() => proxy.close())
      )
      const address = `127.0.0.1:${(proxy.address() as net.AddressInfo).port}`
      const client = yield* clientOf([address], { keepalive: { time: "100 millis", timeout: "100 millis" } })
      const call = yield* Effect.forkChild(Effect.flip(client.echo({})))
      yield* Deferred.await(began)
      silent = true
      const error = yield* Effect.timeout(Fiber.join(call), "3 seconds")
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.include(error.message, "no answer to a ping within 100 ms")
    })
  )

  it.live("a quiet connection that answers stays", () =>
    Effect.gen(function* () {
      let pings = 0
      let asked: (() => void) | undefined
      const server = yield* Frames.serve({
        onRequest: (connection, stream) => void (asked = () => Frames.answer(connection, stream)),
        onFrame: (_, { flags, type }) => {
          if (type === Frames.types.ping && flags === 0 && ++pings === 5) asked?.()
        }
      })
      const client = yield* clientOf([server.address], { keepalive: { time: "20 millis", timeout: "20 seconds" } })
      yield* client.echo({})
      assert.strictEqual(server.connections(), 1)
      assert.isAtLeast(pings, 5)
    })
  )
})

describe("a server without HTTP/2", () => {
  it.live("is a failed connect with a reason", () =>
    Effect.gen(function* () {
      const address = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const server = net.createServer((socket) => {
            socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n")
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      ).pipe(Effect.map((server) => `127.0.0.1:${(server.address() as net.AddressInfo).port}`))
      const client = yield* clientOf([address])
      const exit = yield* Effect.exit(client.echo({}).pipe(CallOptions.failFast, CallOptions.withDeadline("2 seconds")))
      assert(Exit.isFailure(exit))
      const error = yield* Effect.flip(client.echo({}))
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.match(error.message, /is not HTTP\/2: it may be an HTTP\/1 server|hung up before/)
    })
  )
})
