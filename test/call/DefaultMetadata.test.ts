import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  Deadline,
  DefaultMetadata,
  Handlers,
  Interceptor,
  Metadata,
  MetadataKey,
  Retry,
  RoundRobin,
  RpcError,
  type ServerCall,
  StaticDiscovery,
  Transport
} from "trunkline"
import { ApiHeaders } from "trunkline/google"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"
import * as Backend from "../support/backend.ts"

const settle = TestClock.adjust(0)
const record = (metadata: Metadata.Metadata) => Object.fromEntries(metadata)

/** The metadata a call arrives with behind interceptors, and what the call looks like when it is over. */
const through = Effect.fnUntraced(function* (
  interceptors: ReadonlyArray<Interceptor.Interceptor>,
  kind: Backend.Kind,
  given: Metadata.Input = {},
  exit: Exit.Exit<unknown, RpcError.RpcError> = Exit.succeed("answer")
) {
  const backend = Backend.make()
  const call = yield* Backend.newCall({ metadata: Metadata.makeUnsafe(given) })
  const invoker = Interceptor.apply(Interceptor.compose(interceptors), backend.invoker)
  const fiber = yield* Effect.forkChild(Backend.run(invoker, kind, { call }))
  yield* settle
  assert.deepStrictEqual(
    backend.arrived.map((arrived) => arrived.call),
    [call],
    "the same call, once"
  )
  backend.arrived[0]!.end(exit)
  yield* Fiber.await(fiber)
  return { sent: record(backend.arrived[0]!.metadata), after: record(call.options.metadata) }
})

const failing = (error: unknown) => DefaultMetadata.make({ authorization: Effect.fail(error) })

/** An effect that counts how often it ran. */
const counted = <A, E>(run: (n: number) => Effect.Effect<A, E>) => {
  let runs = 0
  return { runs: () => runs, effect: Effect.suspend(() => run(++runs)) }
}

describe.each(Backend.kinds)("defaults of a %s call", (kind) => {
  it.effect("are sent where the call gives nothing, and the call's own win", () =>
    Effect.gen(function* () {
      const fetch = counted(() => Effect.succeed(["fetched 1", "fetched 2"]))
      const interceptor = DefaultMetadata.make({
        A: ["1", "2"],
        b: "1",
        "c-bin": Uint8Array.of(1),
        F: fetch.effect
      })
      assert.deepStrictEqual((yield* through([interceptor], kind)).sent, {
        a: ["1", "2"],
        b: ["1"],
        "c-bin": [Uint8Array.of(1)],
        f: ["fetched 1", "fetched 2"]
      })
      assert.deepStrictEqual((yield* through([interceptor], kind, { a: "call", f: "call", g: "call" })).sent, {
        a: ["call"],
        b: ["1"],
        "c-bin": [Uint8Array.of(1)],
        f: ["call"],
        g: ["call"]
      })
      assert.strictEqual(fetch.runs(), 1, "what the call gives is not fetched")
    })
  )

  it.effect("the outer interceptor is nearer to the call", () =>
    Effect.gen(function* () {
      const never = counted(() => Effect.succeed("inner"))
      const { sent } = yield* through(
        [
          DefaultMetadata.make({ a: "outer", b: Effect.succeed("outer") }),
          DefaultMetadata.make({ a: never.effect, b: "inner", c: "inner" })
        ],
        kind
      )
      assert.deepStrictEqual(sent, { a: ["outer"], b: ["outer"], c: ["inner"] })
      assert.strictEqual(never.runs(), 0)
    })
  )

  it.effect.each([
    ["success", Exit.succeed("answer")],
    ["failure", Exit.fail(RpcError.make("UNAVAILABLE", "x"))],
    ["interruption", Exit.interrupt()]
  ] as const)("the call has its own metadata back after %s", ([_name, exit]) =>
    Effect.gen(function* () {
      const interceptors = [DefaultMetadata.make({ a: "1" }), DefaultMetadata.make({ b: Effect.succeed("1") })]
      assert.deepStrictEqual((yield* through(interceptors, kind, { c: "1" }, exit)).after, { c: ["1"] })
    })
  )

  it.effect("several are fetched at the same time", () =>
    Effect.gen(function* () {
      const both = yield* Deferred.make<void>()
      let waiting = 0
      const value = Effect.suspend(() =>
        ++waiting === 2 ? Effect.as(Deferred.succeed(both, undefined), "2") : Effect.as(Deferred.await(both), "1")
      )
      const { sent } = yield* through([DefaultMetadata.make({ a: value, b: value })], kind)
      assert.deepStrictEqual(sent, { a: ["1"], b: ["2"] })
    })
  )

  it.effect("a fetch may find nothing", () =>
    Effect.gen(function* () {
      const { sent } = yield* through([DefaultMetadata.make({ a: Effect.succeed([]) })], kind)
      assert.deepStrictEqual(sent, {})
    })
  )

  it.effect("a typed key brings its value or an Effect of it", () =>
    Effect.gen(function* () {
      const User = MetadataKey.json("x-user", Schema.String)
      for (const value of ["Zoë", Effect.succeed("Zoë")]) {
        const { sent } = yield* through([DefaultMetadata.ofKey(User, value)], kind)
        assert.deepStrictEqual(sent, { "x-user": ['"Zo\\u00eb"'] })
        assert.deepStrictEqual((yield* through([DefaultMetadata.ofKey(User, value)], kind, { "x-user": "1" })).sent, {
          "x-user": ["1"]
        })
      }
    })
  )

  it.effect("update sees the call's metadata and its method", () =>
    Effect.gen(function* () {
      const { sent } = yield* through(
        [
          DefaultMetadata.update(ApiHeaders.apiClient({ gax: "1" })),
          DefaultMetadata.update((metadata, method) =>
            Effect.succeed(Metadata.set(metadata, MetadataKey.text("path"), method.path))
          )
        ],
        kind,
        { "x-goog-api-client": "gl-node/20" }
      )
      assert.deepStrictEqual(sent["x-goog-api-client"], ["gl-node/20 gax/1"])
      assert.match(String(sent["path"]), /^\/trunkline.test.EchoService\//)
    })
  )

  it.effect("a failing fetch fails the call before it is sent: with its own RpcError, or UNAUTHENTICATED", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      const own = RpcError.make("UNAVAILABLE", "the token service is down")
      const error = yield* Effect.flip(Backend.run(Interceptor.apply(failing(own), backend.invoker), kind))
      assert.strictEqual(error, own)
      const cause = new Error("secret")
      const other = yield* Effect.flip(Backend.run(Interceptor.apply(failing(cause), backend.invoker), kind))
      assert.strictEqual(other.message, '[UNAUTHENTICATED] no value for metadata key "authorization"')
      assert.strictEqual(other.cause, cause)
      assert.strictEqual(backend.arrived.length, 0)
    })
  )

  it.effect("a fetched value that the protocol does not allow fails the call, and is not told", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      for (const interceptor of [
        DefaultMetadata.make({ authorization: Effect.succeed("secret\n") }),
        DefaultMetadata.ofKey(MetadataKey.text("authorization"), Effect.succeed("secret\n"))
      ]) {
        const error = yield* Effect.flip(Backend.run(Interceptor.apply(interceptor, backend.invoker), kind))
        assert.match(error.message, /^\[INTERNAL\] metadata key "authorization": /)
        assert.notInclude(error.message, "secret")
      }
      assert.strictEqual(backend.arrived.length, 0)
    })
  )

  it.effect("a fetch ends with the call's deadline, and with the call", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      let interrupted = 0
      const hanging = DefaultMetadata.make({
        a: Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      })
      const invoker = Interceptor.apply(hanging, backend.invoker)
      const late = yield* Effect.forkChild(
        Effect.flip(Backend.run(invoker, kind, { call: yield* Backend.newCall({ deadlineMillis: 1000 }) }))
      )
      yield* TestClock.adjust(999)
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(late)).code, "DEADLINE_EXCEEDED")
      assert.strictEqual(interrupted, 1)
      const left = yield* Effect.forkChild(Backend.run(invoker, kind))
      yield* settle
      yield* Fiber.interrupt(left)
      assert.strictEqual(interrupted, 2)
      assert.strictEqual(backend.arrived.length, 0)
    })
  )
})

describe("defaults written in the program", () => {
  it.each([
    ["a name", { "a b": Effect.succeed("") }],
    ["a name of the protocol", { "grpc-timeout": Effect.succeed("") }],
    ["a name and its value", { "a-bin": "text" }],
    ["a value", { a: "\n" }]
  ])("%s that is not allowed is refused there", (_name, values) => {
    assert.throws(() => DefaultMetadata.make(values), Metadata.MetadataError)
  })

  it("a typed value too", () => {
    assert.throws(() => DefaultMetadata.ofKey(MetadataKey.text("a"), "\n"), Metadata.MetadataError)
  })
})

describe("a cached value", () => {
  const token = (timeToLive: Parameters<typeof DefaultMetadata.cached<string, never, never>>[1]["timeToLive"]) =>
    Effect.gen(function* () {
      const fetch = counted((n) => Effect.as(Effect.sleep("1 second"), `token ${n}`))
      return { fetch, value: yield* DefaultMetadata.cached(fetch.effect, { timeToLive }) }
    })

  it.effect.each([
    ["a fixed time", "1 minute"],
    ["a time of its own", (value: string) => (value === "token 1" ? "1 minute" : "2 minutes")]
  ] as const)("is kept for %s, counted from its arrival", ([_name, timeToLive]) =>
    Effect.gen(function* () {
      const { fetch, value } = yield* token(timeToLive)
      const first = yield* Effect.forkChild(value)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(first), "token 1")
      yield* TestClock.adjust(59_999)
      assert.strictEqual(yield* value, "token 1")
      assert.strictEqual(fetch.runs(), 1)
      yield* TestClock.adjust(1)
      const second = yield* Effect.forkChild(value)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(second), "token 2")
      yield* TestClock.adjust(60_000)
      yield* Effect.forkChild(value)
      yield* settle
      assert.strictEqual(fetch.runs(), timeToLive === "1 minute" ? 3 : 2)
    })
  )

  it.effect("concurrent calls share one fetch, whoever of them leaves", () =>
    Effect.gen(function* () {
      const { fetch, value } = yield* token("1 minute")
      const [a, b, c] = [yield* Effect.forkChild(value), yield* Effect.forkChild(value), yield* Effect.forkChild(value)]
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(a)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual([yield* Fiber.join(b), yield* Fiber.join(c)], ["token 1", "token 1"])
      assert.strictEqual(fetch.runs(), 1)
    })
  )

  it.effect("a fetch that nobody waits for any more is given up, and the next call fetches again", () =>
    Effect.gen(function* () {
      const { fetch, value } = yield* token("1 minute")
      const left = yield* Effect.forkChild(value)
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(left)
      const next = yield* Effect.forkChild(value)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(next), "token 2")
      assert.strictEqual(fetch.runs(), 2)
    })
  )

  it.effect("a failure reaches those who waited and nobody else", () =>
    Effect.gen(function* () {
      const fetch = counted((n) => Effect.andThen(Effect.sleep(1), n === 1 ? Effect.fail("no") : Effect.succeed("yes")))
      const value = yield* DefaultMetadata.cached(fetch.effect, { timeToLive: "1 minute" })
      const waiting = [yield* Effect.forkChild(Effect.exit(value)), yield* Effect.forkChild(Effect.exit(value))]
      yield* TestClock.adjust(1)
      for (const fiber of waiting) assert.deepStrictEqual(yield* Fiber.join(fiber), Exit.fail("no"))
      assert.strictEqual(fetch.runs(), 1)
      const next = yield* Effect.forkChild(value)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(next), "yes")
      assert.strictEqual(yield* value, "yes")
      assert.strictEqual(fetch.runs(), 2)
    })
  )

  it.effect("the first call lends the fetch neither its deadline nor its metadata", () =>
    Effect.gen(function* () {
      const Name = Context.Reference<string>("test/Name", { defaultValue: () => "nobody" })
      const fetch = Effect.gen(function* () {
        return [yield* Name, yield* Deadline.Current, (yield* CallOptions.Current).metadata.size] as const
      })
      const value = yield* DefaultMetadata.cached(fetch, { timeToLive: "1 minute" }).pipe(
        Effect.provideService(Name, "the maker")
      )
      const seen = yield* value.pipe(
        CallOptions.withMetadata({ a: "1" }),
        Effect.provideService(Deadline.Current, 1),
        Effect.provideService(Name, "the caller")
      )
      assert.deepStrictEqual(seen, ["the maker", Infinity, 0])
    })
  )
})

describe("through a client and a pool", () => {
  class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

  /** A host that writes down what its calls bring, and answers the first so many with UNAVAILABLE. */
  const serve = Effect.fnUntraced(function* (unavailable = 0) {
    const network = yield* TestNetwork.TestNetwork
    const seen: Array<Record<string, unknown>> = []
    const received = (call: ServerCall.ServerCall) =>
      Effect.suspend(() => {
        seen.push(record(call.metadata))
        return seen.length <= unavailable ? Effect.fail(RpcError.make("UNAVAILABLE", "not yet")) : Effect.succeed({})
      })
    yield* network.serve("a:1", {
      handlers: [
        Handlers.make(EchoService, {
          echo: (_request, call) => received(call),
          lookup: (_request, call) => received(call),
          expand: (_request, call) => Stream.fromEffect(received(call)),
          collect: (_requests, call) => received(call),
          chat: (_requests, call) => Stream.fromEffect(received(call))
        })
      ]
    })
    return seen
  })

  const pool = (...interceptors: ReadonlyArray<Interceptor.Interceptor>) =>
    Transport.intercept(...interceptors).pipe(
      Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() })),
      Layer.orDie
    )

  it.effect("call > client > pool, for all four kinds", () =>
    Effect.gen(function* () {
      const seen = yield* serve()
      const live = Echo.layer.pipe(
        Layer.provide(Interceptor.layer(DefaultMetadata.make({ a: "client", b: Effect.succeed("client") }))),
        Layer.provide(pool(DefaultMetadata.make({ a: "pool", b: "pool", c: Effect.succeed("pool") })))
      )
      yield* Effect.gen(function* () {
        const echo = yield* Echo
        for (const call of [
          echo.echo({}),
          Stream.runDrain(echo.expand({})),
          echo.collect(Stream.empty),
          Stream.runDrain(echo.chat(Stream.empty))
        ]) {
          yield* CallOptions.withMetadata({ A: "call" })(call as Effect.Effect<unknown, RpcError.RpcError>)
          yield* call
        }
      }).pipe(Effect.provide(live))
      const expected = [
        { a: ["call"], b: ["client"], c: ["pool"] },
        { a: ["client"], b: ["client"], c: ["pool"] }
      ]
      assert.deepStrictEqual(seen, [...expected, ...expected, ...expected, ...expected])
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect.each(["unary", "stream"] as const)(
    "a retried %s call keeps the client's token and asks anew for the pool's",
    (kind) =>
      Effect.gen(function* () {
        const seen = yield* serve(2)
        const [clients, pools] = [counted((n) => Effect.succeed(n)), counted((n) => Effect.succeed(n))]
        const value = (count: { readonly effect: Effect.Effect<number> }) => Effect.map(count.effect, String)
        const live = Echo.layer.pipe(
          Layer.provide(Interceptor.layer(DefaultMetadata.make({ client: value(clients) }))),
          Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 second")))),
          Layer.provide(pool(DefaultMetadata.make({ pool: value(pools) })))
        )
        const call = Effect.flatMap(Echo, (echo): Effect.Effect<unknown, RpcError.RpcError> =>
          kind === "unary" ? echo.echo({}) : Stream.runDrain(echo.expand({}))
        )
        const fiber = yield* Effect.forkChild(Effect.provide(CallOptions.waitForReady(call), live))
        yield* Effect.repeat(TestClock.adjust("1 second"), { times: 9 })
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(
          seen.map(({ client, pool }) => [client, pool].flat()),
          [
            ["1", "1"],
            ["1", "2"],
            ["1", "3"]
          ]
        )
      }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("a token is fetched once, kept, refreshed, and a failed refresh is tried again by the next call", () =>
    Effect.gen(function* () {
      const seen = yield* serve()
      const fetch = counted((n) => (n === 2 ? Effect.fail("the issuer is down") : Effect.succeed(`token ${n}`)))
      const authorized = Effect.gen(function* () {
        const token = yield* DefaultMetadata.cached(fetch.effect, { timeToLive: "1 hour" })
        return Interceptor.layer(DefaultMetadata.make({ authorization: Effect.map(token, (it) => `Bearer ${it}`) }))
      })
      const live = Echo.layer.pipe(Layer.provide(Layer.unwrap(authorized)), Layer.provide(pool()))
      yield* Effect.gen(function* () {
        const echo = yield* Echo
        yield* Effect.all([echo.echo({}), echo.echo({})], { concurrency: "unbounded" })
        yield* TestClock.adjust("59 minutes")
        yield* echo.echo({})
        assert.strictEqual(fetch.runs(), 1)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Effect.flip(echo.echo({}))).code, "UNAUTHENTICATED")
        yield* echo.echo({})
        assert.strictEqual(fetch.runs(), 3)
      }).pipe(Effect.provide(live))
      assert.deepStrictEqual(
        seen.map(({ authorization }) => String(authorization)),
        ["Bearer token 1", "Bearer token 1", "Bearer token 1", "Bearer token 3"]
      )
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
