/** What is said of messages that cannot be encoded or decoded, on both sides. */
import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Layer, Logger, References, Schema, Stream } from "effect"
import { Balancer, Client, Handlers, RoundRobin, RpcError, Service, StaticDiscovery } from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"

const Named = Schema.Struct({ name: Schema.NonEmptyString })
const Greeted = Schema.Struct({ message: Schema.String })
const Greeter = Service.make("demo.Greeter", {
  hello: Service.unary(Named, Greeted),
  hellos: Service.bidiStreaming(Named, Greeted)
})

/** The same service with other messages, as after a deploy of one side. */
const skewed = <I, O>(request: Schema.Codec<I, unknown>, response: Schema.Codec<O, unknown>) =>
  Service.make("demo.Greeter", {
    hello: Service.unary(request, response),
    hellos: Service.bidiStreaming(request, response)
  })

const handlers = Handlers.make(Greeter, {
  hello: ({ name }) => Effect.succeed({ message: `hello, ${name}` }),
  hellos: (names) => Stream.map(names, ({ name }) => ({ message: `hello, ${name}` }))
})

const connect = <S extends Service.Input>(service: S, address: string) =>
  Effect.flatMap(
    Layer.build(Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))),
    (pool) => Effect.provide(Client.make(service), pool)
  )

interface Line {
  readonly level: string
  readonly text: string
}

const logs = () => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    const annotations = JSON.stringify(fiber.getRef(References.CurrentLogAnnotations))
    lines.push({ level: logLevel, text: `${String(message)} ${annotations} ${Cause.pretty(cause)}` })
  })
  return { lines, layer: Logger.layer([logger]) }
}

const cyclic: Record<string, unknown> = { name: "x" }
cyclic["self"] = cyclic

describe.each(wires)("$name", (wire) => {
  const failing = <I, O>(
    request: Schema.Codec<I, unknown>,
    response: Schema.Codec<O, unknown>,
    message: I,
    how: "hello" | "hellos",
    serving: Handlers.Handlers = handlers
  ) =>
    Effect.gen(function* () {
      const { layer, lines } = logs()
      const error = yield* Effect.gen(function* () {
        const client = yield* connect(skewed(request, response), yield* wire.serve([serving]))
        return yield* Effect.flip(
          how === "hello" ? client.hello(message) : Stream.runDrain(client.hellos(Stream.make(message)))
        )
      }).pipe(Effect.scoped, Effect.provide(layer))
      assert.instanceOf(error, RpcError.RpcError)
      return { error, lines: lines.filter(({ level }) => level !== "Debug") }
    }).pipe(Effect.provide(wire.layer))

  wire.it.each(["hello", "hellos"] as const)("a request that cannot be encoded never leaves: %s", (how) =>
    Effect.gen(function* () {
      const { error, lines } = yield* failing(Named, Greeted, { name: "" }, how)
      assert.deepStrictEqual([error.code, error.origin], ["INTERNAL", "local"])
      assert.strictEqual(
        error.reason.message,
        `cannot encode the request of /demo.Greeter/${how === "hello" ? "Hello" : "Hellos"}: name: Expected a value with a length of at least 1`
      )
      assert.isTrue(Schema.isSchemaError(error.cause))
      assert.deepStrictEqual(lines, [])
    })
  )

  wire.it.each(["hello", "hellos"] as const)("a request that does not decode is the client's to mend: %s", (how) =>
    Effect.gen(function* () {
      const { error, lines } = yield* failing(
        Schema.Struct({ name: Schema.String, password: Schema.String }),
        Greeted,
        { name: "", password: "hunter2" },
        how
      )
      assert.deepStrictEqual([error.code, error.origin, error.cause], ["INVALID_ARGUMENT", "remote", undefined])
      const path = `/demo.Greeter/${how === "hello" ? "Hello" : "Hellos"}`
      const text = `cannot decode the request of ${path}: name: Expected a value with a length of at least 1`
      assert.strictEqual(error.reason.message, text)
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Warn"]
      )
      assert.include(lines[0]!.text, text)
      assert.notInclude(lines[0]!.text, "hunter2")
    })
  )

  wire.it.each(["hello", "hellos"] as const)("a response that does not decode says where, and keeps why: %s", (how) =>
    Effect.gen(function* () {
      const Other = Schema.Struct({ message: Schema.Struct({ text: Schema.Int }) })
      const { error } = yield* failing(Named, Other, { name: "hunter2" }, how)
      assert.deepStrictEqual([error.code, error.origin], ["INTERNAL", "local"])
      assert.match(
        error.reason.message,
        /cannot decode the response of \/demo.Greeter\/Hellos?: message: Expected object/
      )
      assert.isTrue(Schema.isSchemaError(error.cause))
      assert.notInclude(Cause.pretty(Cause.fail(error)), "hunter2")
    })
  )

  wire.it.each(["hello", "hellos"] as const)("a response that cannot be encoded is the server's secret: %s", (how) =>
    Effect.gen(function* () {
      const wrong = { message: 5 as unknown as string }
      const bad = Handlers.make(Greeter, { hello: () => Effect.succeed(wrong), hellos: () => Stream.make(wrong) })
      const { error, lines } = yield* failing(Named, Greeted, { name: "x" }, how, bad)
      assert.deepStrictEqual([error.code, error.origin], ["INTERNAL", "remote"])
      assert.match(error.reason.message, /^cannot encode the response of \/demo.Greeter\/Hellos?$/)
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        ["Error"]
      )
      assert.match(lines[0]!.text, /Expected string[^]*at \["message"\]/)
    })
  )

  wire.it("a value that refers to itself is no message, and no crash", () =>
    Effect.gen(function* () {
      const { error } = yield* failing(Schema.Unknown, Greeted, cyclic, "hello")
      assert.deepStrictEqual([error.code, error.origin], ["INTERNAL", "local"])
      assert.match(error.message, /cannot encode the request of \/demo.Greeter\/Hello/)
    })
  )

  wire.it("a value that is nested very deep is answered", () =>
    Effect.gen(function* () {
      interface Nested {
        readonly name: string
        readonly in?: Nested | undefined
      }
      const Nested: Schema.Codec<Nested> = Schema.Struct({
        name: Schema.String,
        in: Schema.optional(Schema.suspend(() => Nested))
      })
      let deep: Nested = { name: "x" }
      for (let depth = 0; depth < 20_000; depth++) deep = { name: "x", in: deep }
      const { error } = yield* failing(Nested, Greeted, deep, "hello")
      assert.strictEqual(error.code, "INTERNAL")
    })
  )

  wire.it("a protobuf message with a value of another type: the field, and why", () =>
    Effect.gen(function* () {
      const echo = yield* connect(EchoService, yield* wire.serve([echoHandlers("a")]))
      const error = yield* Effect.flip(echo.echo({ count: "hunter2" as unknown as number }))
      assert.deepStrictEqual([error.code, error.origin], ["INTERNAL", "local"])
      assert.include(error.message, "trunkline.test.EchoRequest.count: Expected a valid value")
      assert.notInclude(error.message, "hunter2")
      assert.include(String(error.cause), "count")
    }).pipe(Effect.provide(wire.layer))
  )

  // A peer of another make may send bytes that are no text.
  wire.it.each([
    ["no UTF-8", Uint8Array.of(0x22, 0xff, 0x22)],
    ["half a character", Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22)],
    ["nothing", new Uint8Array()],
    ["no JSON", new TextEncoder().encode("hunter2")],
    ["nothing but brackets", new TextEncoder().encode("[".repeat(100_000))]
  ] as const)("bytes that are %s are INVALID_ARGUMENT, and quoted nowhere", ([, bytes]) =>
    Effect.gen(function* () {
      const { layer, lines } = logs()
      const error = yield* Effect.gen(function* () {
        const raw = {
          hello: {
            path: "/demo.Greeter/Hello",
            requestStream: false,
            responseStream: false,
            requestSerialize: (message: Uint8Array) => message,
            requestDeserialize: (message: Uint8Array) => message,
            responseSerialize: (message: Uint8Array) => message,
            responseDeserialize: (message: Uint8Array) => message
          }
        } as const
        const client = yield* connect(raw, yield* wire.serve([handlers]))
        return yield* Effect.flip(client.hello(bytes))
      }).pipe(Effect.scoped, Effect.provide(layer))
      assert.deepStrictEqual([error.code, error.origin], ["INVALID_ARGUMENT", "remote"])
      assert.notInclude(error.message + lines.map(({ text }) => text).join(), "hunter2")
      assert.isBelow(error.message.length, 300)
    }).pipe(Effect.provide(wire.layer))
  )
})
