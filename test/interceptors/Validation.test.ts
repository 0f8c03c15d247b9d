import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Queue, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  ErrorDetails,
  Handlers,
  Interceptor,
  type Method,
  RoundRobin,
  RpcError,
  StaticDiscovery,
  Validation
} from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"
import * as Backend from "../support/backend.ts"

const method: Method.Any = Backend.methods.echo

/** What a rule says. */
const said = <I>(rule: Validation.Rule<I>, request: I) => {
  const problems = rule(request, method)
  return Effect.isEffect(problems) ? problems : Effect.succeed(problems)
}

describe("rules", () => {
  const positive = Validation.check({
    field: "count",
    problem: "must be positive",
    holds: (request: { readonly count: number }) => request.count > 0
  })
  const Person = Schema.Struct({
    name: Schema.NonEmptyString,
    born: Schema.Date,
    mails: Schema.Array(Schema.String.check(Schema.isPattern(/@/, { expected: "an address with an @" })))
  })
  const person = Validation.schema(Person)
  const good = { name: "Ada", born: new Date(0), mails: ["a@b"] }

  it.effect.each([
    ["a predicate that holds", said(positive, { count: 1 }), {}],
    ["a predicate that does not", said(positive, { count: 0 }), { count: "must be positive" }],
    ["a schema that fits, extra fields and all", said(person, { ...good, $typeName: "x" }), {}],
    [
      "a schema that does not: every field by its path, no value",
      said(person, { name: "", mails: ["a@b", "secret"], born: "secret" }),
      {
        name: "Expected a value with a length of at least 1",
        born: "Expected a valid Date",
        "mails[1]": "Expected an address with an @"
      }
    ],
    ["a request that is nothing of the kind", said(person, "secret"), { request: "Expected object" }],
    ["a missing field", said(person, { name: "x", mails: [] }), { born: "Missing key" }],
    ["a schema sees what the program does", said(Validation.schema(Schema.NumberFromString), 1), {}],
    ["and not what travels", said(Validation.schema(Schema.NumberFromString), "1"), { request: "Expected number" }],
    ["no rules", said(Validation.all(), 1), {}],
    [
      "several rules, several problems",
      said(
        Validation.all(
          positive,
          () => ({ text: "a" }),
          () => Effect.succeed({ count: "is odd" })
        ),
        { count: -1 }
      ),
      { count: "must be positive, is odd", text: "a" }
    ],
    [
      "names that objects have anyway",
      said(
        Validation.all(() => JSON.parse('{"__proto__":"a"}')),
        1
      ),
      JSON.parse('{"__proto__":"a"}')
    ]
  ] as ReadonlyArray<[string, Effect.Effect<Validation.Problems, RpcError.RpcError>, Validation.Problems]>)(
    "%s",
    ([_name, said, expected]) =>
      Effect.gen(function* () {
        const problems = yield* said
        assert.deepStrictEqual(Object.entries(problems).sort(), Object.entries(expected).sort())
      })
  )
})

const notEmpty: Validation.Rule<unknown> = (request) =>
  (request as { readonly text?: string }).text === "" ? { text: "must not be empty", "a[0].b": "is wrong" } : {}

const at = (rule: Validation.Rule<unknown>, request: unknown, method: Method.Any) =>
  Effect.succeed(rule(request, method) as Validation.Problems)

const variants: ReadonlyArray<[string, Interceptor.Interceptor]> = [
  ["for all methods", Validation.make(notEmpty)],
  [
    "as an Effect",
    Validation.make((request, method) => Effect.andThen(Effect.yieldNow, at(notEmpty, request, method)))
  ],
  ["by service", Validation.ofService(EchoService, { echo: notEmpty, expand: notEmpty, chat: notEmpty })]
]
const isRefusal = (error: RpcError.RpcError, path: string) => {
  assert.strictEqual(error.message, "[INVALID_ARGUMENT] text: must not be empty; a[0].b: is wrong")
  assert.strictEqual(error.method, path)
  assert.deepStrictEqual(
    ErrorDetails.get(error, ErrorDetails.BadRequestSchema)?.fieldViolations.map(({ description, field }) => [
      field,
      description
    ]),
    [
      ["text", "must not be empty"],
      ["a[0].b", "is wrong"]
    ]
  )
}

describe.each(variants)("a rule %s", (_name, interceptor) => {
  it.effect.each(["unary", "stream"] as const)("refuses a %s call with one bad request before it is made", (kind) =>
    Effect.gen(function* () {
      const backend = Backend.make()
      const invoker = Interceptor.apply(interceptor, backend.invoker)
      const error = yield* Effect.flip(Backend.run(invoker, kind, { request: { text: "" } }))
      isRefusal(error, kind === "unary" ? "/trunkline.test.EchoService/Echo" : "/trunkline.test.EchoService/Expand")
      assert.strictEqual(backend.arrived.length, 0)
    })
  )

  it.effect("leaves it to others that one request is too many", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      const { stream } = Interceptor.apply(interceptor, backend.invoker)
      const requests = Stream.make({ text: "a" }, { text: "b" })
      const response = yield* stream(Backend.methods.expand, requests, yield* Backend.newCall())
      backend.arrived[0]!.end(Exit.succeed(1))
      yield* Stream.runDrain(response.messages)
      assert.strictEqual(backend.arrived[0]!.requests.length, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("checks every request of a stream: those before the bad one pass, none after it is read", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      let read = 0
      const requests = Stream.make({ text: "a" }, { text: "b" }, { text: "" }, { text: "d" }).pipe(
        Stream.rechunk(1),
        Stream.tap(() => Effect.sync(() => void read++))
      )
      const error = yield* Effect.gen(function* () {
        const { stream } = Interceptor.apply(interceptor, backend.invoker)
        const response = yield* stream(Backend.methods.chat, requests, yield* Backend.newCall())
        return yield* Effect.flip(Stream.runDrain(response.messages))
      }).pipe(Effect.scoped)
      isRefusal(error, "/trunkline.test.EchoService/Chat")
      assert.deepStrictEqual(backend.arrived[0]!.requests, [{ text: "a" }, { text: "b" }])
      assert.strictEqual(read, 3)
    })
  )
})

describe("rules by service", () => {
  it.effect("leave other methods alone, and get the requests of theirs", () =>
    Effect.gen(function* () {
      const backend = Backend.make()
      const { unary } = Interceptor.apply(
        Validation.ofService(EchoService, {
          echo: Validation.check({ field: "count", problem: "no", holds: (request) => request.count === 1 }),
          lookup: undefined
        }),
        backend.invoker
      )
      const call = yield* Backend.newCall()
      yield* Effect.forkChild(unary(Backend.methods.lookup, { text: "" }, call))
      yield* Effect.forkChild(unary(Backend.methods.echo, { count: 1 }, call))
      yield* TestClock.adjust(0)
      assert.strictEqual(backend.arrived.length, 2)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(unary(Backend.methods.echo, { count: 2 }, call))))
    })
  )
})

describe.each(Backend.kinds)("a rule that is an Effect, on a %s call", (kind) => {
  it.effect("fails the call with its own error", () =>
    Effect.gen(function* () {
      const own = RpcError.make("UNAVAILABLE", "the tenant service is down")
      const invoker = Interceptor.apply(
        Validation.make(() => Effect.fail(own)),
        Backend.make().invoker
      )
      assert.strictEqual(yield* Effect.flip(Backend.run(invoker, kind)), own)
    })
  )

  it.effect("ends with the call's deadline, and with the call", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const hanging = Validation.make(() =>
        Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      )
      const invoker = Interceptor.apply(hanging, Backend.make().invoker)
      const late = yield* Effect.forkChild(
        Effect.flip(Backend.run(invoker, kind, { call: yield* Backend.newCall({ deadlineMillis: 1000 }) }))
      )
      yield* TestClock.adjust(1000)
      assert.strictEqual((yield* Fiber.join(late)).code, "DEADLINE_EXCEEDED")
      const left = yield* Effect.forkChild(Backend.run(invoker, kind))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(left)
      assert.strictEqual(interrupted, 2)
    })
  )

  it.effect("that throws is a defect, not a request that is wrong", () =>
    Effect.gen(function* () {
      const bug = new Error("bug")
      const throwing = Validation.make(() => {
        throw bug
      })
      const exit = yield* Effect.exit(Backend.run(Interceptor.apply(throwing, Backend.make().invoker), kind))
      assert.deepStrictEqual(exit, Exit.failCause(Cause.die(bug)))
    })
  )
})

class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

for (const wire of wires) {
  describe(`a request that is wrong ${wire.name}`, () => {
    /** Makes a call with validation on one side, and tells what the handler saw of it. */
    const exchange = <A>(
      side: "client" | "server",
      call: (echo: Client.Client<typeof EchoService>) => Effect.Effect<A, RpcError.RpcError>
    ) =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const ended = yield* Queue.unbounded<Exit.Exit<unknown, unknown>>()
        const see = (request: { readonly text: string }) => Effect.sync(() => void seen.push(request.text))
        const end = (exit: Exit.Exit<unknown, unknown>) => Effect.asVoid(Queue.offer(ended, exit))
        const one = (request: { readonly text: string }) => Effect.as(see(request), {})
        const handlers = Handlers.make(EchoService, {
          echo: one,
          lookup: one,
          expand: (request) => Stream.fromEffect(one(request)),
          collect: (requests) => Effect.onExit(Effect.as(Stream.runForEach(requests, see), {}), end),
          chat: (requests) => Stream.onExit(Stream.as(Stream.tap(requests, see), {}), end)
        })
        const rules = Validation.make(notEmpty)
        const none = Interceptor.identity
        const address = yield* wire.serve([Backend.behind(side === "server" ? rules : none, handlers)])
        const live = Echo.layer.pipe(
          Layer.provide(Interceptor.layer(side === "client" ? rules : none)),
          Layer.provide(
            Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))
          )
        )
        const error = yield* Effect.flip(Effect.flatMap(Echo, call)).pipe(Effect.provide(live))
        return { error, seen, ended: Queue.take(ended) }
      })

    const bad = { text: "" }
    const one = {
      unary: (echo) => echo.echo(bad),
      server_streaming: (echo) => Stream.runDrain(echo.expand(bad))
    } as Readonly<
      Record<string, (echo: Client.Client<typeof EchoService>) => Effect.Effect<unknown, RpcError.RpcError>>
    >
    const requests = Stream.make({ text: "a" }, { text: "b" }, bad, { text: "d" })
    const many = {
      client_streaming: (echo) => echo.collect(requests),
      bidi_streaming: (echo) => Stream.runDrain(echo.chat(requests))
    } as typeof one

    for (const side of ["client", "server"] as const) {
      for (const [kind, call] of Object.entries(one)) {
        wire.it(`is not seen by a ${kind} handler, when the ${side} looks`, () =>
          Effect.gen(function* () {
            const { error, seen } = yield* exchange(side, call)
            isRefusal(error, `/trunkline.test.EchoService/${kind === "unary" ? "Echo" : "Expand"}`)
            assert.strictEqual(error.origin, side === "client" ? "local" : "remote")
            assert.deepStrictEqual(seen, [])
          }).pipe(Effect.provide(wire.layer))
        )
      }
      for (const [kind, call] of Object.entries(many)) {
        wire.it(`is not seen by a ${kind} handler, when the ${side} looks, and ends the call`, () =>
          Effect.gen(function* () {
            const { ended, error, seen } = yield* exchange(side, call)
            isRefusal(error, `/trunkline.test.EchoService/${kind === "client_streaming" ? "Collect" : "Chat"}`)
            assert.strictEqual(error.origin, side === "client" ? "local" : "remote")
            // A client that gives up may do so before its first requests have arrived.
            assert.deepStrictEqual(side === "server" ? ["a", "b"] : ["a", "b"].slice(0, seen.length), seen)
            if (side === "server") assert.isTrue(Exit.isFailure(yield* ended))
          }).pipe(Effect.provide(wire.layer))
        )
      }
    }
  })
}
