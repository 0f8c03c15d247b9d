/** A handler runs for requests that are complete, whatever a client does with its stream. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import * as http2 from "node:http2"
import { Handlers, Metadata, type ServerCall } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { request } from "../support/rawFrames.ts"
import { adapters } from "../support/adapters.ts"
import { block, client, flags, frame, portOf, request as fields, types } from "../support/handFrames.ts"

const path = (method: string) => ({ ":path": `/trunkline.test.EchoService/${method}` })
const empty = Buffer.alloc(5)
/** A prefix that promises ten bytes, and four of them. */
const torn = Buffer.from([0, 0, 0, 0, 10, 1, 2, 3, 4])

/** Sends the headers of a call and data, and does not end it. */
const open = (address: string, method: string, data: Buffer) =>
  Effect.tap(client({ port: portOf(address) }), ({ round, send }) => {
    const headers = frame(types.headers, flags.endHeaders, 1, block(fields(`/trunkline.test.EchoService/${method}`)))
    send(headers, frame(types.data, 0, 1, data))
    return round
  })

/** The status of a call whose request never ends. */
const statusOfUnended = (address: string, more: http2.OutgoingHttpHeaders, data: Buffer) =>
  Effect.callback<unknown>((resume) => {
    const session = http2.connect(`http://${address}`)
    const stream = session.request(
      { ":method": "POST", "content-type": "application/grpc", te: "trailers", ...more },
      { endStream: false }
    )
    const look = (found: http2.IncomingHttpHeaders) => {
      const status = found["grpc-status"]
      if (status === undefined) return
      session.destroy()
      resume(Effect.succeed(status))
    }
    stream
      .on("error", () => {})
      .on("response", look)
      .on("trailers", look)
      .resume()
    stream.write(data)
    return Effect.sync(() => session.destroy())
  })

const reset = (code: number) => frame(types.reset, 0, 1, Buffer.from([0, 0, 0, code]))

for (const adapter of adapters) {
  describe(`requests over ${adapter.name}`, () => {
    it.live("a unary call that is reset before it is complete does not run", () =>
      Effect.gen(function* () {
        let runs = 0
        const echo = () => Effect.sync(() => (runs++, {}))
        const { address } = yield* adapter.serve({ handlers: [Handlers.partial(EchoService, { echo })] })
        for (const code of [http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_NO_ERROR]) {
          const { round, send } = yield* open(address, "Echo", empty)
          send(reset(code))
          yield* round
        }
        const { headers, trailers } = yield* request(address, path("Echo"), [empty])
        assert.strictEqual(trailers["grpc-status"] ?? headers["grpc-status"], "0")
        assert.strictEqual(runs, 1)
      })
    )

    it.live("a unary call whose connection is lost before it is complete does not run", () =>
      Effect.gen(function* () {
        let runs = 0
        const echo = () => Effect.sync(() => (runs++, {}))
        const { address } = yield* adapter.serve({ handlers: [Handlers.partial(EchoService, { echo })] })
        const { socket } = yield* open(address, "Echo", empty)
        socket.destroy()
        yield* request(address, path("Echo"), [empty])
        assert.strictEqual(runs, 1)
      })
    )

    it.live("a stream of requests that is reset has not ended", () =>
      Effect.gen(function* () {
        const begun = yield* Deferred.make<void>()
        const ended = yield* Deferred.make<string>()
        const collect = (requests: Stream.Stream<unknown, unknown>) =>
          requests.pipe(
            Stream.runForEach(() => Deferred.succeed(begun, undefined)),
            Effect.orDie,
            Effect.as({}),
            Effect.onExit((exit) => Deferred.succeed(ended, exit._tag))
          )
        const { address } = yield* adapter.serve({ handlers: [Handlers.partial(EchoService, { collect })] })
        const { send } = yield* open(address, "Collect", empty)
        yield* Deferred.await(begun)
        send(reset(http2.constants.NGHTTP2_CANCEL))
        assert.strictEqual(yield* Deferred.await(ended), "Failure")
      })
    )

    it.live.each(["Echo", "Collect", "Expand", "Chat"])("%s: the deadline runs from the headers on", (method) =>
      Effect.gen(function* () {
        const drain = (requests: Stream.Stream<unknown, unknown>) => Effect.orDie(Stream.runDrain(requests))
        const { address } = yield* adapter.serve({
          handlers: [
            Handlers.make(EchoService, {
              echo: () => Effect.succeed({}),
              lookup: () => Effect.succeed({}),
              collect: (requests) => Effect.as(drain(requests), {}),
              expand: () => Stream.empty,
              chat: (requests) => Stream.fromEffect(Effect.as(drain(requests), {}))
            })
          ]
        })
        // The request is never complete.
        assert.strictEqual(yield* statusOfUnended(address, { ...path(method), "grpc-timeout": "50m" }, torn), "4")
      })
    )

    it.live.each(["90M", "597H", "99999999H"])("a long timeout is no short one: %s", (timeout) =>
      Effect.gen(function* () {
        const echo = () => Effect.as(Effect.sleep("20 millis"), {})
        const { address } = yield* adapter.serve({ handlers: [Handlers.partial(EchoService, { echo })] })
        const said = yield* request(address, { ...path("Echo"), "grpc-timeout": timeout }, [empty])
        assert.strictEqual(said.trailers["grpc-status"] ?? said.headers["grpc-status"], "0")
      })
    )

    it.live.each(["", "5", "5x", "-1S", "1 S", "1.5S", "123456789m", "S"])("%j is no timeout", (timeout) =>
      Effect.gen(function* () {
        let runs = 0
        const echo = () => Effect.sync(() => (runs++, {}))
        const { address } = yield* adapter.serve({ handlers: [Handlers.partial(EchoService, { echo })] })
        const said = yield* request(address, { ...path("Echo"), "grpc-timeout": timeout }, [empty])
        assert.deepStrictEqual(
          [said.headers["grpc-status"], said.headers["grpc-message"], runs],
          ["13", "malformed grpc-timeout", 0]
        )
      })
    )

    it.live("two values of one key are two", () =>
      Effect.gen(function* () {
        let seen: Metadata.Metadata = Metadata.empty
        const echo = (_: unknown, call: ServerCall.ServerCall) => Effect.sync(() => ((seen = call.metadata), {}))
        const { address } = yield* adapter.serve({ handlers: [Handlers.partial(EchoService, { echo })] })
        yield* request(address, { ...path("Echo"), tag: ["a", "b, c"], one: "d, e" }, [empty])
        assert.deepStrictEqual([Metadata.getAll(seen, "tag"), Metadata.getAll(seen, "one")], [["a", "b, c"], ["d, e"]])
      })
    )

    it.live.each(["Echo", "Collect", "Expand", "Chat"])(
      "%s: a client that goes on sending when its call has failed is told to stop",
      (method) =>
        Effect.gen(function* () {
          const drain = (requests: Stream.Stream<unknown, unknown>) => Effect.orDie(Stream.runDrain(requests))
          const { address } = yield* adapter.serve({
            handlers: [
              Handlers.partial(EchoService, {
                echo: () => Effect.succeed({}),
                collect: (requests) => Effect.as(drain(requests), {}),
                expand: () => Stream.empty,
                chat: (requests) => Stream.fromEffect(Effect.as(drain(requests), {}))
              })
            ]
          })
          // Completes when the stream is closed, though the client never ends it.
          const tooLong = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff])
          const said = yield* request(address, path(method), [tooLong, undefined])
          assert.strictEqual(said.trailers["grpc-status"] ?? said.headers["grpc-status"], "8")
          assert.strictEqual(said.rst, http2.constants.NGHTTP2_NO_ERROR)
        })
    )

    it.live.each(
      ["Echo", "Collect", "Expand", "Chat"].flatMap((method) => [
        [method, "a message that breaks off", [torn]],
        [method, "a prefix that breaks off", [Buffer.alloc(3)]],
        [method, "a message, and then one that breaks off", [empty, torn]]
      ]) as ReadonlyArray<[string, string, ReadonlyArray<Buffer>]>
    )("%s: %s is INTERNAL and says so", ([method, , data]) =>
      Effect.gen(function* () {
        const drain = (requests: Stream.Stream<unknown, unknown>) => Stream.runDrain(requests)
        const { address } = yield* adapter.serve({
          handlers: [
            Handlers.partial(EchoService, {
              echo: () => Effect.succeed({}),
              collect: (requests) => Effect.as(drain(requests) as Effect.Effect<void>, {}),
              expand: () => Stream.empty,
              chat: (requests) => Stream.fromEffect(Effect.as(drain(requests) as Effect.Effect<void>, {}))
            })
          ]
        })
        const said = yield* request(address, path(method), data)
        const fields = { ...said.headers, ...said.trailers }
        assert.strictEqual(fields["grpc-status"], "13")
        assert.match(decodeURIComponent(String(fields["grpc-message"])), /inside a message/)
      })
    )
  })
}
