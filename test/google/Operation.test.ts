import { create, type MessageInitShape } from "@bufbuild/protobuf"
import { anyPack, EmptySchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Balancer,
  CallOptions,
  Client,
  Code,
  Deadline,
  ErrorDetails,
  Handlers,
  Retry,
  RoundRobin,
  RpcError,
  StaticDiscovery
} from "trunkline"
import { Operation } from "trunkline/google"
import { TestNetwork } from "trunkline/testing"
import { BookSchema, DigitizingSchema, Library } from "../gen/library_pb.ts"

type Answer = MessageInitShape<typeof Operation.MessageSchema>

const name = "operations/1"

const digitized = (pages: number) => anyPack(DigitizingSchema, create(DigitizingSchema, { pages }))
const running = (pages: number): Answer => ({ name, metadata: digitized(pages) })
const book = anyPack(BookSchema, create(BookSchema, { title: "Emma" }))
const done = { name, done: true, result: { case: "response", value: book } } as const satisfies Answer
const failed = (code: number, message: string, metadata?: ReturnType<typeof digitized>): Answer => ({
  name,
  ...(metadata === undefined ? {} : { metadata }),
  done: true,
  result: { case: "error", value: { code, message } }
})

/** One more look for each; the last is the answer from then on. */
type Script = ReadonlyArray<Answer | RpcError.RpcError>

/** A server that does the work as scripted, and a client of it. Looks are noted with their time. */
const library = Effect.fnUntraced(function* (first: Answer, script: Script, lookMillis = 0) {
  const network = yield* TestNetwork.TestNetwork
  const looks: Array<number> = []
  const asked: Array<string> = []
  const unused = () => Effect.die("not called")
  const work = Handlers.make(Library, {
    listBooks: unused,
    listTitles: unused,
    listShelves: unused,
    listAmbiguous: unused,
    listNumbered: unused,
    getBook: unused,
    digitize: () => Effect.succeed(first)
  })
  const note = (what: string) => (request: { readonly name: string }) =>
    Effect.sync(() => {
      asked.push(`${what} ${request.name}`)
      return {}
    })
  const operations = Handlers.make(Operation.OperationsService, {
    getOperation: Effect.fnUntraced(function* () {
      looks.push(yield* Clock.currentTimeMillis)
      const answer = script[Math.min(looks.length, script.length) - 1] ?? done
      if (lookMillis > 0) yield* Effect.sleep(lookMillis)
      return RpcError.isRpcError(answer) ? yield* Effect.fail(answer) : answer
    }),
    waitOperation: (request) =>
      Effect.sync(() => {
        asked.push(`wait ${request.name} ${request.timeout?.seconds}s ${request.timeout?.nanos}ns`)
        return done
      }),
    cancelOperation: note("cancel"),
    deleteOperation: note("delete"),
    listOperations: unused
  })
  yield* network.serve("library:1", { handlers: [work, operations] })
  const pool = Balancer.layer({ discovery: StaticDiscovery.make(["library:1"]), picker: RoundRobin.make() })
  const context = yield* Layer.build(Operation.layer.pipe(Layer.provideMerge(Layer.orDie(pool))))
  const client = yield* Effect.provideContext(Client.make(Library), context)
  const options = { response: BookSchema, metadata: DigitizingSchema }
  const start = (more?: Partial<Operation.Options<typeof BookSchema, typeof DigitizingSchema>>) =>
    client.digitize({}).pipe(Operation.start({ ...options, ...more }), Effect.provideContext(context))
  const attach = (more?: Partial<Operation.Options<typeof BookSchema, typeof DigitizingSchema>>) =>
    Operation.attach(name, { ...options, ...more }).pipe(Effect.provideContext(context))
  return { start, attach, looks, asked, context, network }
})

const inMemory = Effect.provide(TestNetwork.layer)

const everySecond = { schedule: Schedule.spaced("1 second") }

/** Lets a fiber run to its end and says how it ended and when, to the millisecond. */
const endOf = Effect.fnUntraced(function* <A, E>(fiber: Fiber.Fiber<A, E>) {
  const start = yield* Clock.currentTimeMillis
  for (let i = 0; i < 3600; i++) {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return { exit, seconds: ((yield* Clock.currentTimeMillis) - start) / 1000 }
    yield* TestClock.adjust(500)
  }
  return yield* Effect.die("it does not end")
})

const failureOf = <A>(exit: Exit.Exit<A, RpcError.RpcError>): RpcError.RpcError => Effect.runSync(Effect.flip(exit))

const because = (error: RpcError.RpcError) =>
  error.cause instanceof Operation.NoResult ? error.cause.because : undefined

describe("the result", () => {
  it.effect("of work that is done at its start is there without a look", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(done, [])
      const operation = yield* start()
      assert.strictEqual((yield* Operation.result(operation)).title, "Emma")
      assert.deepStrictEqual(looks, [])
    }).pipe(inMemory)
  )

  it.effect("is looked for after 5 s, growing by half up to 45 s, without jitter", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [...Array.from({ length: 9 }, () => running(1)), done])
      const waiting = yield* Effect.forkChild(Effect.flatMap(start(), Operation.result))
      const { exit } = yield* endOf(waiting)
      assert.isTrue(Exit.isSuccess(exit))
      const gaps = looks.map((at, i) => at - (looks[i - 1] ?? 0))
      assert.deepStrictEqual(gaps.map(Math.round), [5000, 7500, 11250, 16875, 25313, 37969, 45000, 45000, 45000, 45000])
    }).pipe(inMemory)
  )

  it.effect("by name is looked for at once", () =>
    Effect.gen(function* () {
      const { attach, looks } = yield* library(done, [running(1), done])
      const waiting = yield* Effect.forkChild(Effect.flatMap(attach(everySecond), Operation.result))
      yield* TestClock.adjust(999)
      assert.deepStrictEqual(looks, [0])
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(waiting)).title, "Emma")
      assert.deepStrictEqual(looks, [0, 1000])
    }).pipe(inMemory)
  )

  it.effect.each<[string, Answer]>([
    ["nothing at all", { name, done: true }],
    [
      "an empty message",
      { name, done: true, result: { case: "response", value: anyPack(BookSchema, create(BookSchema)) } }
    ]
  ])("may be empty: %s", ([_name, answer]) =>
    Effect.gen(function* () {
      const { start } = yield* library(answer, [])
      assert.deepStrictEqual(yield* Effect.flatMap(start(), Operation.result), create(BookSchema))
    }).pipe(inMemory)
  )

  it.effect.each<[string, Answer]>([
    [
      "another message",
      { name, done: true, result: { case: "response", value: anyPack(EmptySchema, create(EmptySchema)) } }
    ],
    ["garbage", { name, done: true, result: { case: "response", value: { ...book, value: new Uint8Array([0xff]) } } }]
  ])("that is %s is INTERNAL, and says what was expected", ([_name, answer]) =>
    Effect.gen(function* () {
      const { start } = yield* library(answer, [])
      const error = yield* Effect.flip(Effect.flatMap(start(), Operation.result))
      assert.strictEqual(error.message, "[INTERNAL] the operation's result is not a readable trunkline.library.Book")
    }).pipe(inMemory)
  )

  it.effect("of work that failed is its error, with its details", () =>
    Effect.gen(function* () {
      const detail = ErrorDetails.make(ErrorDetails.ErrorInfoSchema, { reason: "TORN_PAGE", domain: "library.example" })
      const { start } = yield* library(running(0), [
        {
          name,
          done: true,
          result: {
            case: "error",
            value: { code: 9, message: "page 3 is torn", details: [{ typeUrl: detail.typeUrl, value: detail.value }] }
          }
        }
      ])
      const { exit } = yield* endOf(yield* Effect.forkChild(Effect.flatMap(start(everySecond), Operation.result)))
      const error = failureOf(exit)
      assert.strictEqual(error.message, "[FAILED_PRECONDITION] page 3 is torn")
      assert.strictEqual(error.origin, "remote")
      assert.strictEqual(because(error), "failed")
      assert.strictEqual(ErrorDetails.get(error, ErrorDetails.ErrorInfoSchema)?.reason, "TORN_PAGE")
    }).pipe(inMemory)
  )

  it.effect.each(Code.all)("failed as %s", (code) =>
    Effect.gen(function* () {
      const { start } = yield* library(failed(Code.toNumber(code), "so it goes"), [])
      const error = yield* Effect.flip(Effect.flatMap(start(), Operation.result))
      assert.strictEqual(error.code, code)
    }).pipe(inMemory)
  )

  it.effect.each([0, 17, -1])("a failure with the code %i, which is none, is UNKNOWN", (code) =>
    Effect.gen(function* () {
      const { start } = yield* library(failed(code, "so it goes"), [])
      assert.strictEqual((yield* Effect.flip(Effect.flatMap(start(), Operation.result))).code, "UNKNOWN")
    }).pipe(inMemory)
  )

  it.effect("of work that the server does not know any more", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1), RpcError.make("NOT_FOUND", "who?")])
      const { exit } = yield* endOf(yield* Effect.forkChild(Effect.flatMap(start(everySecond), Operation.result)))
      const error = failureOf(exit)
      assert.strictEqual(error.message, "[NOT_FOUND] who?")
      assert.strictEqual(because(error), "vanished")
      assert.deepStrictEqual(looks, [1000, 2000])
    }).pipe(inMemory)
  )
})

describe("a look that fails", () => {
  it.effect("as one backend is away is tried again, and costs the work nothing", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1), RpcError.make("UNAVAILABLE", "503"), done])
      const retry = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced(100))
      const { exit, seconds } = yield* endOf(
        yield* Effect.forkChild(Effect.flatMap(start({ ...everySecond, retry }), Operation.result))
      )
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(looks, [1000, 2000, 2100])
      assert.strictEqual(seconds, 2.5)
    }).pipe(inMemory)
  )

  it.effect("is tried 10 times while nobody is there, unless told otherwise", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [RpcError.make("UNAVAILABLE", "503")])
      const { exit } = yield* endOf(yield* Effect.forkChild(Effect.flatMap(start(), Operation.result)))
      const error = failureOf(exit)
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert.strictEqual(error.attempts.length, 10)
      assert.strictEqual(looks.length, 10)
    }).pipe(inMemory)
  )

  it.effect("is not tried again if the policy says so", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [RpcError.make("UNAVAILABLE", "503")])
      const { exit } = yield* endOf(
        yield* Effect.forkChild(Effect.flatMap(start({ ...everySecond, retry: Retry.none }), Operation.result))
      )
      assert.strictEqual(failureOf(exit).code, "UNAVAILABLE")
      assert.strictEqual(because(failureOf(exit)), undefined)
      assert.deepStrictEqual(looks, [1000])
    }).pipe(inMemory)
  )
})

describe("waiting ends", () => {
  it.effect("as soon as no further look could begin in time", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1)])
      const { exit, seconds } = yield* endOf(
        yield* Effect.forkChild(Effect.flatMap(start({ ...everySecond, timeout: 3500 }), Operation.result))
      )
      const error = failureOf(exit)
      assert.strictEqual(error.code, "DEADLINE_EXCEEDED")
      assert.strictEqual(because(error), "gave_up")
      assert.deepStrictEqual(looks, [1000, 2000, 3000])
      assert.strictEqual(seconds, 3)
    }).pipe(inMemory)
  )

  it.effect("in the middle of a look that takes too long", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1)], 10_000)
      const { exit, seconds } = yield* endOf(
        yield* Effect.forkChild(Effect.flatMap(start({ ...everySecond, timeout: 3500 }), Operation.result))
      )
      assert.strictEqual(failureOf(exit).code, "DEADLINE_EXCEEDED")
      assert.strictEqual(because(failureOf(exit)), "gave_up")
      assert.deepStrictEqual(looks, [1000])
      assert.strictEqual(seconds, 3.5)
    }).pipe(inMemory)
  )

  it.effect("with the call it is done for", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1)])
      const operation = yield* start(everySecond)
      const deadline = Deadline.nowUnsafe(yield* Clock.Clock) + 2500
      const { exit, seconds } = yield* endOf(
        yield* Effect.forkChild(Effect.provideService(Operation.result(operation), Deadline.Current, deadline))
      )
      assert.strictEqual(because(failureOf(exit)), "gave_up")
      assert.deepStrictEqual(looks, [1000, 2000])
      assert.strictEqual(seconds, 2)
    }).pipe(inMemory)
  )

  it.effect("when the schedule does", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1)])
      const schedule = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))
      const { exit } = yield* endOf(yield* Effect.forkChild(Effect.flatMap(start({ schedule }), Operation.result)))
      assert.strictEqual(because(failureOf(exit)), "gave_up")
      assert.deepStrictEqual(looks, [1000, 2000])
    }).pipe(inMemory)
  )

  it.effect("and one look's own deadline is not the end of it", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1), done], 300)
      const result = Effect.flatMap(start(everySecond), Operation.result).pipe(CallOptions.withDeadline(500))
      const { exit } = yield* endOf(yield* Effect.forkChild(result))
      assert.isTrue(Exit.isSuccess(exit))
      assert.deepStrictEqual(looks, [1000, 2300])
    }).pipe(inMemory)
  )

  it.effect("each wait is a wait of its own", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1), running(1), running(1), done])
      const operation = yield* start({ ...everySecond, timeout: 2500 })
      const first = yield* endOf(yield* Effect.forkChild(Operation.result(operation)))
      assert.isTrue(Exit.isFailure(first.exit))
      const second = yield* endOf(yield* Effect.forkChild(Operation.result(operation)))
      assert.isTrue(Exit.isSuccess(second.exit))
      assert.deepStrictEqual(looks, [1000, 2000, 3000, 4000])
    }).pipe(inMemory)
  )
})

describe("progress", () => {
  it.effect("is what changes, from the start to the end", () =>
    Effect.gen(function* () {
      const last = { ...done, metadata: digitized(9) }
      const { start } = yield* library(running(0), [running(0), running(3), running(3), { name }, running(3), last])
      const pages = Effect.flatMap(start(everySecond), (operation) => Stream.runCollect(Operation.progress(operation)))
      const { exit, seconds } = yield* endOf(yield* Effect.forkChild(pages))
      assert.deepStrictEqual(
        Effect.runSync(exit).map(({ pages }) => pages),
        [0, 3, 9]
      )
      assert.strictEqual(seconds, 6)
    }).pipe(inMemory)
  )

  it.effect("that is not the expected message is none, and takes nothing from the result", () =>
    Effect.gen(function* () {
      const { start } = yield* library({ ...done, metadata: book }, [])
      const operation = yield* start()
      assert.deepStrictEqual(yield* Stream.runCollect(Operation.progress(operation)), [])
      assert.strictEqual((yield* Operation.result(operation)).title, "Emma")
    }).pipe(inMemory)
  )

  it.effect("ends with the error of work that failed", () =>
    Effect.gen(function* () {
      const { start } = yield* library(failed(9, "torn", digitized(3)), [])
      const operation = yield* start()
      const error = yield* Effect.flip(Stream.runDrain(Operation.progress(operation)))
      assert.strictEqual(error.message, "[FAILED_PRECONDITION] torn")
    }).pipe(inMemory)
  )

  it.effect("and the result come of the same looks", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(0), [running(1), failed(1, "stopped")])
      const states = Effect.flatMap(start(everySecond), (operation) => Stream.runCollect(Operation.states(operation)))
      const { exit } = yield* endOf(yield* Effect.forkChild(states))
      assert.deepStrictEqual(
        Effect.runSync(exit).map(({ _tag, metadata }) => [_tag, metadata?.pages]),
        [
          ["Running", 0],
          ["Running", 1],
          ["Failed", undefined]
        ]
      )
      assert.strictEqual(looks.length, 2)
    }).pipe(inMemory)
  )

  it.effect("decides when to look again", () =>
    Effect.gen(function* () {
      const { looks, start } = yield* library(running(10), [running(3), running(1), done])
      const schedule = Schedule.forever.pipe(
        Schedule.setInputType<Operation.State<unknown, { readonly pages: number }>>(),
        Schedule.modifyDelay(({ input }) => Effect.succeed(`${input.metadata?.pages ?? 0} seconds` as const))
      )
      yield* endOf(yield* Effect.forkChild(Effect.flatMap(start({ schedule }), Operation.result)))
      assert.deepStrictEqual(looks, [10_000, 13_000, 14_000])
    }).pipe(inMemory)
  )
})

describe("one look", () => {
  it.effect("says what it sees", () =>
    Effect.gen(function* () {
      const { attach, looks } = yield* library(done, [running(4)])
      const state = yield* Effect.flatMap(attach(), Operation.get)
      assert.deepStrictEqual([state._tag, state.metadata?.pages], ["Running", 4])
      assert.deepStrictEqual(looks, [0])
    }).pipe(inMemory)
  )

  it.effect("can be held by the server", () =>
    Effect.gen(function* () {
      const { asked, attach } = yield* library(done, [])
      const operation = yield* attach()
      assert.strictEqual((yield* Operation.wait(operation, "1500 millis"))._tag, "Succeeded")
      assert.strictEqual((yield* Operation.wait(operation, "Infinity"))._tag, "Succeeded")
      assert.deepStrictEqual(asked, ["wait operations/1 1s 500000000ns", "wait operations/1 undefineds undefinedns"])
    }).pipe(inMemory)
  )
})

describe("ending it", () => {
  it.effect("is asked of the server", () =>
    Effect.gen(function* () {
      const { asked, attach } = yield* library(done, [])
      const operation = yield* attach()
      yield* Operation.cancel(operation)
      yield* Operation.delete(operation)
      assert.deepStrictEqual(asked, ["cancel operations/1", "delete operations/1"])
    }).pipe(inMemory)
  )

  it.effect("is not what an interrupted wait does", () =>
    Effect.gen(function* () {
      const { asked, looks, start } = yield* library(running(0), [running(1)])
      const operation = yield* start(everySecond)
      const waiting = yield* Effect.forkChild(Operation.result(operation))
      yield* TestClock.adjust(1500)
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(asked, [])
      assert.deepStrictEqual(looks, [1000])
    }).pipe(inMemory)
  )

  it.effect("is, if it was asked for", () =>
    Effect.gen(function* () {
      const { asked, start } = yield* library(running(0), [running(1)])
      const operation = yield* start(everySecond)
      const waiting = yield* Effect.forkChild(Operation.result(operation).pipe(Operation.cancelOnInterrupt(operation)))
      yield* TestClock.adjust(1500)
      assert.deepStrictEqual(asked, [])
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(asked, ["cancel operations/1"])
    }).pipe(inMemory)
  )

  it.effect("and a server that cannot be told holds nobody up for longer than 5 s", () =>
    Effect.gen(function* () {
      const { asked, network, start } = yield* library(running(0), [running(1)])
      const operation = yield* start(everySecond)
      const waiting = yield* Effect.forkChild(Operation.result(operation).pipe(Operation.cancelOnInterrupt(operation)))
      yield* TestClock.adjust(1500)
      yield* network.freeze("library:1")
      const leaving = yield* Effect.forkChild(Fiber.interrupt(waiting))
      yield* TestClock.adjust(4999)
      assert.isUndefined(leaving.pollUnsafe())
      yield* TestClock.adjust(1)
      yield* Fiber.join(leaving)
      assert.deepStrictEqual(asked, [])
    }).pipe(inMemory)
  )

  it.effect("a wait that ends by itself cancels nothing", () =>
    Effect.gen(function* () {
      const { asked, start } = yield* library(failed(9, "torn"), [])
      const operation = yield* start()
      yield* Effect.flip(Operation.result(operation).pipe(Operation.cancelOnInterrupt(operation)))
      assert.deepStrictEqual(asked, [])
    }).pipe(inMemory)
  )
})

describe("the client of operations", () => {
  it.effect("takes its policy from the context, as every client does", () =>
    Effect.gen(function* () {
      const { context, looks } = yield* library(done, [RpcError.make("ABORTED", "again"), done])
      const layer = Operation.layer.pipe(
        Layer.provide(Retry.layer(Retry.onCodes(["ABORTED"], Backoff.exponential({ initial: 1 })))),
        Layer.provide(Layer.succeedContext(context))
      )
      const options = { response: BookSchema, metadata: DigitizingSchema }
      const waiting = yield* Effect.forkChild(
        Operation.attach(name, options).pipe(Effect.flatMap(Operation.result), Effect.provide(layer))
      )
      yield* TestClock.adjust(10)
      assert.strictEqual((yield* Fiber.join(waiting)).title, "Emma")
      assert.strictEqual(looks.length, 2)
    }).pipe(inMemory)
  )
})
