/** What clients may say to the server that no gRPC client of ours would. */
import { create, toBinary } from "@bufbuild/protobuf"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Stream } from "effect"
import type { OutgoingHttpHeaders } from "node:http2"
import { gzipSync } from "node:zlib"
import { Handlers } from "trunkline"
import { Http2Server } from "trunkline/http2"
import { frame } from "../../src/http2/Framing.ts"
import { echoHandlers } from "../support/echo.ts"
import { EchoRequestSchema, EchoService } from "../gen/echo_pb.ts"
import { clientOf } from "../support/http2Client.ts"
import * as Raw from "../support/rawFrames.ts"

const serveEcho = (options?: Partial<Http2Server.Options<never>>) =>
  Http2Server.make({ handlers: [echoHandlers("a")], drainTimeout: "1 second", ...options })

const bytes = toBinary(EchoRequestSchema, create(EchoRequestSchema, { text: "hello" }))
const message = frame(bytes, false)
const echo = "/trunkline.test.EchoService/Echo"
const chat = "/trunkline.test.EchoService/Chat"
const collect = "/trunkline.test.EchoService/Collect"

/** Handlers that say nothing. */
const quiet = {
  echo: () => Effect.succeed({}),
  lookup: () => Effect.succeed({}),
  expand: () => Stream.empty,
  collect: () => Effect.succeed({}),
  chat: () => Stream.empty
}

/** The status and its text, wherever they came. */
const statusOf = ({ headers, trailers }: Raw.Said) => {
  const fields = headers["grpc-status"] === undefined ? trailers : headers
  return [fields["grpc-status"], fields["grpc-message"]]
}

describe("a request that cannot be served is answered with a status", () => {
  it.live.each<[string, OutgoingHttpHeaders, ReadonlyArray<Buffer>, [string, string]]>([
    ["a method nobody serves", { ":path": "/no.Such/Method" }, [message], ["12", "no method /no.Such/Method"]],
    ["a deadline that is none", { ":path": echo, "grpc-timeout": "soon" }, [message], ["13", "malformed grpc-timeout"]],
    ["no message where one belongs", { ":path": echo }, [], ["12", "expected one request message, received none"]],
    ["half a message", { ":path": echo }, [message.subarray(0, 7)], ["13", "the request ended inside a message"]],
    [
      "two messages where one belongs",
      { ":path": echo },
      [message, message],
      ["12", "expected one request message, received more"]
    ],
    [
      "a stream that ends inside a message",
      { ":path": collect },
      [message.subarray(0, 7)],
      ["13", "the requests ended inside a message"]
    ],
    [
      "data that is no message",
      { ":path": echo },
      [Buffer.from("hello, world")],
      ["13", "a message began with flag 104"]
    ],
    [
      "a message that does not decode",
      { ":path": echo },
      [frame(Uint8Array.of(255, 255), false)],
      ["13", `cannot decode the request of ${echo}`]
    ],
    [
      "a compressed message without an encoding",
      { ":path": echo },
      [frame(gzipSync(bytes), true)],
      ["13", "a message is compressed and the call names no encoding"]
    ],
    [
      "a compressed message that is not",
      { ":path": echo, "grpc-encoding": "gzip" },
      [frame(bytes, true)],
      ["13", "a message is not gzip"]
    ]
  ])("%s", ([, fields, data, expected]) =>
    Effect.gen(function* () {
      const { address } = yield* serveEcho()
      assert.deepStrictEqual(statusOf(yield* Raw.request(address, fields, data)), expected)
    })
  )

  it.live("an encoding nobody knows is UNIMPLEMENTED, with those that are known", () =>
    Effect.gen(function* () {
      const { address } = yield* serveEcho()
      const said = yield* Raw.request(address, { ":path": echo, "grpc-encoding": "br" }, [message])
      assert.deepStrictEqual(statusOf(said), ["12", "unknown message encoding br"])
      assert.strictEqual(said.headers["grpc-accept-encoding"], "identity,deflate,gzip")
    })
  )

  it.live.each([
    ["no POST", { ":method": "GET" }],
    ["not gRPC's content type", { "content-type": "application/json" }]
  ] as const)("%s is an HTTP error", ([, fields]) =>
    Effect.gen(function* () {
      const { address } = yield* serveEcho()
      const said = yield* Raw.request(address, { ":path": echo, ...fields }, [message])
      assert.strictEqual(Number(said.headers[":status"]), 415)
    })
  )
})

describe("a call that is answered before its requests have ended", () => {
  it.live("tells the client to stop, without an error", () =>
    Effect.gen(function* () {
      const handlers = Handlers.make(EchoService, {
        ...quiet,
        chat: () => Stream.make({ text: "enough" })
      })
      const { address } = yield* serveEcho({ handlers: [handlers] })
      const said = yield* Raw.request(address, { ":path": chat }, [message, undefined])
      assert.deepStrictEqual(statusOf(said), ["0", undefined])
      assert.include(said.data.toString(), "enough")
      assert.strictEqual(said.rst, 0)
    })
  )
})

describe("maxConcurrentCalls", () => {
  it.live("more calls than a connection may have wait for those before", () =>
    Effect.gen(function* () {
      let running = 0
      let most = 0
      const gate = yield* Deferred.make<void>()
      const handlers = Handlers.make(EchoService, {
        ...quiet,
        echo: () =>
          Effect.gen(function* () {
            most = Math.max(most, ++running)
            yield* Deferred.await(gate)
            running--
            return {}
          })
      })
      const { address } = yield* serveEcho({ handlers: [handlers], maxConcurrentCalls: 2 })
      const client = yield* clientOf([address])
      const calls = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 6 }, () => client.echo({})),
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.sleep("200 millis")
      assert.strictEqual(running, 2)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(calls)
      assert.strictEqual(most, 2)
    })
  )
})
