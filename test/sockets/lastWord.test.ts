/** A status always arrives, whatever a handler says in it or with it, and the connection goes on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import {
  Balancer,
  CallOptions,
  Client,
  Handlers,
  Metadata,
  RoundRobin,
  RpcError,
  type ServerCall,
  StaticDiscovery
} from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { type Adapter, adapters } from "../support/adapters.ts"

type Serve = (call: ServerCall.ServerCall) => Effect.Effect<void, RpcError.RpcError>

/** A client of a server on the same adapter; calls whose text is not empty just echo. */
const clientOf = (adapter: Adapter, serve: Serve, options: { readonly maxMetadataBytes?: number } = {}) =>
  Effect.gen(function* () {
    const one = ({ text }: { readonly text: string }, call: ServerCall.ServerCall) =>
      text === "" ? Effect.as(serve(call), { text: "done" }) : Effect.succeed({ text })
    const many = (_: unknown, call: ServerCall.ServerCall) =>
      Stream.concat(Stream.make({ text: "first" }), Stream.fromEffect(one({ text: "" }, call)))
    const handlers = [Handlers.partial(EchoService, { echo: one, expand: many })]
    const { address } = yield* adapter.serve({ handlers, drainTimeout: "1 second", ...options })
    const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
    const transport = yield* Layer.build(Layer.provide(pool, Layer.orDie(adapter.connector())))
    const echo = yield* Effect.provideContext(Client.make(EchoService), transport)
    const inTime = CallOptions.withDeadline("10 seconds")
    return {
      /** The status in a block of its own, after headers, and after a message. */
      failures: Effect.forEach(
        [echo.echo({}), Stream.runDrain(echo.expand({}))],
        (call): Effect.Effect<RpcError.RpcError, unknown> =>
          Effect.flip(inTime(call as Effect.Effect<unknown, RpcError.RpcError>))
      ),
      plain: inTime(echo.echo({ text: "plain" }))
    }
  })

const long = "v".repeat(70_000)

const texts: ReadonlyArray<readonly [string, string, RegExp]> = [
  ["half of an emoji", "no user Anna\ud83d", /^no user Anna\ufffd$/],
  ["its other half", "\ude00 is nobody", /^\ufffd is nobody$/],
  ["spaces at both ends", "  expected: ", /^ {2}expected: $/],
  ["controls and a percent sign", "100%\r\n\u0000\u001b", /^100%/],
  ["70 kB", long, /^v+\.\.\.$/],
  ["70 kB that encode to three times as much", "é".repeat(35_000), /^é+\.\.\.$/],
  ["10 MB", "v".repeat(10_000_000), /^v+\.\.\.$/]
]

const forwarded: ReadonlyArray<readonly [string, ReadonlyArray<Metadata.Value>]> = [
  ["etag", ["a", "b"]],
  ["Authorization", ["a", "b"]],
  ["connection", ["close"]],
  ["Keep-Alive", ["1"]],
  ["proxy-connection", ["x"]],
  ["transfer-encoding", ["chunked"]],
  ["upgrade", ["h2c"]],
  ["te", ["gzip"]],
  ["http2-settings", ["x"]],
  ["content-length", ["3"]],
  ["Content-Type", ["text/plain"]],
  ["host", ["evil"]],
  ["trailer", ["x"]],
  [":status", ["500"]],
  ["Grpc-Status", ["0"]],
  ["grpc-message", ["forged"]],
  ["grpc-encoding", ["gzip"]],
  ["__proto__", ["a", "b"]],
  ["x-latin", ["caf\xe9"]],
  ["x-control", ["a\nb"]],
  ["x-edge", [" a "]],
  ["a b", ["x"]],
  ["", ["x"]],
  ["x-text-bin", ["text"]],
  ["x-bytes", [Uint8Array.of(1)]]
]

for (const adapter of adapters) {
  describe(`the last word over ${adapter.name}`, () => {
    it.live.each(texts)("a text with %s", ([, text, expected]) =>
      Effect.gen(function* () {
        const { failures, plain } = yield* clientOf(adapter, () => Effect.fail(RpcError.make("NOT_FOUND", text)))
        for (const error of yield* failures) {
          assert.strictEqual(error.code, "NOT_FOUND")
          assert.match(error.reason.message, expected)
        }
        assert.strictEqual((yield* plain).text, "plain")
      })
    )

    it.live.each(forwarded)("trailers that were passed on with %s: %j", ([key, values]) =>
      Effect.gen(function* () {
        const trailers = new Map([
          [key, values],
          ["x-kept", ["yes"]],
          ["grpc-status-details-bin", [Uint8Array.of(8, 5)]]
        ])
        const { failures, plain } = yield* clientOf(adapter, () =>
          Effect.fail(RpcError.make("NOT_FOUND", "no", { trailers }))
        )
        for (const error of yield* failures) {
          assert.strictEqual(error.message, "[NOT_FOUND] no")
          assert.deepStrictEqual([...error.trailers.keys()].sort(), ["grpc-status-details-bin", "x-kept"])
        }
        assert.strictEqual((yield* plain).text, "plain")
      })
    )

    it.live.each([59_000, 62_000, 70_000, 200_000])("trailers of %s bytes that were passed on", (size) =>
      Effect.gen(function* () {
        const trailers = new Map([
          ["x-big", ["v".repeat(size)]],
          ["x-small", ["1"]]
        ])
        const { failures, plain } = yield* clientOf(adapter, () =>
          Effect.fail(RpcError.make("NOT_FOUND", long, { trailers }))
        )
        for (const error of yield* failures) {
          assert.strictEqual(error.code, "NOT_FOUND")
          assert.strictEqual(Metadata.get(error.trailers, "x-small"), "1")
          assert.strictEqual(error.trailers.has("x-big"), size < 60_000)
        }
        assert.strictEqual((yield* plain).text, "plain")
      })
    )

    it.live.each(["setHeaders", "setTrailers"] as const)("%s beyond the bound fails where it is called", (set) =>
      Effect.gen(function* () {
        const told: Array<RpcError.RpcError> = []
        const serve: Serve = (call) =>
          call[set]({ "x-big": "secret".repeat(200), "x-small": "1" }).pipe(
            Effect.tapError((error) => Effect.sync(() => told.push(error)))
          )
        const { failures, plain } = yield* clientOf(adapter, serve, { maxMetadataBytes: 1000 })
        // A stream has sent its headers by then.
        const [unary] = yield* Effect.orElseSucceed(failures, () => [])
        if (set === "setTrailers") assert.strictEqual(unary?.code, "RESOURCE_EXHAUSTED")
        assert.strictEqual(told[0]?.code, "RESOURCE_EXHAUSTED")
        assert.match(told[0]?.message ?? "", /over maxMetadataBytes, 1000; its largest key is "x-big"/)
        assert.notInclude(told[0]?.message ?? "", "secret")
        assert.strictEqual((yield* plain).text, "plain")
      })
    )

    it.live("what is set within the bound arrives whole", () =>
      Effect.gen(function* () {
        const { failures } = yield* clientOf(adapter, (call) =>
          Effect.andThen(call.setTrailers({ "x-big": "v".repeat(59_000) }), RpcError.make("ABORTED", "no"))
        )
        for (const error of yield* failures) {
          assert.strictEqual(String(Metadata.get(error.trailers, "x-big")).length, 59_000)
          assert.strictEqual(error.message, "[ABORTED] no")
        }
      })
    )
  })
}
