/** Compression between our client and our server, message by message. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { CallOptions, Compression, Handlers, RpcError } from "trunkline"
import { Http2Server } from "trunkline/http2"
import { EchoService } from "../gen/echo_pb.ts"
import { clientOf } from "../support/http2Client.ts"

const text = "a line that repeats itself\n".repeat(100)

/** Says of each request whether it came compressed, in answers that are compressed as `encoding` says. */
const witness = (encoding: Compression.Encoding) => {
  const seen = (request: object) => String(Compression.arrivedCompressed(request))
  return Handlers.make(EchoService, {
    echo: (request, call) => Effect.as(call.setCompression(encoding), { text: seen(request), server: text }),
    lookup: (request, call) =>
      Effect.as(call.setCompression(encoding), Compression.uncompressed({ text: seen(request), server: text })),
    expand: (request, call) =>
      Stream.unwrap(
        Effect.as(
          call.setCompression(encoding),
          Stream.make(
            { text: seen(request), server: text },
            Compression.uncompressed({ text: seen(request), server: text })
          )
        )
      ),
    collect: (requests) =>
      Effect.map(Stream.runCollect(Stream.map(requests, seen)), (all) => ({ text: all.join(",") })),
    chat: (requests, call) =>
      Stream.unwrap(
        Effect.as(
          call.setCompression(encoding),
          Stream.map(requests, (request) => ({ text: seen(request), server: text }))
        )
      )
  })
}

const start = (encoding: Compression.Encoding, options?: Partial<Http2Server.Options<never>>) =>
  Effect.flatMap(
    Http2Server.make({ handlers: [witness(encoding)], drainTimeout: "1 second", ...options }),
    ({ address }) => clientOf([address])
  )

const compressed = Compression.arrivedCompressed

describe.each(["gzip", "deflate"] as const)("%s", (encoding) => {
  it.live("requests of every kind, and a message that is left as it is", () =>
    Effect.gen(function* () {
      const client = yield* start("identity")
      const plain = { text }
      const left = () => Compression.uncompressed({ text })
      yield* Effect.gen(function* () {
        assert.strictEqual((yield* client.echo(plain)).text, "true")
        assert.strictEqual((yield* client.echo(left())).text, "false")
        assert.strictEqual((yield* Stream.runCollect(client.expand(plain)))[0]!.text, "true")
        assert.strictEqual((yield* client.collect(Stream.make(plain, left(), plain))).text, "true,false,true")
        const answers = yield* Stream.runCollect(client.chat(Stream.make(left(), plain)))
        assert.deepStrictEqual(
          answers.map(({ text }) => text),
          ["false", "true"]
        )
      }).pipe(CallOptions.withCompression(encoding))
      assert.strictEqual((yield* client.echo(plain)).text, "false")
    })
  )

  it.live("responses of every kind, and a message that is left as it is", () =>
    Effect.gen(function* () {
      const client = yield* start(encoding)
      const unary = yield* client.echo({})
      assert.isTrue(compressed(unary))
      assert.strictEqual(unary.server, text)
      assert.isFalse(compressed(yield* client.lookup({})))
      const many = yield* Stream.runCollect(client.expand({}))
      assert.deepStrictEqual(many.map(compressed), [true, false])
      const chat = yield* Stream.runCollect(client.chat(Stream.make({}, {}, {})))
      assert.deepStrictEqual(chat.map(compressed), [true, true, true])
    })
  )

  it.live("what comes compressed may not be larger than what may come at all", () =>
    Effect.gen(function* () {
      const client = yield* start("identity", { maxReceiveMessageBytes: 1000 })
      const error = yield* Effect.flip(client.echo({ text }).pipe(CallOptions.withCompression(encoding)))
      assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
      assert.include(error.message, "larger than max (1000) when expanded")
    })
  )
})

describe("setting the compression", () => {
  it.live("after the headers are sent is an error of the handler", () =>
    Effect.gen(function* () {
      const late = Handlers.make(EchoService, {
        echo: (_, call) =>
          Effect.gen(function* () {
            yield* call.sendHeaders
            return yield* Effect.match(call.setCompression("gzip"), {
              onFailure: (error) => ({ text: error.reason.message }),
              onSuccess: () => ({ text: "no error" })
            })
          }),
        lookup: () => Effect.fail(RpcError.make("UNIMPLEMENTED", "")),
        expand: () => Stream.empty,
        collect: () => Effect.succeed({}),
        chat: () => Stream.empty
      })
      const client = yield* start("identity", { handlers: [late] })
      assert.match((yield* client.echo({})).text, /headers of .* are sent already/)
    })
  )
})
