import { create, fromBinary, fromJson, type JsonObject, toBinary, toJson } from "@bufbuild/protobuf"
import { StructSchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  Code,
  DeclaredError,
  ErrorDetails,
  Handlers,
  Interceptor,
  Retry,
  RoundRobin,
  RpcError,
  Server,
  Service,
  StaticDiscovery
} from "trunkline"
import { Outcome } from "trunkline/extend"
import { EchoRequestSchema, EchoResponseSchema, EchoService } from "../gen/echo_pb.ts"
import { memory, type Wire, wires } from "../support/wires.ts"
import * as Backend from "../support/backend.ts"

/** Its fields are of kinds that JSON alone does not carry. */
class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", {
  item: Schema.String,
  left: Schema.Number,
  again: Schema.optional(Schema.Date),
  serial: Schema.BigInt
}) {
  override get message(): string {
    return `no more ${this.item}`
  }
}
/** It has no message, and another identifier than its tag. */
class NotYours extends Schema.TaggedError<NotYours>("shop/NotYours")("NotYours", {}) {}
class Stray extends Schema.TaggedError<Stray>()("Stray", {}) {}

const outOfStock = new OutOfStock({ item: "pears", left: 0, again: new Date(1234), serial: 2n ** 64n })
const conflict = RpcError.make("ABORTED", "conflict")

/** What a request can ask a handler to fail with. */
const failures: Readonly<Record<string, OutOfStock | NotYours | RpcError.RpcError>> = {
  outOfStock,
  notYours: new NotYours(),
  conflict,
  // No handler can fail with these, as far as types go.
  stray: new Stray() as never,
  text: "a secret" as never,
  nothing: null as never,
  impostor: { _tag: "OutOfStock", message: "a secret" } as never
}

// ---------------------------------------------------------------------------------------------------------------------
// One service, described in three ways
// ---------------------------------------------------------------------------------------------------------------------

const declared = [OutOfStock, DeclaredError.withCode(NotYours, "PERMISSION_DENIED")] as const
const errors = { echo: declared, expand: declared, collect: declared, chat: declared }

const message = Schema.Struct({ text: Schema.String })
const schemaFirst = Service.make("demo.Echo", {
  echo: Service.unary(message, message, { errors: declared }),
  expand: Service.serverStreaming(message, message, { errors: declared }),
  collect: Service.clientStreaming(message, message, { errors: declared }),
  chat: Service.bidiStreaming(message, message, { errors: declared }),
  lookup: Service.unary(message, message)
})
type Echo = typeof schemaFirst

const definitionOf = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/trunkline.test.EchoService/${name}`,
  requestStream,
  responseStream,
  requestSerialize: (message: { readonly text: string }) =>
    toBinary(EchoRequestSchema, create(EchoRequestSchema, message)),
  requestDeserialize: (bytes: Uint8Array) => fromBinary(EchoRequestSchema, bytes),
  responseSerialize: (message: { readonly text: string }) =>
    toBinary(EchoResponseSchema, create(EchoResponseSchema, message)),
  responseDeserialize: (bytes: Uint8Array) => fromBinary(EchoResponseSchema, bytes)
})
const definition = {
  echo: definitionOf("Echo", false, false),
  expand: definitionOf("Expand", false, true),
  collect: definitionOf("Collect", true, false),
  chat: definitionOf("Chat", true, true),
  lookup: definitionOf("Lookup", false, false)
}

const services: ReadonlyArray<readonly [string, Echo]> = [
  ["protoc-gen-es", Service.withErrors(EchoService, errors) as never],
  ["a grpc-js definition", Service.withErrors(definition, errors) as never],
  ["Schema", schemaFirst]
]

/** Fails as the text asks; anything else is echoed. */
const answer = ({ text }: { readonly text: string }) => {
  const failure = failures[text]
  return failure === undefined ? Effect.succeed({ text }) : Effect.fail(failure)
}

const handlersOf = (service: Echo) =>
  Handlers.make(service, {
    echo: answer,
    expand: ({ text }) => Stream.mapEffect(Stream.fromIterable(text.split(" ")), (text) => answer({ text })),
    collect: (requests) =>
      Stream.runFold(
        Stream.mapEffect(requests, answer),
        () => ({ text: "" }),
        (_, last) => last
      ),
    chat: (requests) => Stream.mapEffect(requests, answer),
    lookup: (request) => Effect.orDie(answer(request))
  })

/** The service as a client sees it that knows of no declared errors. */
const withoutErrors = (service: Echo): Echo => ({
  ...service,
  methods: Object.fromEntries(
    Object.entries(service.methods).map(([name, method]) => [name, { ...method, errors: [] }])
  ) as never
})

/** Every kind of call, failing at once and after messages. */
const calls: Readonly<Record<string, (echo: Client.Client<Echo>, text: string) => Effect.Effect<unknown, unknown>>> = {
  unary: (echo, text) => echo.echo({ text }),
  "unary with metadata": (echo, text) => echo.echo.response({ text }),
  "server streaming": (echo, text) => Stream.runDrain(echo.expand({ text })),
  "server streaming, after messages": (echo, text) => Stream.runDrain(echo.expand({ text: `a b ${text}` })),
  "client streaming": (echo, text) => echo.collect(Stream.make({ text: "a" }, { text })),
  bidi: (echo, text) => Stream.runDrain(echo.chat(Stream.make({ text }))),
  "bidi, after messages": (echo, text) => Stream.runDrain(echo.chat(Stream.make({ text: "a" }, { text }))),
  "bidi, with requests to come": (echo, text) =>
    Stream.runDrain(echo.chat(Stream.concat(Stream.make({ text }), Stream.never))),
  "the headers of a stream": (echo, text) =>
    Effect.scoped(Effect.flatMap(echo.chat.response(Stream.make({ text })), ({ headers }) => headers)),
  "the trailers of a stream": (echo, text) =>
    Effect.scoped(
      Effect.flatMap(echo.expand.response({ text: `a ${text}` }), ({ messages, trailers }) =>
        Effect.andThen(Effect.ignore(Stream.runDrain(messages)), trailers)
      )
    )
}

const connect = <S extends Service.Input>(service: S, address: string) =>
  Effect.flatMap(
    Layer.build(Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))),
    (pool) => Effect.provide(Client.make(service), pool)
  )

const clientOf = (wire: Wire, service: Echo, handlers = handlersOf(service)) =>
  Effect.flatMap(wire.serve([handlers]), (address) => connect(service, address))

const structs = (error: RpcError.RpcError): ReadonlyArray<JsonObject> =>
  ErrorDetails.getAll(error, StructSchema).map((struct) => toJson(StructSchema, struct) as JsonObject)

/** The detail of an error with these fields. */
const detail = (fields: JsonObject): ErrorDetails.Detail =>
  ErrorDetails.make(StructSchema, fromJson(StructSchema, fields))

for (const wire of wires) {
  describe.each(services)(`declared errors of a service described by %s, ${wire.name}`, (_name, service) => {
    for (const [kind, call] of Object.entries(calls)) {
      wire.it(`${kind}: arrive as themselves`, () =>
        Effect.gen(function* () {
          const echo = yield* clientOf(wire, service)
          const error = yield* Effect.flip(call(echo, "outOfStock"))
          assert.instanceOf(error, OutOfStock)
          assert.deepStrictEqual({ ...error }, { ...outOfStock })
          assert.strictEqual(error.message, "no more pears")
          assert.instanceOf(yield* Effect.flip(call(echo, "notYours")), NotYours)
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it(`${kind}: any other error is what it was`, () =>
        Effect.gen(function* () {
          const echo = yield* clientOf(wire, service)
          const texts = yield* Effect.forEach(["conflict", "stray", "text", "nothing"], (text) =>
            Effect.map(Effect.flip(call(echo, text)), String)
          )
          const untyped = "RpcError: [UNKNOWN] handler failed"
          assert.deepStrictEqual(texts, ["RpcError: [ABORTED] conflict", untyped, untyped, untyped])
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it(`${kind}: whoever does not know them sees a rich status`, () =>
        Effect.gen(function* () {
          const address = yield* wire.serve([handlersOf(service)])
          const echo = yield* connect(withoutErrors(service), address)
          const stock = yield* Effect.flip(call(echo, "outOfStock"))
          assert.instanceOf(stock, RpcError.RpcError)
          assert.deepStrictEqual([stock.code, stock.reason.message], ["FAILED_PRECONDITION", "no more pears"])
          assert.deepStrictEqual(structs(stock), [
            {
              _tag: "OutOfStock",
              item: "pears",
              left: 0,
              again: "1970-01-01T00:00:01.234Z",
              serial: "18446744073709551616"
            }
          ])
          const yours = yield* Effect.flip(call(echo, "notYours"))
          assert.instanceOf(yours, RpcError.RpcError)
          assert.deepStrictEqual([yours.code, yours.reason.message], ["PERMISSION_DENIED", "NotYours"])
        }).pipe(Effect.provide(wire.layer))
      )
    }

    wire.it("come after the messages before them", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, service)
        const seen: Array<string> = []
        const note = ({ text }: { readonly text: string }) => Effect.sync(() => void seen.push(text))
        const caught = yield* Stream.runForEach(echo.expand({ text: "a b outOfStock" }), note).pipe(
          Effect.as("nothing"),
          Effect.catchTag("OutOfStock", ({ item }) => Effect.succeed(item))
        )
        assert.deepStrictEqual([...seen, caught], ["a", "b", "pears"])
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("know the RpcError they arrived as", () =>
      Effect.gen(function* () {
        const address = yield* wire.serve([handlersOf(service)])
        const echo = yield* connect(service, address)
        const error = yield* Effect.flip(echo.echo({ text: "outOfStock" }))
        const { attempts, code, method, origin, peer } = DeclaredError.rpcErrorOf(error)!
        const path = service.methods.echo.path
        assert.deepStrictEqual([code, method, origin, peer], ["FAILED_PRECONDITION", path, "remote", address])
        assert.deepStrictEqual(
          attempts.map((attempt) => attempt.code),
          ["FAILED_PRECONDITION"]
        )
        assert.strictEqual(DeclaredError.rpcErrorOf(conflict), conflict)
        assert.strictEqual(DeclaredError.rpcErrorOf(outOfStock), undefined)
      }).pipe(Effect.provide(wire.layer))
    )
  })

  describe(`declared errors ${wire.name}`, () => {
    wire.it("cross a proxy that declares them, and one that has never heard of them", () =>
      Effect.gen(function* () {
        const backend = yield* wire.serve([handlersOf(schemaFirst)])
        for (const service of [schemaFirst, withoutErrors(schemaFirst)]) {
          const upstream = yield* connect(service, backend)
          const proxy = Handlers.partial(service, { echo: upstream.echo, chat: (requests) => upstream.chat(requests) })
          const echo = yield* connect(schemaFirst, yield* wire.serve([proxy]))
          for (const call of [calls["unary"]!, calls["bidi, after messages"]!]) {
            assert.deepStrictEqual(
              { ...((yield* Effect.flip(call(echo, "outOfStock"))) as OutOfStock) },
              { ...outOfStock }
            )
          }
        }
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("are RpcErrors to the interceptors of both sides", () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        const note = (side: string) => (error: unknown) => Effect.sync(() => void seen.push(`${side} ${String(error)}`))
        const noting = (side: string): Interceptor.Interceptor => ({
          unary: (next) => (method, request, call) => Effect.tapError(next(method, request, call), note(side)),
          stream: (next) => (method, requests, call) =>
            Effect.map(next(method, requests, call), (response) => ({
              ...response,
              messages: Stream.tapError(response.messages, note(side))
            }))
        })
        const handlers = handlersOf(schemaFirst)
        const build = Effect.map(
          Server.build({ handlers: [handlers], interceptor: noting("server") }),
          ({ router }) => [...router.values()]
        )
        const address = yield* wire.serve([{ ...handlers, build: Effect.orDie(build) }])
        const echo = yield* connect(schemaFirst, address).pipe(Effect.provide(Interceptor.layer(noting("client"))))
        yield* Effect.flip(echo.echo({ text: "outOfStock" }))
        yield* Effect.flip(Stream.runDrain(echo.chat(Stream.make({ text: "notYours" }))))
        assert.deepStrictEqual(seen, [
          "server RpcError: [FAILED_PRECONDITION] no more pears",
          "client RpcError: [FAILED_PRECONDITION] no more pears",
          "server RpcError: [PERMISSION_DENIED] NotYours",
          "client RpcError: [PERMISSION_DENIED] NotYours"
        ])
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("one that its schema refuses is INTERNAL, without its text", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, schemaFirst)
        for (const call of Object.values(calls)) {
          const error = yield* Effect.flip(call(echo, "impostor"))
          assert.instanceOf(error, RpcError.RpcError)
          assert.match(error.message, /^\[INTERNAL\] cannot encode the error OutOfStock of \/demo.Echo\/\w+$/)
        }
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("a request stream's own error comes back as it was, whatever is on it", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, schemaFirst)
        const mine = ErrorDetails.attach(conflict, detail({ _tag: "NotYours" }))
        for (const own of [mine, outOfStock]) {
          assert.strictEqual(yield* Effect.flip(echo.collect(Stream.fail(own))), own)
          assert.strictEqual(yield* Effect.flip(Stream.runDrain(echo.chat(Stream.fail(own)))), own)
        }
      }).pipe(Effect.provide(wire.layer))
    )
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// What arrives
// ---------------------------------------------------------------------------------------------------------------------

const stock = { _tag: "OutOfStock", item: "pears", left: 1, serial: "1" }
const struct = (bytes: ReadonlyArray<number>): ErrorDetails.Detail => ({
  typeUrl: "type.googleapis.com/google.protobuf.Struct",
  value: Uint8Array.from(bytes)
})

/** What a caller gets of a call that ends with an error. */
const received = Effect.fnUntraced(function* (kind: Backend.Kind, error: RpcError.RpcError) {
  const backend = Backend.make()
  const invoker = Interceptor.apply(DeclaredError.fromStatus(schemaFirst.methods.echo), backend.invoker)
  const fiber = yield* Effect.forkChild(Backend.run(invoker, kind))
  yield* TestClock.adjust(0)
  backend.arrived[0]!.end(Exit.fail(error))
  return yield* Effect.flip(Fiber.join(fiber)) as Effect.Effect<unknown, unknown>
})

describe.each(Backend.kinds)("what a %s call arrives with", (kind) => {
  const base = RpcError.make("FAILED_PRECONDITION", "gone", { origin: "remote" })

  const unread: ReadonlyArray<readonly [string, ReadonlyArray<ErrorDetails.Detail>]> = [
    ["no detail", []],
    ["a detail of another type", [ErrorDetails.badRequest({ a: "b" })]],
    ["a struct without a tag", [detail({ item: "pears" })]],
    ["a tag that is no text", [detail({ ...stock, _tag: 1 })]],
    ["the tag of no declared error", [detail({ ...stock, _tag: "Stray" })]],
    ["a name that every object has", [detail({ _tag: "toString" })]],
    ["a field missing", [detail({ _tag: "OutOfStock", item: "pears", serial: "1" })]],
    ["a field of another type", [detail({ ...stock, left: "one" })]],
    ["bytes that are no struct", [struct([0xff, 0xff])]],
    // A field `a` that is NaN, which JSON does not have.
    ["a struct that is no JSON", [struct([10, 14, 10, 1, 97, 18, 9, 17, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f])]]
  ]
  it.effect.each(unread)("%s: the very RpcError", ([_name, details]) =>
    Effect.gen(function* () {
      const error = ErrorDetails.attach(base, ...details)
      assert.strictEqual(yield* received(kind, error), error)
      assert.deepStrictEqual(ErrorDetails.raw(error), details)
    })
  )

  it.effect("other details around it: the declared error, and they are still to be had", () =>
    Effect.gen(function* () {
      const details = [...unread.flatMap(([, details]) => details), detail(stock), ErrorDetails.retryInfo("1 second")]
      const error = ErrorDetails.attach(base, ...details)
      const declared = yield* received(kind, error)
      assert.instanceOf(declared, OutOfStock)
      assert.strictEqual(declared.left, 1)
      assert.strictEqual(DeclaredError.rpcErrorOf(declared), error)
    })
  )

  it.effect("whatever the code, and a field it does not know: the declared error", () =>
    Effect.gen(function* () {
      for (const code of Code.all) {
        const error = ErrorDetails.attach(RpcError.make(code, ""), detail({ ...stock, of: "a newer server" }))
        assert.instanceOf(yield* received(kind, error), OutOfStock)
      }
    })
  )
})

describe("any error", () => {
  it.effect.prop(
    "arrives with the fields it was sent with",
    { item: Schema.String, left: Schema.Number, again: Schema.UndefinedOr(Schema.Date), serial: Schema.BigInt },
    ({ again, item, left, serial }) =>
      Effect.gen(function* () {
        // Protobuf has no text but UTF-8, and half a surrogate pair is none.
        const sent = new OutOfStock({ item: Buffer.from(item).toString(), left, again, serial })
        const ends: Interceptor.Invoker = { unary: () => Effect.fail(sent as never), stream: () => Effect.never }
        const { echo } = schemaFirst.methods
        const invoker = [DeclaredError.toStatus(echo), DeclaredError.fromStatus(echo)].reduce(
          (invoker, interceptor) => Interceptor.apply(interceptor, invoker),
          ends
        )
        const arrived: unknown = yield* Effect.flip(Backend.run(invoker, "unary"))
        assert.instanceOf(arrived, OutOfStock)
        assert.notStrictEqual(arrived, sent)
        assert.deepStrictEqual(arrived, sent)
      })
  )
})

describe("what lies between", () => {
  it("a method that declares nothing pays nothing", () => {
    const { lookup } = schemaFirst.methods
    assert.strictEqual(DeclaredError.fromStatus(lookup), Interceptor.identity)
    assert.strictEqual(DeclaredError.toStatus(lookup), Interceptor.identity)
  })

  it.effect("the server's interceptors can get at the error itself", () =>
    Effect.gen(function* () {
      const ends: Interceptor.Invoker = { unary: () => Effect.fail(outOfStock as never), stream: () => Effect.never }
      const invoker = Interceptor.apply(DeclaredError.toStatus(schemaFirst.methods.echo), ends)
      assert.strictEqual((yield* Effect.flip(Backend.run(invoker, "unary"))).cause, outOfStock)
    })
  )

  it("a declared error says nothing against its peer", () => {
    assert.strictEqual(Outcome.fromCode(DeclaredError.defaultCode), "success")
  })

  it.effect("a retry policy sees RpcErrors, and the last one is what the error arrived as", () =>
    Effect.gen(function* () {
      const address = yield* memory.serve([handlersOf(schemaFirst)])
      const seen: Array<string> = []
      const policy = Retry.onError((error) => seen.push(`${error._tag} ${error.code}`) > 0, Schedule.spaced("1 second"))
      const echo = yield* connect(schemaFirst, address).pipe(Effect.provide(Retry.layer(Retry.maxAttempts(3)(policy))))
      for (const call of [calls["unary"]!, calls["server streaming"]!]) {
        const fiber = yield* Effect.forkChild(Effect.flip(call(echo, "outOfStock")))
        yield* Effect.repeat(TestClock.adjust("1 second"), { times: 9 })
        const error = yield* Fiber.join(fiber)
        assert.instanceOf(error, OutOfStock)
        assert.strictEqual(DeclaredError.rpcErrorOf(error)?.attempts.length, 3)
        assert.deepStrictEqual([...new Set(seen.splice(0))], ["RpcError FAILED_PRECONDITION"])
      }
    }).pipe(Effect.provide(memory.layer))
  )

  it.effect("a method that declares nothing is not looked at", () =>
    Effect.gen(function* () {
      const handlers = Handlers.partial(withoutErrors(schemaFirst), {
        lookup: () => Effect.fail(ErrorDetails.attach(conflict, detail(stock)))
      })
      const echo = yield* connect(schemaFirst, yield* memory.serve([handlers]))
      const error = yield* Effect.flip(echo.lookup({ text: "" }))
      assert.strictEqual(error._tag, "RpcError")
      assert.deepStrictEqual(structs(error), [stock])
    }).pipe(Effect.provide(memory.layer))
  )
})
