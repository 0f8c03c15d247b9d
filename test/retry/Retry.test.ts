import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, Code, Handlers, Retry, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const everySecond = Schedule.spaced("1 second")
const unavailable = RpcError.make("UNAVAILABLE", "try later")

/** An effect that fails so many times, and the count of its runs. */
const failing = (times: number, error: RpcError.RpcError = unavailable) =>
  Effect.map(Ref.make(0), (runs) => ({
    runs: Ref.get(runs),
    effect: Effect.flatMap(
      Ref.updateAndGet(runs, (n) => n + 1),
      (n) => (n <= times ? Effect.fail(error) : Effect.succeed(n))
    )
  }))

describe("policies are schedules", () => {
  it.effect("on any effect, ours or not", () =>
    Effect.gen(function* () {
      const { effect, runs } = yield* failing(2)
      const fiber = yield* Effect.forkChild(Effect.retry(effect, Retry.onCodes(["UNAVAILABLE"], everySecond)))
      yield* TestClock.adjust(1999)
      assert.strictEqual(yield* runs, 2)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), 3)
    })
  )

  it.effect.each(Code.all)("%s is retried when listed and not when not", (code) =>
    Effect.gen(function* () {
      const listed = yield* failing(1, RpcError.make(code, "x"))
      yield* Effect.retry(listed.effect, Retry.onCodes([code], Schedule.forever))
      assert.strictEqual(yield* listed.runs, 2)
      const others = Code.all.filter((other) => other !== code)
      const unlisted = yield* failing(1, RpcError.make(code, "x"))
      yield* Effect.flip(Effect.retry(unlisted.effect, Retry.onCodes(others, Schedule.forever)))
      assert.strictEqual(yield* unlisted.runs, 1)
    })
  )

  it.effect("an empty list never retries", () =>
    Effect.gen(function* () {
      const { effect, runs } = yield* failing(1)
      yield* Effect.flip(Effect.retry(effect, Retry.onCodes([], Schedule.forever)))
      assert.strictEqual(yield* runs, 1)
    })
  )

  it.effect.each([
    [0, 1],
    [1, 1],
    [2, 2],
    [5, 5]
  ] as const)("maxAttempts(%i) is so many runs", ([attempts, expected]) =>
    Effect.gen(function* () {
      const { effect, runs } = yield* failing(100)
      const policy = Retry.onCodes(["UNAVAILABLE"], Schedule.forever).pipe(Retry.maxAttempts(attempts))
      yield* Effect.flip(Effect.retry(effect, policy))
      assert.strictEqual(yield* runs, expected)
    })
  )

  it.effect("they compose as schedules do", () =>
    Effect.gen(function* () {
      const { effect, runs } = yield* failing(100)
      const policy = Schedule.max([Retry.onCodes(["UNAVAILABLE"], everySecond), Schedule.recurs(3)])
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.retry(effect, policy)))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* runs, 4)
    })
  )
})

/** A server whose method fails as scripted, and a client with a policy over three of them. */
const scripted = Effect.fnUntraced(function* (policy: Retry.RetryPolicy, script: (attempt: number) => Code.Status) {
  const network = yield* TestNetwork.TestNetwork
  const seen: Array<{ readonly host: string; readonly previous: unknown; readonly at: number }> = []
  const answer = (host: string, metadata: ReadonlyMap<string, ReadonlyArray<unknown>>) =>
    Effect.gen(function* () {
      const at = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      seen.push({ host, previous: metadata.get("grpc-previous-rpc-attempts")?.[0], at })
      const code = script(seen.length)
      return code === "OK" ? { text: "done" } : yield* Effect.fail(RpcError.make(code, `attempt ${seen.length}`))
    })
  const hosts = ["a:1", "b:1", "c:1"]
  for (const host of hosts) {
    const build = Effect.map(echoHandlers(host).build, (all) =>
      all.map((handler) => ({
        ...handler,
        invoker: {
          ...handler.invoker,
          unary: (_method: unknown, _request: unknown, call: { readonly options: CallOptions.CallOptions }) =>
            Effect.map(answer(host, call.options.metadata), (message) => ({
              message,
              headers: new Map(),
              trailers: new Map()
            })) as never
        }
      }))
    )
    yield* network.serve(host, { handlers: [{ ...echoHandlers(host), build } satisfies Handlers.Handlers] })
  }
  const pool = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), eager: true })
  const transport = yield* Layer.build(Layer.orDie(pool))
  const echo = yield* Client.make(EchoService).pipe(Effect.provideContext(transport), Retry.withPolicy(policy))
  yield* TestClock.adjust(0)
  return { echo, seen }
})

const inMemory = Effect.provide(TestNetwork.layer)

describe("a client with a policy", () => {
  it.effect("tries again on another peer each time, and says how often it has tried", () =>
    Effect.gen(function* () {
      const { echo, seen } = yield* scripted(Retry.onCodes(["UNAVAILABLE"], everySecond), (attempt) =>
        attempt < 3 ? "UNAVAILABLE" : "OK"
      )
      const call = yield* Effect.forkChild(echo.lookup({}))
      yield* TestClock.adjust(2000)
      assert.strictEqual((yield* Fiber.join(call)).text, "done")
      assert.deepStrictEqual(
        seen.map(({ at, previous }) => [at, previous]),
        [
          [0, undefined],
          [1000, "1"],
          [2000, "2"]
        ]
      )
      assert.strictEqual(new Set(seen.map(({ host }) => host)).size, 3)
    }).pipe(inMemory)
  )

  it.effect("fails with the last real error and the story of every attempt", () =>
    Effect.gen(function* () {
      const { echo } = yield* scripted(Retry.onCodes(["UNAVAILABLE"], everySecond), (attempt) =>
        attempt < 3 ? "UNAVAILABLE" : "NOT_FOUND"
      )
      const call = yield* Effect.forkChild(Effect.flip(echo.lookup({})))
      yield* TestClock.adjust(2000)
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.message, "[NOT_FOUND] attempt 3")
      assert.strictEqual(error.stopped, "not_retryable")
      assert.deepStrictEqual(
        error.attempts.map(({ code, delayMillis, elapsedMillis }) => [code, delayMillis, elapsedMillis]),
        [
          ["UNAVAILABLE", 1000, 0],
          ["UNAVAILABLE", 1000, 0],
          ["NOT_FOUND", 0, 0]
        ]
      )
    }).pipe(inMemory)
  )

  it.effect("does not sleep when the sleep could not end inside the deadline", () =>
    Effect.gen(function* () {
      const { echo, seen } = yield* scripted(Retry.onCodes(["UNAVAILABLE"], everySecond), () => "UNAVAILABLE")
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.withDeadline(100)))
      assert.strictEqual(error.message, "[UNAVAILABLE] attempt 1")
      assert.strictEqual(error.stopped, "deadline")
      assert.strictEqual(seen.length, 1)
    }).pipe(inMemory)
  )

  it.effect("uses the deadline up to its last sleep", () =>
    Effect.gen(function* () {
      const { echo, seen } = yield* scripted(Retry.onCodes(["UNAVAILABLE"], everySecond), () => "UNAVAILABLE")
      const call = yield* Effect.forkChild(Effect.flip(echo.lookup({}).pipe(CallOptions.withDeadline(2500))))
      yield* TestClock.adjust(2000)
      assert.strictEqual((yield* Fiber.join(call)).message, "[UNAVAILABLE] attempt 3")
      assert.strictEqual(seen.length, 3)
    }).pipe(inMemory)
  )

  it.effect("a call's own policy replaces the client's", () =>
    Effect.gen(function* () {
      const { echo, seen } = yield* scripted(Retry.onCodes(["UNAVAILABLE"], everySecond), () => "UNAVAILABLE")
      const error = yield* Effect.flip(echo.lookup({}).pipe(Retry.withPolicy(Retry.none)))
      assert.strictEqual(error.attempts.length, 1)
      assert.strictEqual(seen.length, 1)
    }).pipe(inMemory)
  )

  it.effect("an interrupted call stops sleeping and does not come back", () =>
    Effect.gen(function* () {
      const { echo, seen } = yield* scripted(Retry.onCodes(["UNAVAILABLE"], everySecond), () => "UNAVAILABLE")
      const call = yield* Effect.forkChild(echo.lookup({}))
      yield* TestClock.adjust(500)
      yield* Fiber.interrupt(call)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(seen.length, 1)
    }).pipe(inMemory)
  )

  it.effect("each attempt has its own time", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const hosts = ["a:1", "b:1"]
      for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
      const pool = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), eager: true })
      const transport = yield* Layer.build(Layer.orDie(pool))
      const echo = yield* Effect.provideContext(Client.make(EchoService), transport)
      yield* TestClock.adjust(0)
      yield* network.freeze("a:1")
      const policy = Retry.onCodes(["DEADLINE_EXCEEDED"], Schedule.spaced(10))
      const calls = yield* Effect.forkChild(
        Effect.all(
          [
            echo.lookup({}).pipe(CallOptions.withTimeout(100), Retry.withPolicy(policy)),
            echo.lookup({}).pipe(CallOptions.withTimeout(100), Retry.withPolicy(policy))
          ],
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust(110)
      assert.deepStrictEqual(
        (yield* Fiber.join(calls)).map((reply) => reply.server),
        ["b:1", "b:1"]
      )
    }).pipe(inMemory)
  )
})

describe("server streams", () => {
  const streaming = Effect.fnUntraced(function* (failures: number, messagesFirst: number) {
    const network = yield* TestNetwork.TestNetwork
    let runs = 0
    const handlers = Handlers.make(EchoService, {
      echo: () => Effect.succeed({}),
      lookup: () => Effect.succeed({}),
      collect: () => Effect.succeed({}),
      chat: () => Stream.empty,
      expand: () =>
        Stream.suspend(() => {
          const fails = ++runs <= failures
          const messages = Stream.range(0, (fails ? messagesFirst : 3) - 1).pipe(Stream.map((index) => ({ index })))
          return fails ? Stream.concat(messages, Stream.fail(unavailable)) : messages
        })
    })
    yield* network.serve("a:1", { handlers: [handlers] })
    const pool = Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make(), eager: true })
    const transport = yield* Layer.build(Layer.orDie(pool))
    const echo = yield* Client.make(EchoService).pipe(
      Effect.provideContext(transport),
      Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], everySecond))
    )
    yield* TestClock.adjust(0)
    const indexes = Stream.runCollect(Stream.map(echo.expand({}), (reply) => reply.index))
    return { indexes, runs: () => runs }
  })

  it.effect("are tried again before their first message", () =>
    Effect.gen(function* () {
      const { indexes, runs } = yield* streaming(2, 0)
      const fiber = yield* Effect.forkChild(indexes)
      yield* TestClock.adjust(2000)
      assert.deepStrictEqual(yield* Fiber.join(fiber), [0, 1, 2])
      assert.strictEqual(runs(), 3)
    }).pipe(inMemory)
  )

  it.effect("are not tried again after it", () =>
    Effect.gen(function* () {
      const { indexes, runs } = yield* streaming(1, 1)
      const error = yield* Effect.flip(indexes)
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.strictEqual(runs(), 1)
    }).pipe(inMemory)
  )
})
