/** What bounds a call on an HTTP/2 connection, and what bounds the connection. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as http2 from "node:http2"
import { createRequire, syncBuiltinESMExports } from "node:module"
import { CallOptions, RpcError } from "trunkline"
import { Http2Server } from "trunkline/http2"
import { echoHandlers } from "../support/echo.ts"
import { clientOf } from "../support/http2Client.ts"
import * as Frames from "../support/frameServer.ts"

/** Node documents it; its types have forgotten it. */
type Numbered = http2.ClientHttp2Session & { readonly setNextStreamID: (id: number) => void }

/** The module itself, whose exports a test may replace for a while. */
const core = createRequire(import.meta.url)("node:http2") as { connect: typeof http2.connect }

const { answer, settings, types } = Frames

const noWindow = (onRequest: Frames.Options["onRequest"] = () => {}) =>
  Frames.serve({ onConnection: ({ send }) => send(settings([4, 0])), onRequest })

describe("a server that gives no window", () => {
  it.live.each(["unary", "stream"] as const)("%s: the deadline resets the stream", (kind) =>
    Effect.gen(function* () {
      const server = yield* noWindow()
      const client = yield* clientOf([server.address])
      const call =
        kind === "unary" ? client.echo({ text: "a" }) : client.collect(Stream.make({ text: "a" }, { text: "b" }))
      const error = yield* Effect.flip(call.pipe(CallOptions.withDeadline("200 millis")))
      assert.strictEqual(error.code, "DEADLINE_EXCEEDED")
      const reset = yield* Effect.timeout(
        server.until(({ type }) => type === types.reset),
        "5 seconds"
      )
      assert.strictEqual(reset.payload.readUInt32BE(0), http2.constants.NGHTTP2_CANCEL)
      assert.isFalse(server.seen.some(({ type }) => type === types.data))
    })
  )
})

describe("what a connection holds", () => {
  it.live("is bounded by its calls: many large ones under way on a slow server are all answered", () =>
    Effect.gen(function* () {
      const { address } = yield* Http2Server.make({ handlers: [echoHandlers("a")], drainTimeout: "1 second" })
      const client = yield* clientOf([address])
      // 24 MB are written at once; Node's own limit is 10.
      const payload = new Uint8Array(2_000_000)
      const replies = yield* Effect.all(
        Array.from({ length: 12 }, () => client.echo({ payload })),
        { concurrency: "unbounded" }
      )
      assert.isTrue(replies.every((reply) => reply.payload.length === payload.length))
    })
  )
})

describe("stream ids", () => {
  it.live("that run out lose no call: another connection takes over", () =>
    Effect.gen(function* () {
      const { connect } = core
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          core.connect = ((...args: Parameters<typeof connect>) => {
            const session = connect(...args)
            return session.once("connect", () => (session as Numbered).setNextStreamID(2 ** 31 - 11))
          }) as typeof connect
          syncBuiltinESMExports()
        }),
        () =>
          Effect.sync(() => {
            core.connect = connect
            syncBuiltinESMExports()
          })
      )
      const server = yield* Frames.serve({ onRequest: answer })
      const client = yield* clientOf([server.address])
      yield* Effect.forEach(Array.from({ length: 24 }), () => client.echo({}).pipe(CallOptions.nonIdempotent))
      assert.isAbove(server.connections(), 3)
    })
  )
})

describe("metadata that no header can be", () => {
  const bad: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["authorization", ["a", "b"]],
    ["etag", ["a", "b"]],
    ["connection", ["close"]],
    ["te", ["gzip"]],
    ["host", ["elsewhere"]],
    ["http2-settings", ["a"]],
    ["transfer-encoding", ["chunked"]],
    ["x-name", ["caf\u00e9"]],
    ["x-null", ["a\0b"]],
    ["x-line", ["a\r\nb: c"]],
    ["bad name", ["a"]],
    ["", ["a"]],
    [":path", ["/elsewhere"]],
    ["__proto__", ["a", "b"]]
  ]

  it.live.each(bad)("%j is refused by name, and costs the connection nothing", ([key, values]) =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({ onRequest: answer })
      const client = yield* clientOf([server.address])
      yield* client.echo({})
      // As it is passed on by a gateway: nothing has checked it.
      const metadata = new Map([[key, values]])
      const passedOn = CallOptions.update((options) => ({ ...options, metadata }))
      const unary = yield* Effect.flip(client.echo({}).pipe(passedOn))
      const stream = yield* Effect.flip(Stream.runDrain(client.expand({})).pipe(passedOn))
      for (const error of [unary, stream]) {
        assert(RpcError.isRpcError(error))
        assert.deepStrictEqual([error.code, error.origin, error.attempts.length], ["INTERNAL", "local", 1])
        assert.include(error.message, JSON.stringify(key))
      }
      yield* client.echo({})
      assert.strictEqual(server.connections(), 1)
    })
  )
})
