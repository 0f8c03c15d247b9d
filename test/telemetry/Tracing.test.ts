import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Schedule, type Scope, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  ErrorDetails,
  Handlers,
  Hedge,
  Interceptor,
  Retry,
  RoundRobin,
  RpcError,
  StaticDiscovery,
  TraceContext,
  Tracing,
  Transport
} from "trunkline"
import type { Connector } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { clientOf, ending, type Recorder, recorder, tree } from "../support/spans.ts"

const service = "trunkline.test.EchoService"
const name = `${service}/Echo`

/** Serves echo with a handler of the test's own for the unary method. */
const handling = (echo: Handlers.Implementation<typeof EchoService, never>["echo"]) =>
  Handlers.make(EchoService, {
    echo,
    lookup: () => Effect.succeed({}),
    expand: () => Stream.empty,
    collect: () => Effect.succeed({}),
    chat: () => Stream.empty
  })

const serve = (address: string, handlers: Handlers.Handlers = echoHandlers(address)) =>
  Effect.flatMap(TestNetwork.TestNetwork, (network) => network.serve(address, { handlers: [handlers] }))

/** Fails so many times, then answers. */
const failing = (times: number, error: RpcError.RpcError) => {
  let left = times
  return handling(() => (left-- > 0 ? Effect.fail(error) : Effect.succeed({})))
}

const unavailable = RpcError.make("UNAVAILABLE", "later")
const everyTenth = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("100 millis"))

/** Runs a test that is traced, on a network of its own. */
const traced = <A, E>(
  test: (spans: Recorder) => Effect.Effect<A, E, TestNetwork.TestNetwork | Connector.Connector | Scope.Scope>,
  settings: Tracing.Options = {}
) => {
  const spans = recorder()
  return test(spans).pipe(
    Effect.provide(Layer.mergeAll(TestNetwork.layer, spans.layer, Tracing.layer(settings))),
    Effect.scoped
  )
}

const attributes = (span: Tracer.Span) => Object.fromEntries(span.attributes)

describe("Tracing", () => {
  it.effect("a call is a span, its attempt a child, the handler's a child of that", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* serve("a:1")
        const echo = yield* clientOf("a:1")
        yield* echo.echo({ text: "hello" })
        assert.deepStrictEqual(tree(spans.spans), [`client ${name}`, `  client Attempt.${name}`, `    server ${name}`])
        const common = { "rpc.system.name": "grpc", "rpc.method": "trunkline.test.EchoService/Echo" }
        const [call, attempt, served] = spans.spans
        assert.deepStrictEqual(attributes(call!), {
          ...common,
          "server.address": "a",
          "server.port": 1,
          "trunkline.attempts": 1,
          "rpc.response.status_code": "OK"
        })
        assert.deepStrictEqual(attributes(attempt!), {
          ...common,
          "previous-rpc-attempts": 0,
          "transparent-retry": false,
          "grpc.attempt_type": "original",
          "trunkline.peer": "a:1",
          "trunkline.picker": "RoundRobin",
          "trunkline.pick_reason": "chosen",
          "network.peer.address": "a",
          "network.peer.port": 1,
          "rpc.response.status_code": "OK"
        })
        assert.deepInclude(attributes(served!), { ...common, "rpc.response.status_code": "OK" })
        assert.deepStrictEqual(spans.spans.map(ending), [["OK"], ["OK"], ["OK"]])
      })
    )
  )

  it.effect.each([
    ["300", 300],
    ["-1", -1],
    ["", -1],
    ["1e3", -1]
  ] as const)("pushback of %j is told as policies take it: %i", ([said, told]) =>
    traced((spans) =>
      Effect.gen(function* () {
        const pushed = RpcError.annotate(unavailable, { trailers: new Map([["grpc-retry-pushback-ms", [said]]]) })
        yield* serve("a:1", failing(1, pushed))
        const echo = yield* clientOf("a:1")
        yield* Effect.exit(echo.echo({}))
        assert.strictEqual(spans.spans[1]!.attributes.get("trunkline.pushback_ms"), told)
      })
    )
  )

  it.effect("a retried call tells each attempt, the backoff between, and what the server asked for", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const pushed = RpcError.annotate(unavailable, { trailers: new Map([["grpc-retry-pushback-ms", ["300"]]]) })
        yield* serve("a:1", failing(2, pushed))
        const echo = yield* clientOf("a:1")
        const fiber = yield* Effect.forkChild(echo.echo({}).pipe(Retry.withPolicy(everyTenth)))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(tree(spans.spans), [
          `client ${name}`,
          ...[1, 2, 3].flatMap(() => [`  client Attempt.${name}`, `    server ${name}`])
        ])
        const attempts = spans.spans.filter((span) => span.name.startsWith("Attempt."))
        assert.deepStrictEqual(
          attempts.map((span) =>
            ["previous-rpc-attempts", "grpc.attempt_type", "error.type", "trunkline.pushback_ms"].map((key) =>
              span.attributes.get(key)
            )
          ),
          [
            [0, "original", "UNAVAILABLE", 300],
            [1, "retry", "UNAVAILABLE", 300],
            [2, "retry", undefined, undefined]
          ]
        )
        const call = spans.spans[0]!
        assert.strictEqual(call.attributes.get("trunkline.attempts"), 3)
        assert.deepStrictEqual(
          call.events.map(([event, at, facts]) => [event, at, facts]),
          [1, 2].map((previous) => [
            "retry",
            BigInt(previous * 300) * 1_000_000n,
            {
              "previous-rpc-attempts": previous,
              "trunkline.failed_with": "UNAVAILABLE",
              "trunkline.failed_on": "a:1",
              "trunkline.backoff_ms": 300
            }
          ])
        )
        assert.deepStrictEqual(ending(call), ["OK"])
        assert.deepStrictEqual(ending(attempts[0]!), ["UNAVAILABLE", "[UNAVAILABLE] later"])
      })
    )
  )

  it.effect("an attempt that waited for a peer says how long", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        yield* network.setLatency("a:1", "50 millis")
        yield* serve("a:1")
        const echo = yield* clientOf("a:1")
        const fiber = yield* Effect.forkChild(echo.echo({}).pipe(CallOptions.withDeadline("10 seconds")))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        const attempt = spans.one(`Attempt.${name}`)
        const waited = attempt.attributes.get("trunkline.wait_ms") as number
        assert.isAtLeast(waited, 50)
        assert.deepStrictEqual(
          attempt.events.map(([event, at]) => [event, at]),
          [["Delayed LB pick complete", BigInt(waited) * 1_000_000n]]
        )
      })
    )
  )

  it.effect("an interrupted call, its attempt and its handler end as CANCELLED", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* serve(
          "a:1",
          handling(() => Effect.never)
        )
        const echo = yield* clientOf("a:1")
        const fiber = yield* Effect.forkChild(echo.echo({}))
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(
          spans.spans.map(ending),
          spans.spans.map(() => ["open"])
        )
        yield* Fiber.interrupt(fiber)
        yield* TestClock.adjust("1 second")
        const [call, attempt, served] = spans.spans
        assert.deepStrictEqual(ending(call!), ["CANCELLED", "[CANCELLED] interrupted"])
        assert.deepStrictEqual(ending(attempt!), ["CANCELLED", "[CANCELLED] interrupted"])
        assert.deepStrictEqual(call!.attributes.get("error.type"), "CLIENT_CANCELLED")
        // Not the server's fault.
        assert.deepStrictEqual(ending(served!), ["CANCELLED"])
      })
    )
  )

  it.effect("every copy of a hedged call is an attempt; who lost is CANCELLED", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* serve(
          "a:1",
          handling(() => Effect.never)
        )
        const echo = yield* clientOf("a:1")
        const hedged = echo.echo({}).pipe(Hedge.withHedge(Hedge.make({ after: "1 second", maxAttempts: 2 })))
        const fiber = yield* Effect.forkChild(hedged.pipe(CallOptions.withDeadline("5 seconds"), Effect.flip))
        yield* TestClock.adjust("6 seconds")
        yield* Fiber.join(fiber)
        const attempts = spans.spans.filter((span) => span.name.startsWith("Attempt."))
        assert.deepStrictEqual(
          attempts.map((span) => span.attributes.get("grpc.attempt_type")),
          ["original", "hedge"]
        )
        assert.deepStrictEqual(
          spans.spans[0]!.events.map(([event, at]) => [event, at]),
          [["hedge", 1_000_000_000n]]
        )
        assert.notInclude(spans.spans.map(ending).flat(), "open")
        assert.strictEqual(spans.spans[0]!.attributes.get("error.type"), "CLIENT_TIMEOUT")
      })
    )
  )

  it.effect("a stream is a span until its last message is read, or until it is left", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* serve("a:1")
        const echo = yield* clientOf("a:1")
        yield* Stream.runDrain(echo.expand({ count: 3 }))
        assert.deepStrictEqual(tree(spans.spans), [
          `client ${service}/Expand`,
          `  client Attempt.${service}/Expand`,
          `    server ${service}/Expand`
        ])
        assert.deepStrictEqual(spans.spans.map(ending), [["OK"], ["OK"], ["OK"]])
        yield* Stream.runDrain(Stream.take(echo.chat(Stream.forever(Stream.succeed({ text: "a" }))), 1))
        yield* TestClock.adjust("1 second")
        const [call, attempt] = spans.spans.slice(3)
        assert.strictEqual(ending(call!)[0], "CANCELLED")
        assert.strictEqual(ending(attempt!)[0], "CANCELLED")
        assert.notInclude(spans.spans.map(ending).flat(), "open")
      })
    )
  )

  it.effect("what a handler calls is part of its trace, and vendors' state goes with it", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const seen: Array<unknown> = []
        yield* serve(
          "back:1",
          handling((_request, call) => Effect.sync(() => (seen.push(call.metadata.get("tracestate")), {})))
        )
        const behind = yield* clientOf("back:1")
        yield* serve(
          "front:1",
          handling(() => Effect.as(Effect.orDie(behind.echo({})), {}))
        )
        const echo = yield* clientOf("front:1")
        const state = "vendor=1"
        yield* echo.echo({}).pipe(Effect.provideService(TraceContext.State, state), Effect.withSpan("main"))
        const hop = (indent: string) => [
          `${indent}client ${name}`,
          `${indent}  client Attempt.${name}`,
          `${indent}    server ${name}`
        ]
        assert.deepStrictEqual(tree(spans.spans), ["internal main", ...hop("  "), ...hop("        ")])
        assert.deepStrictEqual(seen, [[state]])
      })
    )
  )

  it.effect("a server's own span does not adopt its calls", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* serve("a:1").pipe(Effect.withSpan("startup"))
        const echo = yield* clientOf("a:1")
        yield* echo.echo({}).pipe(CallOptions.withMetadata({ traceparent: "nonsense" }))
        assert.deepStrictEqual(tree(spans.spans), [
          "internal startup",
          `client ${name}`,
          `  client Attempt.${name}`,
          `server ${name}`
        ])
      })
    )
  )

  it.effect("a handler's defect is on its span and not on the caller's", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* serve(
          "a:1",
          handling(() => Effect.die(new RangeError("secret")))
        )
        const echo = yield* clientOf("a:1")
        yield* Effect.flip(echo.echo({}))
        const [call, , served] = spans.spans
        assert.deepStrictEqual(ending(served!), ["INTERNAL", "Die"])
        assert.strictEqual(served!.attributes.get("error.type"), "RangeError")
        assert.deepStrictEqual(ending(call!), ["INTERNAL", "[INTERNAL] internal error"])
        assert.strictEqual(call!.attributes.get("error.type"), "INTERNAL")
        assert.strictEqual(call!.attributes.get("trunkline.stopped"), "not_retryable")
      })
    )
  )

  it.effect("an error of the request is an error to the caller and none of the server's", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const reason = ErrorDetails.make(ErrorDetails.ErrorInfoSchema, { reason: "CARD_EXPIRED" })
        yield* serve("a:1", failing(1, ErrorDetails.attach(RpcError.make("FAILED_PRECONDITION", "no"), reason)))
        const echo = yield* clientOf("a:1")
        yield* Effect.flip(echo.echo({}))
        assert.deepStrictEqual(spans.spans.map(ending), [
          ["FAILED_PRECONDITION", "[FAILED_PRECONDITION] no"],
          ["FAILED_PRECONDITION", "[FAILED_PRECONDITION] no"],
          ["FAILED_PRECONDITION"]
        ])
        assert.deepStrictEqual(
          spans.spans.map((span) => span.attributes.get("error.type")),
          ["CARD_EXPIRED", "CARD_EXPIRED", "CARD_EXPIRED"]
        )
      })
    )
  )

  describe("is off", () => {
    /** What a handler sees of the trace of a call made with this effect. */
    const seenBy = (call: (echo: Client.Client<typeof EchoService>) => Effect.Effect<unknown, RpcError.RpcError>) =>
      Effect.gen(function* () {
        let seen: unknown
        yield* serve(
          "a:1",
          handling((_request, { metadata }) =>
            Effect.map(Effect.option(Effect.currentSpan), (span) => {
              seen = [metadata.get("traceparent"), Option.isSome(span)]
              return {}
            })
          )
        )
        yield* call(yield* clientOf("a:1"))
        return seen
      })

    it.effect("without a tracer", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* seenBy((echo) => echo.echo({})), [undefined, false])
      }).pipe(Effect.provide(TestNetwork.layer))
    )

    it.effect("where the program turns tracing off", () =>
      traced((spans) =>
        Effect.gen(function* () {
          const seen = yield* seenBy((echo) => echo.echo({}).pipe(Effect.withTracerEnabled(false)))
          assert.deepStrictEqual(seen, [undefined, true])
          assert.deepStrictEqual(tree(spans.spans), [`server ${name}`])
        })
      )
    )

    it.effect("for methods that are not asked for", () =>
      traced(
        (spans) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* seenBy((echo) => echo.echo({})), [undefined, false])
            assert.deepStrictEqual(spans.spans, [])
          }),
        { when: (method) => method.name !== "Echo" }
      )
    )

    it.effect("beyond this process, if others are strangers", () =>
      traced(
        (spans) =>
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* seenBy((echo) => echo.echo({})), [undefined, true])
            assert.deepStrictEqual(tree(spans.spans), [`client ${name}`, `  client Attempt.${name}`, `server ${name}`])
          }),
        { propagate: false }
      )
    )
  })

  it.effect("goes on from a span without any tracer, and keeps the caller's choice not to sample", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const seen: Array<unknown> = []
      const handlers = handling((_request, { metadata }) =>
        Effect.map(Effect.currentParentSpan, (span) => {
          seen.push(metadata.get("traceparent")!.toString().split("-")[1], span.traceId, span.sampled)
          return {}
        }).pipe(Effect.orDie)
      )
      yield* network.serve("a:1", { handlers: [handlers] })
      const echo = yield* clientOf("a:1")
      const parent = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: false })
      yield* echo.echo({}).pipe(Effect.withParentSpan(parent))
      assert.deepStrictEqual(seen, ["a".repeat(32), "a".repeat(32), false])
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect(
    "interceptors of a client are inside of the call's span, those of its transport inside of the attempt's",
    () =>
      traced((spans) =>
        Effect.gen(function* () {
          yield* serve("a:1")
          const seen: Array<string> = []
          const look: Interceptor.Interceptor = {
            unary: (next) => (method, request, call) =>
              Effect.flatMap(Effect.orDie(Effect.currentSpan), (span) => {
                seen.push(span.name)
                return next(method, request, call)
              }),
            stream: (next) => next
          }
          const pool = yield* Layer.build(
            Transport.intercept(look).pipe(
              Layer.provide(
                Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() }))
              )
            )
          )
          const echo = yield* Client.make(EchoService).pipe(
            Effect.provide(Interceptor.layer(look)),
            Effect.provide(pool)
          )
          yield* echo.echo({})
          assert.deepStrictEqual(seen, [name, `Attempt.${name}`])
          assert.strictEqual(spans.spans.length, 3)
        })
      )
  )
})
