import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Latch, Layer, References, Scheduler, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  ConcurrencyLimit,
  Handlers,
  Interceptor,
  RoundRobin,
  RpcError,
  StaticDiscovery
} from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"
import * as Backend from "../support/backend.ts"

const settle = TestClock.adjust(0)

/** A backend behind a limit, and how to call it. */
const limited = Effect.fnUntraced(function* (options: ConcurrencyLimit.Options) {
  const backend = Backend.make()
  const invoker = Interceptor.apply(yield* ConcurrencyLimit.make(options), backend.invoker)
  const start = Effect.fnUntraced(function* (kind: Backend.Kind, deadlineMillis = Infinity) {
    const call = yield* Backend.newCall({ deadlineMillis })
    const fiber = yield* Effect.forkChild(Backend.run(invoker, kind, { call }))
    yield* settle
    return { arrived: () => backend.arrived.find((arrived) => arrived.call === call), fiber }
  })
  const running = () => backend.arrived.filter((arrived) => arrived.state() === "running").length
  return { invoker, backend, running, start }
})

const codeOf = (fiber: Fiber.Fiber<unknown, RpcError.RpcError>) =>
  Effect.map(Effect.flip(Fiber.join(fiber)), (it) => it.code)

const answer = Exit.succeed("answer")
const failure = RpcError.make("INTERNAL", "x")

describe.each(Backend.kinds)("a %s call", (kind) => {
  const other = kind === "unary" ? "stream" : "unary"

  it.effect("over the limit is refused at once, whatever the kind of the others, and is never made", () =>
    Effect.gen(function* () {
      const { backend, start } = yield* limited({ limit: 2 })
      yield* start(kind)
      yield* start(other)
      const { fiber } = yield* start(kind)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
      assert.instanceOf(error.cause, ConcurrencyLimit.ConcurrencyLimitReached)
      assert.include(error.message, "2 calls are under way")
      assert.strictEqual(backend.arrived.length, 2)
    })
  )

  it.effect.each([
    ["success", (call: Backend.Arrived) => Effect.sync(() => call.end(answer))],
    ["failure", (call) => Effect.sync(() => call.end(Exit.fail(failure)))],
    ["a defect", (call) => Effect.sync(() => call.end(Exit.die("bug")))],
    ["interruption", (_call, fiber) => Fiber.interrupt(fiber)]
  ] as ReadonlyArray<[string, (call: Backend.Arrived, fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<void>]>)(
    "gives its place back after %s, to one call",
    ([_name, end]) =>
      Effect.gen(function* () {
        const { running, start } = yield* limited({ limit: 1 })
        const first = yield* start(kind)
        yield* end(first.arrived()!, first.fiber)
        yield* Fiber.await(first.fiber)
        const second = yield* start(other)
        assert.isDefined(second.arrived())
        const third = yield* start(kind)
        assert.strictEqual(yield* codeOf(third.fiber), "RESOURCE_EXHAUSTED")
        assert.strictEqual(running(), 1)
      })
  )

  it.effect("waits in line, first come first served", () =>
    Effect.gen(function* () {
      const { start } = yield* limited({ limit: 1, maxWaiting: 2 })
      const [a, b, c, d] = [yield* start(kind), yield* start(other), yield* start(kind), yield* start(kind)]
      assert.strictEqual(yield* codeOf(d.fiber), "RESOURCE_EXHAUSTED")
      assert.deepStrictEqual([b.arrived(), c.arrived()], [undefined, undefined])
      a.arrived()!.end(answer)
      yield* settle
      assert.isDefined(b.arrived())
      assert.isUndefined(c.arrived())
      b.arrived()!.end(answer)
      yield* settle
      c.arrived()!.end(answer)
      assert.strictEqual((yield* Fiber.join(c.fiber)).message, "answer" as never)
    })
  )

  it.effect("that leaves the line makes room in it, and takes nobody's place", () =>
    Effect.gen(function* () {
      const { running, start } = yield* limited({ limit: 1, maxWaiting: 1 })
      const [a, b] = [yield* start(kind), yield* start(kind)]
      yield* Fiber.interrupt(b.fiber)
      const c = yield* start(kind)
      assert.strictEqual(running(), 1)
      a.arrived()!.end(answer)
      yield* settle
      assert.isDefined(c.arrived())
      assert.isUndefined(b.arrived())
    })
  )

  it.effect("waits so long and no longer", () =>
    Effect.gen(function* () {
      const { backend, start } = yield* limited({ limit: 1, maxWaiting: 9, maxWait: "1 second" })
      const first = yield* start(kind)
      const { fiber } = yield* start(kind)
      yield* TestClock.adjust(999)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
      assert.include(error.message, "waited 1000 ms")
      first.arrived()!.end(answer)
      yield* settle
      assert.strictEqual(backend.arrived.length, 1)
      assert.isDefined((yield* start(kind)).arrived(), "the place is free")
    })
  )

  it.effect("waits no longer than its deadline", () =>
    Effect.gen(function* () {
      const { start } = yield* limited({ limit: 1, maxWaiting: 9, maxWait: "1 second" })
      yield* start(kind)
      const { fiber } = yield* start(kind, 500)
      yield* TestClock.adjust(500)
      assert.strictEqual(yield* codeOf(fiber), "DEADLINE_EXCEEDED")
    })
  )
})

describe("a stream", () => {
  const stream = Effect.fnUntraced(function* (invoker: Interceptor.Invoker) {
    return yield* invoker.stream(Backend.methods.expand, Stream.make({}), yield* Backend.newCall())
  })

  it.effect("holds its place until its last message is read, its scope open or not", () =>
    Effect.gen(function* () {
      const { invoker, backend, start } = yield* limited({ limit: 1 })
      const response = yield* stream(invoker)
      assert.strictEqual(yield* codeOf((yield* start("unary")).fiber), "RESOURCE_EXHAUSTED")
      backend.arrived[0]!.end(answer)
      yield* Stream.runDrain(response.messages)
      assert.isDefined((yield* start("unary")).arrived())
    }).pipe(Effect.scoped)
  )

  it.effect("that nobody reads holds its place until its scope closes, and gives it back once", () =>
    Effect.gen(function* () {
      const { invoker, backend, running, start } = yield* limited({ limit: 1 })
      const scope = yield* Scope.make()
      const response = yield* Scope.provide(stream(invoker), scope)
      yield* Stream.runDrain(Stream.take(response.messages, 0))
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(backend.arrived[0]!.state(), "interrupted")
      yield* start("unary")
      assert.strictEqual(yield* codeOf((yield* start("unary")).fiber), "RESOURCE_EXHAUSTED")
      assert.strictEqual(running(), 1)
    })
  )

  it.effect("that does not start gives its place back at once", () =>
    Effect.gen(function* () {
      const failing = Interceptor.apply(yield* ConcurrencyLimit.make({ limit: 1 }), {
        unary: () => Effect.never,
        stream: () => Effect.fail(failure)
      })
      for (const _ of [1, 2, 3]) assert.strictEqual(yield* Effect.flip(stream(failing)), failure)
    }).pipe(Effect.scoped)
  )
})

describe("a limit", () => {
  it.effect.each([
    [0, 1],
    [-1, 1],
    [Number.NaN, 0],
    [1.9, 1],
    [3, 3]
  ])("of %d lets %d through", ([limit, expected]) =>
    Effect.gen(function* () {
      const { running, start } = yield* limited({ limit: limit! })
      for (const _ of [1, 2, 3, 4]) yield* start("unary")
      assert.strictEqual(running(), expected)
    })
  )

  it.effect("is one limit wherever its interceptor is used, and another one when made again", () =>
    Effect.gen(function* () {
      const make = ConcurrencyLimit.make({ limit: 1 })
      const [one, two] = [yield* make, yield* make]
      const backends = [Backend.make(), Backend.make(), Backend.make()]
      for (const [i, interceptor] of [one, one, two].entries()) {
        yield* Effect.forkChild(Backend.run(Interceptor.apply(interceptor, backends[i]!.invoker), "unary"))
        yield* settle
      }
      assert.deepStrictEqual(
        backends.map((backend) => backend.arrived.length),
        [1, 0, 1]
      )
    })
  )
})

/** Fibers that run when a test says so, and a clock whose sleeps end when it does. */
const world = (ops: number) => {
  const turns: Array<() => void> = []
  const sleeps = new Set<() => void>()
  const remove = (turn: () => void) => () => void turns.splice(turns.indexOf(turn) >>> 0, 1)
  const scheduler = new Scheduler.MixedScheduler("async", (turn) => {
    turns.push(turn)
    return remove(turn)
  })
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => 0,
    currentTimeMillis: Effect.succeed(0),
    currentTimeNanosUnsafe: () => 0n,
    currentTimeNanos: Effect.succeed(0n),
    monotonicTimeNanosUnsafe: () => 0n,
    monotonicTimeNanos: Effect.succeed(0n),
    sleep: () =>
      Effect.callback<void>((resume) => {
        const wake = () => resume(Effect.void)
        sleeps.add(wake)
        return Effect.sync(() => sleeps.delete(wake))
      })
  }
  const turn = (which: number) => turns.splice(which % Math.max(1, turns.length), 1)[0]?.()
  return {
    run: <A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> =>
      Effect.runFork(
        effect.pipe(
          Effect.provideService(References.MaxOpsBeforeYield, ops),
          Effect.provideService(Clock.Clock, clock)
        ),
        { scheduler }
      ),
    turn,
    /** Everything that can run has run. */
    rest: () => {
      while (turns.length > 0) turn(0)
    },
    wake: () => {
      for (const wake of sleeps) wake()
      sleeps.clear()
    }
  }
}

const limitedUnsafe = (options: ConcurrencyLimit.Options) => {
  const backend = Backend.make()
  const invoker = Interceptor.apply(Effect.runSync(ConcurrencyLimit.make(options)), backend.invoker)
  const running = () => backend.arrived.filter((arrived) => arrived.state() === "running").length
  return { invoker, backend, running }
}

const upTo = (maximum: number, minimum = 0) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

it.prop(
  "in any interleaving: never more than the limit, never an idle place while somebody waits, and no place lost or doubled",
  {
    limit: upTo(3, 1),
    maxWaiting: upTo(3),
    /** How many steps a fiber takes before another one has its turn. */
    ops: upTo(12, 3),
    steps: Schema.Array(
      Schema.Tuple([
        Schema.Literals([
          "unary",
          "stream",
          "unary",
          "stream",
          "succeed",
          "fail",
          "interrupt",
          "turn",
          "turn",
          "rest",
          "wake"
        ]),
        upTo(19)
      ])
    ).check(Schema.isMaxLength(60))
  },
  ({ limit, maxWaiting, ops, steps }) => {
    const { invoker, backend, running } = limitedUnsafe({ limit, maxWaiting, maxWait: "1 second" })
    const { rest, run, turn, wake } = world(ops)
    const fibers: Array<Fiber.Fiber<unknown, RpcError.RpcError>> = []
    const live = () => fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
    const one = <A>(all: ReadonlyArray<A>, which: number): A | undefined => all[which % Math.max(1, all.length)]

    for (const [what, which] of steps) {
      if (what === "unary" || what === "stream") fibers.push(run(Backend.run(invoker, what)))
      if (what === "succeed") one(backend.arrived, which)?.end(answer)
      if (what === "fail") one(backend.arrived, which)?.end(Exit.fail(failure))
      if (what === "interrupt") one(fibers, which)?.interruptUnsafe()
      if (what === "turn") turn(which)
      if (what === "wake") wake()
      if (what === "rest") {
        rest()
        assert.strictEqual(running(), Math.min(limit, live()))
        assert.isAtMost(live(), limit + maxWaiting)
      }
      assert.isAtMost(running(), limit)
    }
    for (const fiber of fibers) fiber.interruptUnsafe()
    rest()
    assert.strictEqual(live(), 0)

    // All have ended: exactly so many places are free.
    for (let i = 0; i <= limit + maxWaiting; i++) fibers.push(run(Backend.run(invoker, "unary")))
    rest()
    assert.strictEqual(running(), limit)
    assert.strictEqual(live(), limit + maxWaiting)
  },
  { arbitrary: { runs: 500 } }
)

it.each(Backend.kinds)("a %s call interrupted at any point gives back what it took", (kind) => {
  for (let turns = 0; turns < 100; turns++) {
    const { invoker, running } = limitedUnsafe({ limit: 1, maxWaiting: 1 })
    const { rest, run, turn } = world(3)
    const fiber = run(Backend.run(invoker, kind))
    for (let i = 0; i < turns; i++) turn(0)
    fiber.interruptUnsafe()
    rest()
    assert.isDefined(fiber.pollUnsafe())
    run(Backend.run(invoker, kind))
    rest()
    assert.strictEqual(running(), 1, `${turns} turns`)
  }
})

it.each(Backend.kinds)("a place given back while a %s call is about to wait is not missed", (kind) => {
  for (let turns = 0; turns < 100; turns++) {
    const { invoker, backend, running } = limitedUnsafe({ limit: 1, maxWaiting: 1, maxWait: "1 second" })
    const { rest, run, turn } = world(3)
    run(Backend.run(invoker, "unary"))
    rest()
    run(Backend.run(invoker, kind))
    for (let i = 0; i < turns; i++) turn(0)
    backend.arrived[0]!.end(answer)
    rest()
    assert.strictEqual(backend.arrived.length, 2, `${turns} turns`)
    assert.strictEqual(running(), 1)
  }
})

for (const wire of wires) {
  wire.it(`serves as many as it may at once ${wire.name}, and no more`, () =>
    Effect.gen(function* () {
      const [full, done] = [Latch.makeUnsafe(), Latch.makeUnsafe()]
      let serving = 0
      const serve = Effect.suspend(() => {
        if (++serving === 2) full.openUnsafe()
        return Effect.as(done.await, {})
      })
      const handlers = Handlers.make(EchoService, {
        echo: () => serve,
        lookup: () => serve,
        expand: () => Stream.fromEffect(serve),
        collect: () => serve,
        chat: () => Stream.fromEffect(serve)
      })
      const limit = yield* ConcurrencyLimit.make({ limit: 2 })
      const address = yield* wire.serve([Backend.behind(limit, handlers)])
      const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
      yield* Effect.gen(function* () {
        const echo = yield* Client.make(EchoService)
        const first = [
          yield* Effect.forkChild(echo.echo({})),
          yield* Effect.forkChild(Stream.runDrain(echo.expand({})))
        ]
        yield* full.await
        for (const call of [
          echo.lookup({}),
          echo.collect(Stream.make({})),
          Stream.runDrain(echo.chat(Stream.make({})))
        ]) {
          const error = yield* Effect.flip(call as Effect.Effect<unknown, RpcError.RpcError>)
          assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
          assert.strictEqual(error.origin, "remote")
        }
        done.openUnsafe()
        for (const fiber of first) yield* Fiber.join(fiber as Fiber.Fiber<unknown, RpcError.RpcError>)
        yield* echo.echo({})
        assert.strictEqual(serving, 3)
      }).pipe(Effect.provide(Layer.orDie(pool)))
    }).pipe(Effect.provide(wire.layer))
  )
}
