import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, References, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallLogger,
  CallOptions,
  Client,
  Code,
  type Handlers,
  Interceptor,
  Retry,
  RoundRobin,
  RpcError,
  StaticDiscovery
} from "trunkline"
import { Outcome } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import * as Backend from "../support/backend.ts"

interface Line {
  readonly level: string
  readonly message: unknown
  readonly annotations: Readonly<Record<string, unknown>>
  readonly cause: Cause.Cause<unknown>
}

/** Runs an effect and keeps what it logs. */
const logged = <A, E, R>(self: (lines: ReadonlyArray<Line>) => Effect.Effect<A, E, R>) => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    lines.push({ level: logLevel, message, annotations: fiber.getRef(References.CurrentLogAnnotations), cause })
  })
  return self(lines).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
}

const settle = TestClock.adjust(0)
const path = { unary: "/trunkline.test.EchoService/Echo", stream: "/trunkline.test.EchoService/Expand" }

/** What is logged of a call that takes a second and ends as told. */
const lineOf = Effect.fnUntraced(function* (
  kind: Backend.Kind,
  end: (backend: Backend.Arrived, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown>,
  interceptor = CallLogger.make()
) {
  return yield* logged((lines) =>
    Effect.gen(function* () {
      const backend = Backend.make()
      const call = yield* Backend.newCall()
      yield* TestClock.adjust(500)
      const fiber = yield* Effect.forkChild(
        Backend.run(Interceptor.apply(interceptor, backend.invoker), kind, { call, request: { text: "secret" } })
      )
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(lines, [], "nothing is logged before the end")
      yield* end(backend.arrived[0]!, fiber)
      yield* Fiber.await(fiber)
      return lines
    })
  )
})

const ended = (exit: Exit.Exit<unknown, RpcError.RpcError>) => (arrived: Backend.Arrived) =>
  Effect.sync(() => arrived.end(exit))

describe.each(Backend.kinds)("a %s call", (kind) => {
  it.effect("that succeeded is one line at Info: method, code, elapsed, attempt", () =>
    Effect.gen(function* () {
      const lines = yield* lineOf(kind, ended(Exit.succeed("secret")))
      assert.deepStrictEqual(lines, [
        {
          level: "Info",
          message: [`${path[kind]} OK`],
          annotations: { method: path[kind], code: "OK", elapsedMillis: 1000, attempt: 1 },
          cause: Cause.empty
        }
      ])
    })
  )

  it.effect.each(Code.all.map((code) => [code]))("that failed with %s is one line of the outcome's level", ([code]) =>
    Effect.gen(function* () {
      const lines = yield* lineOf(kind, ended(Exit.fail(RpcError.make(code!, "secret"))))
      const level = { success: "Info", ignorable: "Info", rejected: "Warn", failure: "Error" }[Outcome.fromCode(code!)]
      assert.deepStrictEqual(
        lines.map((line) => [line.level, line.message, line.annotations["code"], line.annotations["elapsedMillis"]]),
        [[level, [`${path[kind]} ${code}`], code, 1000]]
      )
      assert.notInclude(JSON.stringify(lines), "secret")
    })
  )

  it.effect("that was interrupted is CANCELLED", () =>
    Effect.gen(function* () {
      const lines = yield* lineOf(kind, (_arrived, fiber) => Fiber.interrupt(fiber))
      assert.deepStrictEqual(
        lines.map((line) => [line.level, line.annotations["code"]]),
        [["Info", "CANCELLED"]]
      )
    })
  )

  it.effect("that died is INTERNAL, and the defect is there to be read", () =>
    Effect.gen(function* () {
      const lines = yield* lineOf(kind, ended(Exit.die("the bug")))
      assert.deepStrictEqual(
        lines.map((line) => [line.level, line.annotations["code"]]),
        [["Error", "INTERNAL"]]
      )
      assert.deepStrictEqual(lines[0]!.cause, Cause.die("the bug"))
    })
  )

  it.effect("is as loud as the program says, or silent", () =>
    Effect.gen(function* () {
      const loud = CallLogger.make({ level: (outcome, status) => (status === "OK" ? undefined : levels[outcome]) })
      const levels = { success: "Debug", ignorable: "Debug", rejected: "Debug", failure: "Fatal" } as const
      assert.deepStrictEqual(yield* lineOf(kind, ended(Exit.succeed(1)), loud), [])
      const [line] = yield* lineOf(kind, ended(Exit.fail(RpcError.make("UNAVAILABLE", ""))), loud)
      assert.strictEqual(line?.level, "Fatal")
    })
  )

  it.effect("names its attempt and its peer", () =>
    Effect.gen(function* () {
      const [line] = yield* lineOf(kind, (arrived) =>
        Effect.sync(() => {
          arrived.call.nextAttempt(0)
          arrived.call.peer = "b:1"
          arrived.end(Exit.succeed(1))
        })
      )
      assert.deepStrictEqual([line?.annotations["attempt"], line?.annotations["peer"]], [2, "b:1"])
    })
  )
})

describe("a stream", () => {
  /** What is logged of a stream of three messages, read in a way. */
  const reading = <A, E>(read: (messages: Stream.Stream<unknown, RpcError.RpcError>) => Effect.Effect<A, E>) =>
    logged((lines) =>
      Effect.gen(function* () {
        const before: Array<unknown> = []
        const { stream } = Interceptor.apply(CallLogger.make(), {
          unary: () => Effect.never,
          stream: () =>
            Effect.succeed({
              headers: Effect.never,
              messages: Stream.fromIterable([1, 2, 3], { chunkSize: 1 }),
              trailers: Effect.never
            }) as never
        })
        yield* Effect.scoped(
          Effect.flatMap(
            stream(Backend.methods.expand, Stream.make({ text: "" }), yield* Backend.newCall()),
            (response) =>
              Effect.andThen(
                read(response.messages),
                Effect.sync(() => before.push(...lines.map((line) => line.annotations["code"])))
              )
          )
        )
        assert.strictEqual(lines.length, 1)
        return [...before, lines[0]!.annotations["code"]]
      })
    )

  it.effect.each([
    ["to its end", (messages: Stream.Stream<unknown, RpcError.RpcError>) => Stream.runDrain(messages), "OK"],
    ["in part", (messages) => Stream.runDrain(Stream.take(messages, 1)), "CANCELLED"],
    [
      "by somebody who fails",
      (messages) => Effect.exit(Stream.runForEach(messages, () => Effect.fail(1))),
      "CANCELLED"
    ],
    ["not at all", () => Effect.void, "CANCELLED"]
  ] as ReadonlyArray<
    [string, (messages: Stream.Stream<unknown, RpcError.RpcError>) => Effect.Effect<unknown, RpcError.RpcError>, string]
  >)("read %s is logged once", ([_name, read, code]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* reading(read), _name === "not at all" ? [code] : [code, code])
    })
  )

  it.effect("that does not start is logged once", () =>
    logged((lines) =>
      Effect.gen(function* () {
        const failure = RpcError.make("UNAVAILABLE", "secret")
        const invoker: Interceptor.Invoker = { unary: () => Effect.never, stream: () => Effect.fail(failure) }
        yield* Effect.exit(Backend.run(Interceptor.apply(CallLogger.make(), invoker), "stream"))
        assert.deepStrictEqual(
          lines.map((line) => line.annotations["code"]),
          ["UNAVAILABLE"]
        )
      })
    )
  )
})

class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

const bothSides = Effect.fnUntraced(function* (
  handlers: Handlers.Handlers,
  call: Effect.Effect<unknown, RpcError.RpcError, Echo>
) {
  const network = yield* TestNetwork.TestNetwork
  return yield* logged((lines) =>
    Effect.gen(function* () {
      yield* network.serve("a:1", { handlers: [handlers], interceptor: CallLogger.make() })
      const live = Echo.layer.pipe(
        Layer.provide(Interceptor.layer(CallLogger.make())),
        Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Schedule.recurs(1)))),
        Layer.provide(
          Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() }))
        )
      )
      const fiber = yield* Effect.forkChild(Effect.exit(Effect.provide(call, live)))
      yield* Effect.repeat(settle, { times: 9 })
      yield* Fiber.join(fiber)
      return lines.map(({ annotations, level }) => [
        level,
        annotations["code"],
        annotations["attempt"],
        annotations["peer"]
      ])
    })
  )
})

it.effect("on both sides: the server logs attempts, the client its call", () =>
  Effect.gen(function* () {
    const call = Effect.flatMap(Echo, (echo) =>
      echo.echo({ text: "secret", failCode: 14 }).pipe(CallOptions.withMetadata({ authorization: "secret" }))
    )
    assert.deepStrictEqual(yield* bothSides(echoHandlers("a"), call), [
      ["Error", "UNAVAILABLE", 1, undefined],
      ["Error", "UNAVAILABLE", 1, undefined],
      ["Error", "UNAVAILABLE", 2, "a:1"]
    ])
  }).pipe(Effect.provide(TestNetwork.layer))
)
