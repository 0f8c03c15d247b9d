/** Metadata that cannot be sent is its caller's mistake: told at once, tried once, and blamed on nobody else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { CallOptions, type Client, Handlers, Metadata, Retry, RpcError } from "trunkline"
import { Http2Connector, Http2Server } from "trunkline/http2"
import { EchoService } from "../gen/echo_pb.ts"
import { adapters } from "../support/adapters.ts"
import { echoHandlers } from "../support/echo.ts"
import { clientOf } from "../support/socketClient.ts"

type Echo = Client.Client<typeof EchoService>

const kinds: ReadonlyArray<readonly [string, (client: Echo) => Effect.Effect<unknown, RpcError.RpcError>]> = [
  ["unary", (client) => client.echo({})],
  ["client streaming", (client) => client.collect(Stream.make({}))],
  ["server streaming", (client) => Stream.runDrain(client.expand({}))]
]

const anyway = Retry.withPolicy(
  Retry.onCodes(["RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE"], Schedule.spaced("1 millis"))
)

describe.each(adapters)("$name", (adapter) => {
  it.live.each(kinds)("%s: tried once, whatever the policy", ([, callOf]) =>
    Effect.gen(function* () {
      const { address } = yield* adapter.serve({ handlers: [echoHandlers("a")], drainTimeout: 0 })
      const client = yield* clientOf(adapter, [address], { connector: { maxMetadataBytes: 1000 } })
      const large = callOf(client).pipe(CallOptions.withMetadata({ a: "x".repeat(1000) }), anyway)
      const twice = callOf(client).pipe(
        CallOptions.update((options) => ({ ...options, metadata: new Map([["etag", ["a", "b"]]]) })),
        anyway
      )
      for (const [call, code] of [
        [large, "RESOURCE_EXHAUSTED"],
        [twice, "INTERNAL"]
      ] as const) {
        const error = yield* Effect.flip(call)
        assert.deepStrictEqual(
          [error.code, error.origin, error.progress, error.attempts.length],
          [code, "local", "not_started", 1]
        )
      }
      // 1,000 bytes as HTTP/2 counts them: a name, a value, and 32.
      yield* callOf(client).pipe(CallOptions.withMetadata({ a: "x".repeat(967) }))
    })
  )
})

describe("over HTTP/2", () => {
  it.live("more than the default goes through where both sides say so", () =>
    Effect.gen(function* () {
      const values = ["x", "y", "z"].map((letter) => letter.repeat(40_000))
      const handlers = [
        Handlers.partial(EchoService, {
          echo: (_, call) => Effect.as(call.setTrailers({ back: Metadata.getAll(call.metadata, "there") }), {})
        })
      ]
      const { address } = yield* Http2Server.make({ handlers, maxMetadataBytes: 150_000, drainTimeout: 0 })
      const connector = () => Http2Connector.layer({ maxMetadataBytes: 150_000 })
      const client = yield* clientOf({ ...adapters[1]!, connector }, [address])
      const { trailers } = yield* client.echo.response({}).pipe(CallOptions.withMetadata({ there: values }))
      assert.deepStrictEqual(Metadata.getAll(trailers, "back"), values)
    })
  )

  it.live("a value that no connection survives is refused, and dropped where it is passed on", () =>
    Effect.gen(function* () {
      const long = "x".repeat(70_000)
      const trailers = new Map([
        ["long", [long]],
        ["kept", ["a"]]
      ])
      const set: Array<string> = []
      const handlers = [
        Handlers.partial(EchoService, {
          echo: (_, call) =>
            call.setTrailers({ long }).pipe(
              Effect.catch((error) => Effect.sync(() => set.push(error.message))),
              Effect.andThen(Effect.fail(RpcError.make("NOT_FOUND", "gone", { trailers })))
            )
        })
      ]
      const { address } = yield* Http2Server.make({ handlers, maxMetadataBytes: 150_000, drainTimeout: 0 })
      const connector = () => Http2Connector.layer({ maxMetadataBytes: 150_000 })
      const client = yield* clientOf({ ...adapters[1]!, connector }, [address])
      const sent = yield* Effect.flip(client.echo({}).pipe(CallOptions.withMetadata({ long })))
      assert.deepStrictEqual([sent.code, sent.origin], ["RESOURCE_EXHAUSTED", "local"])
      const told = yield* Effect.flip(client.echo({}))
      assert.deepStrictEqual(
        [told.code, told.trailers.has("long"), told.trailers.has("kept")],
        ["NOT_FOUND", false, true]
      )
      for (const text of [sent.message, ...set]) assert.include(text, "over what one value may have, 65535")
      assert.strictEqual(set.length, 1)
    })
  )
})
