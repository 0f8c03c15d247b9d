import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  DefaultMetadata,
  Interceptor,
  Retry,
  RoundRobin,
  type RpcError,
  StaticDiscovery,
  Transport
} from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

/** Writes down each call that passes: whose interceptor, which attempt, and who has set the metadata `from` by then. */
const noting = (seen: Array<string>, name: string): Interceptor.Interceptor => {
  const note = (call: Parameters<Interceptor.Unary>[2]) => {
    seen.push(`${name} ${call.attempt} ${call.options.metadata.get("from") ?? "nobody"}`)
  }
  return {
    unary: (next) => (method, request, call) =>
      Effect.suspend(() => {
        note(call)
        return next(method, request, call)
      }),
    stream: (next) => (method, requests, call) =>
      Effect.suspend(() => {
        note(call)
        return next(method, requests, call)
      })
  }
}

/** A backend where nobody is: every attempt fails. */
const nobody = Balancer.layer({
  discovery: StaticDiscovery.make(["a:1"]),
  picker: RoundRobin.make(),
  chooseTimeout: "1 second"
})

const calls: ReadonlyArray<
  readonly [string, (echo: Client.Client<typeof EchoService>) => Effect.Effect<unknown, RpcError.RpcError>]
> = [
  ["unary", (echo) => echo.echo({})],
  ["server streaming", (echo) => Stream.runDrain(echo.expand({}))]
]

describe("Transport.intercept", () => {
  it.effect.each(calls)(
    "of a %s call sees attempts, inside of the client's interceptors: call > client > pool",
    ([_kind, call]) =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const from = (name: string) => DefaultMetadata.make({ from: name })
        const live = Echo.layer.pipe(
          Layer.provide(Interceptor.layer(noting(seen, "client"), from("client"))),
          Layer.provide(Retry.layer(Retry.maxAttempts(2)(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 second"))))),
          Layer.provide(Transport.intercept(from("pool"), noting(seen, "pool"))),
          Layer.provide(nobody)
        )
        const program = Effect.gen(function* () {
          const echo = yield* Echo
          yield* Effect.ignore(CallOptions.withMetadata({ from: "call" })(call(echo)))
          yield* Effect.ignore(call(echo))
        }).pipe(Effect.provide(live))
        yield* Effect.forkChild(program)
        yield* Effect.repeat(TestClock.adjust("1 second"), { times: 9 })
        assert.deepStrictEqual(seen, [
          "client 1 call",
          "pool 1 call",
          "pool 2 call",
          "client 1 nobody",
          "pool 1 client",
          "pool 2 client"
        ])
      }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("without the client's defaults a call has the pool's", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const live = Echo.layer.pipe(
        Layer.provide(
          Transport.intercept(noting(seen, "pool"), DefaultMetadata.make({ from: "pool" }), noting(seen, "wire"))
        ),
        Layer.provide(nobody)
      )
      yield* Effect.forkChild(
        Effect.provide(
          Effect.flatMap(Echo, (echo) => echo.echo({})),
          live
        )
      )
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen, ["pool 1 nobody", "wire 1 pool"])
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("two of them compose, the last provided innermost, and the pool stays to be looked at", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [echoHandlers("a")] })
      const seen: Array<string> = []
      const live = Echo.layer.pipe(
        Layer.provideMerge(Transport.intercept(noting(seen, "outer"))),
        Layer.provideMerge(Transport.intercept(noting(seen, "inner"))),
        Layer.provideMerge(Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() }))
      )
      const context = yield* Layer.build(live)
      assert.strictEqual((yield* Context.get(context, Echo).echo({})).server, "a")
      assert.deepStrictEqual(seen, ["outer 1 nobody", "inner 1 nobody"])
      assert.isTrue(Context.getOption(context, PeerPool.PeerPool)._tag === "Some")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("one layer in front of two transports is in front of each", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const seen: Array<string> = []
      const shared = Transport.intercept(noting(seen, "both"))
      class Other extends Client.Service<Other>()("test/Other", EchoService) {}
      const poolOf = (host: string) =>
        Layer.provide(shared, Balancer.layer({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make() }))
      for (const host of ["a:1", "b:1"]) yield* network.serve(host, { handlers: [echoHandlers(host)] })
      const live = Layer.merge(Layer.provide(Echo.layer, poolOf("a:1")), Layer.provide(Other.layer, poolOf("b:1")))
      const servers = yield* Effect.all([
        Effect.flatMap(Echo, (echo) => echo.echo({})),
        Effect.flatMap(Other, (echo) => echo.echo({}))
      ]).pipe(Effect.provide(live))
      assert.deepStrictEqual(
        servers.map(({ server }) => server),
        ["a:1", "b:1"]
      )
      assert.strictEqual(seen.length, 2)
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
