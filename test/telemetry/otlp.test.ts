/** A trace as a collector gets it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { OtlpExporter, OtlpSerialization, OtlpTracer } from "effect/observability"
import { Balancer, Client, Handlers, Retry, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { adapters } from "../support/adapters.ts"
import { read, receiver, type Span } from "../support/otlpReceiver.ts"

const name = "trunkline.test.EchoService/Echo"

const otlp = (url: string) =>
  OtlpTracer.layer({ url, resource: { serviceName: "test" }, exportInterval: "1 hour" }).pipe(
    Layer.provide(Layer.merge(FetchHttpClient.layer, OtlpSerialization.layerJson))
  )

/** Fails so many times, then answers; `lookup` never does. */
const failing = (times: number) => {
  let left = times
  const unavailable = RpcError.make("UNAVAILABLE", "later", {
    trailers: new Map([["grpc-retry-pushback-ms", ["30"]]])
  })
  return Handlers.make(EchoService, {
    echo: () => (left-- > 0 ? Effect.fail(unavailable) : Effect.succeed({})),
    lookup: () => Effect.never,
    expand: () => Stream.empty,
    collect: () => Effect.succeed({}),
    chat: () => Stream.empty
  })
}

const kinds = ["unspecified", "internal", "server", "client"]

/** `kind name [grpc status] status` of every span, indented under its parent, in the order they began. */
const tree = (spans: ReadonlyArray<Span>): ReadonlyArray<string> => {
  const under = (id: string | undefined, indent: string): ReadonlyArray<string> =>
    spans
      .filter(({ parentSpanId }) => parentSpanId === id)
      .sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
      .flatMap((span) => [
        `${indent}${kinds[span.kind]} ${span.name} ${String(read(span.attributes)["rpc.response.status_code"])} ${span.status.code}`,
        ...under(span.spanId, `${indent}  `)
      ])
  return under(undefined, "")
}

describe.each(adapters)("$name", (adapter) => {
  const exported = <A>(
    calls: (echo: Client.Client<typeof EchoService>) => Effect.Effect<A, RpcError.RpcError>,
    times: number
  ) =>
    Effect.gen(function* () {
      const collector = yield* receiver
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* adapter.serve({ handlers: [failing(times)], drainTimeout: "1 second" })
          const pool = Balancer.layer({ discovery: StaticDiscovery.make([server.address]), picker: RoundRobin.make() })
          const echo = yield* Effect.provide(
            Client.make(EchoService),
            yield* Layer.build(Layer.provide(Layer.orDie(pool), Layer.orDie(adapter.connector())))
          )
          yield* calls(echo)
          yield* Effect.flatMap(OtlpExporter.Flusher, ({ flush }) => flush)
        })
      ).pipe(Effect.provide(otlp(collector.url)))
      return collector.spans
    })

  it.live("the trace of a retried call has the right tree and attributes", () =>
    Effect.gen(function* () {
      const retry = Retry.onCodes(["UNAVAILABLE"], Schedule.max([Schedule.spaced("10 millis"), Schedule.recurs(3)]))
      const spans = yield* exported((echo) => echo.echo({}).pipe(Retry.withPolicy(retry)), 2)
      // 1 is OK and 2 an error, which a call that worked out in the end is not; of failed handlers only some are.
      assert.deepStrictEqual(tree(spans), [
        `client ${name} OK 1`,
        ...[1, 2].flatMap(() => [`  client Attempt.${name} UNAVAILABLE 2`, `    server ${name} UNAVAILABLE 2`]),
        `  client Attempt.${name} OK 1`,
        `    server ${name} OK 1`
      ])
      assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 1)

      const call = spans.find(({ parentSpanId }) => parentSpanId === undefined)!
      const { "server.port": port, ...ofCall } = read(call.attributes)
      assert.isNumber(port)
      assert.deepStrictEqual(ofCall, {
        "rpc.system.name": "grpc",
        "rpc.method": "trunkline.test.EchoService/Echo",
        "rpc.response.status_code": "OK",
        "server.address": "127.0.0.1",
        "trunkline.attempts": 3
      })
      assert.deepStrictEqual(
        call.events.map((event) => [event.name, read(event.attributes)]),
        [1, 2].map((previous) => [
          "retry",
          {
            "previous-rpc-attempts": previous,
            "trunkline.failed_with": "UNAVAILABLE",
            "trunkline.failed_on": `127.0.0.1:${port}`,
            "trunkline.backoff_ms": 30
          }
        ])
      )

      const attempts = spans
        .filter(({ parentSpanId }) => parentSpanId === call.spanId)
        .sort((a, b) => Number(BigInt(a.startTimeUnixNano) - BigInt(b.startTimeUnixNano)))
      attempts.forEach((attempt, i) => {
        const failed = i < 2
        assert.deepInclude(read(attempt.attributes), {
          "previous-rpc-attempts": i,
          "transparent-retry": false,
          "grpc.attempt_type": i === 0 ? "original" : "retry",
          "network.peer.address": "127.0.0.1",
          "network.peer.port": port,
          "trunkline.peer": `127.0.0.1:${port}`,
          "trunkline.picker": "RoundRobin",
          "trunkline.pick_reason": i === 0 ? "chosen" : "no_other",
          ...(failed ? { "error.type": "UNAVAILABLE", "trunkline.pushback_ms": 30 } : undefined)
        })
        assert.strictEqual(attempt.status.message, failed ? "[UNAVAILABLE] later" : undefined)
      })

      for (const served of spans.filter(({ kind }) => kinds[kind] === "server")) {
        assert.isString(read(served.attributes)["client.address"])
      }
    })
  )

  it.live("an interrupted call is exported as CANCELLED", () =>
    Effect.gen(function* () {
      const spans = yield* exported(
        (echo) =>
          Effect.gen(function* () {
            const fiber = yield* Effect.forkChild(echo.lookup({}))
            yield* Effect.sleep("300 millis")
            yield* Fiber.interrupt(fiber)
            yield* Effect.sleep("100 millis")
          }),
        0
      )
      assert.deepStrictEqual(
        tree(spans).map((line) => line.replace("Attempt.", "")),
        [
          "client trunkline.test.EchoService/Lookup CANCELLED 2",
          "  client trunkline.test.EchoService/Lookup CANCELLED 2",
          "    server trunkline.test.EchoService/Lookup CANCELLED 1"
        ]
      )
      for (const span of spans.filter(({ kind }) => kinds[kind] === "client")) {
        assert.strictEqual(read(span.attributes)["error.type"], "CLIENT_CANCELLED")
      }
    })
  )
})
