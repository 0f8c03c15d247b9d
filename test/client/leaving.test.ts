/** Every way of leaving a call, and of being held back, on every wire. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { Balancer, CallOptions, Client, Handlers, RoundRobin, type RpcError, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { type Wire, wires } from "../support/wires.ts"

type Echo = Client.Client<typeof EchoService>

const clientOf = (wire: Wire, handlers: Handlers.Handlers) =>
  Effect.gen(function* () {
    const address = yield* wire.serve([handlers])
    const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
    return yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
  })

/** A server whose handlers answer as often as told and then never end, and say when they begin and how they end. */
const lingering = Effect.gen(function* () {
  const began = yield* Deferred.make<void>()
  const ended = yield* Deferred.make<Exit.Exit<unknown, unknown>>()
  const linger = Effect.andThen(Deferred.succeed(began, undefined), Effect.never).pipe(
    Effect.onExit((exit) => Deferred.succeed(ended, exit))
  )
  const answers = (count: number) =>
    Stream.concat(
      Stream.map(Stream.range(0, count - 1), (index) => ({ index })),
      Stream.fromEffect(linger)
    )
  const handlers = Handlers.make(EchoService, {
    echo: () => linger,
    lookup: () => linger,
    collect: () => linger,
    expand: ({ count }) => answers(count),
    chat: () => answers(3)
  })
  return { began: Deferred.await(began), ended: Deferred.await(ended), handlers }
})

type Call = (echo: Echo, began: Effect.Effect<void>) => Effect.Effect<unknown, RpcError.RpcError | "enough">

/** How a caller leaves while the server still has something to do. */
const leaving: ReadonlyArray<readonly [string, Call]> = [
  ["take(1) of a server stream", (echo) => Stream.runDrain(Stream.take(echo.expand({ count: 3 }), 1))],
  ["take(1) of a bidi stream", (echo) => Stream.runDrain(Stream.take(echo.chat(Stream.never), 1))],
  [
    "a failure while reading",
    (echo) => Effect.ignore(Stream.runForEach(echo.expand({ count: 3 }), () => Effect.fail("enough" as const)))
  ],
  [
    "a failure of the requests",
    (echo, began) => {
      const requests = Stream.fromEffect(Effect.andThen(began, Effect.fail("enough" as const)))
      return Effect.ignore(Stream.runDrain(echo.chat(requests)))
    }
  ],
  [
    "a deadline",
    (echo) => Effect.ignore(Stream.runDrain(echo.expand({ count: 3 })).pipe(CallOptions.withDeadline("100 millis")))
  ],
  [
    "closing the scope of a response",
    (echo) => Effect.scoped(Effect.andThen(echo.expand.response({ count: 3 }), (response) => response.headers))
  ]
]

const interrupting: ReadonlyArray<readonly [string, Call]> = [
  ["unary", (echo) => echo.echo({})],
  ["client streaming", (echo) => echo.collect(Stream.never)],
  ["server streaming", (echo) => Stream.runDrain(echo.expand({ count: 3 }))],
  ["bidi", (echo) => Stream.runDrain(echo.chat(Stream.never))]
]

/** A count that has stopped growing. */
const stalled = Effect.fnUntraced(function* (wire: Wire, count: () => number) {
  for (let before = -1, i = 0; i < 50; before = count(), i++) {
    yield* wire.pass("200 millis")
    if (count() === before) return before
  }
  return Infinity
})

/** Runs a call, and lets virtual time pass, where there is any, once the handler is at work. */
const passing = Effect.fnUntraced(function* <A, E>(wire: Wire, call: Effect.Effect<A, E>, began: Effect.Effect<void>) {
  const fiber = yield* Effect.forkChild(call)
  yield* Effect.raceFirst(began, Fiber.await(fiber))
  yield* wire.pass("1 second")
  return yield* Fiber.join(fiber)
})

for (const wire of wires) {
  describe(`leaving ${wire.name}`, () => {
    for (const [name, leave] of leaving) {
      wire.it(`${name} ends the handler`, () =>
        Effect.gen(function* () {
          const { began, ended, handlers } = yield* lingering
          const echo = yield* clientOf(wire, handlers)
          yield* passing(wire, leave(echo, began), began)
          assert.isTrue(Exit.isFailure(yield* ended))
        }).pipe(Effect.provide(wire.layer))
      )
    }

    for (const [name, call] of interrupting) {
      wire.it(`interrupting a ${name} call interrupts the handler`, () =>
        Effect.gen(function* () {
          const { began, ended, handlers } = yield* lingering
          const echo = yield* clientOf(wire, handlers)
          const fiber = yield* Effect.forkChild(call(echo, began))
          yield* began
          yield* Fiber.interrupt(fiber)
          const exit = yield* ended
          assert(Exit.isFailure(exit))
          assert.isTrue(Exit.hasInterrupts(exit))
        }).pipe(Effect.provide(wire.layer))
      )
    }
  })

  describe(`being held back ${wire.name}`, () => {
    // Large enough that the transport's own buffers hold few of them.
    const payload = new Uint8Array(256 * 1024)
    const slack = 8

    wire.it("a reader that does not read stops the server's stream", () =>
      Effect.gen(function* () {
        let produced = 0
        const answers = Stream.fromEffectRepeat(Effect.sync(() => ({ index: produced++, payload })))
        const echo = yield* clientOf(
          wire,
          Handlers.make(EchoService, {
            echo: () => Effect.succeed({}),
            lookup: () => Effect.succeed({}),
            collect: () => Effect.succeed({}),
            expand: () => answers,
            chat: () => answers
          })
        )
        const window = 4
        const first = yield* Deferred.make<void>()
        yield* echo.expand({}).pipe(
          CallOptions.withWindow(window),
          Stream.runForEach(() => Effect.andThen(Deferred.succeed(first, undefined), Effect.never)),
          Effect.forkScoped
        )
        yield* Deferred.await(first)
        assert.isAtMost(yield* stalled(wire, () => produced), window + slack)
      }).pipe(Effect.scoped, Effect.provide(wire.layer))
    )

    wire.it("a handler that does not read stops the caller's stream", () =>
      Effect.gen(function* () {
        let produced = 0
        const requests = Stream.fromEffectRepeat(Effect.sync(() => ({ text: String(produced++), payload })))
        const { began, handlers } = yield* lingering
        const echo = yield* clientOf(wire, handlers)
        yield* Effect.forkScoped(echo.collect(requests))
        yield* began
        assert.isAtMost(yield* stalled(wire, () => produced), 16 + slack)
      }).pipe(Effect.scoped, Effect.provide(wire.layer))
    )
  })
}
