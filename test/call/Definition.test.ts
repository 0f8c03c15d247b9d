/** Services of other generators than protoc-gen-es, and what is none. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Balancer, Client, Handlers, type Method, RoundRobin, Service, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"
import { EchoClient, generic, loaded } from "../support/descriptions.ts"

const facts = ({ idempotency, kind, name, path, service }: Method.Any) => ({ idempotency, kind, name, path, service })
const factsOf = (service: Service.Service) => Object.values(service.methods).map(facts)

const typeName = "trunkline.test.EchoService"
const fact = (name: string, kind: Method.Kind, idempotency: Method.Idempotency = "unknown") => ({
  idempotency,
  kind,
  name,
  path: `/${typeName}/${name}`,
  service: typeName
})
const facts5 = [
  fact("Echo", "unary"),
  fact("Expand", "server_streaming"),
  fact("Collect", "client_streaming", "idempotent"),
  fact("Chat", "bidi_streaming"),
  fact("Lookup", "unary", "no_side_effects")
]

const kinds = { Expand: "server_streaming", Collect: "client_streaming", Chat: "bidi_streaming" } as const

describe("names, kinds and idempotency", () => {
  it.each<[string, Service.Service]>([
    ["a generic definition", Service.from(generic)],
    ["a definition of proto-loader", Service.from(loaded)],
    ["a client class of grpc-js", Service.from(EchoClient)],
    ["a definition whose kinds are told", Service.withKinds(loaded, kinds)]
  ])("of %s", (_name, service) => {
    assert.strictEqual(service.typeName, typeName)
    assert.deepStrictEqual(factsOf(service), facts5)
  })

  it("are read once", () => {
    assert.strictEqual(Service.from(generic), Service.from(generic))
    assert.strictEqual(Service.from(EchoClient), Service.from(EchoClient))
  })

  it("a method may be called service", () => {
    const { methods } = Service.from({ service: loaded.Echo })
    assert.strictEqual(methods.service.path, `/${typeName}/Echo`)
  })
})

const connect = <S extends Service.Input>(service: S, address: string) =>
  Effect.flatMap(
    Layer.build(Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))),
    (pool) => Effect.provide(Client.make(service), pool)
  )

describe.each(wires)("$name", (wire) => {
  wire.it("clients of generic definitions and handlers of proto-loader's speak with each other", () =>
    Effect.gen(function* () {
      const handlers = Handlers.make(Service.withKinds(loaded, kinds), {
        Echo: ({ text }) => Effect.succeed({ text }),
        Lookup: ({ text }) => Effect.succeed({ text }),
        Expand: ({ count, text }) => Stream.map(Stream.range(1, count), (index) => ({ text, index })),
        Collect: (requests) => Effect.map(Stream.runCollect(requests), ({ length }) => ({ index: length })),
        Chat: (requests) => Stream.map(requests, ({ text }) => ({ text: text.toUpperCase() }))
      })
      const echo = yield* connect(generic, yield* wire.serve([handlers]))
      const request = (text: string, count = 0) => ({ text, count })
      assert.strictEqual((yield* echo.echo(request("a"))).text, "a")
      assert.strictEqual((yield* echo.lookup(request("b"))).text, "b")
      const expanded = yield* Stream.runCollect(echo.expand(request("c", 3)))
      assert.deepStrictEqual(
        expanded.map(({ index }) => index),
        [1, 2, 3]
      )
      assert.strictEqual((yield* echo.collect(Stream.make(request("d"), request("e")))).index, 2)
      const [said] = yield* Stream.runCollect(echo.chat(Stream.make(request("f"))))
      assert.strictEqual(said?.text, "F")
    }).pipe(Effect.provide(wire.layer))
  )

  wire.it("and the other way round", () =>
    Effect.gen(function* () {
      const handlers = Handlers.partial(generic, {
        echo: ({ text }) => Effect.succeed({ text, index: 7 }),
        chat: (requests) => Stream.map(requests, ({ text }) => ({ text, index: 8 }))
      })
      const address = yield* wire.serve([handlers])
      const echo = yield* connect(Service.withKinds(EchoClient, kinds), address)
      assert.strictEqual((yield* echo.Echo({ text: "a" })).index, 7)
      const [said] = yield* Stream.runCollect(echo.Chat(Stream.make({ text: "b" })))
      assert.strictEqual(said?.index, 8)
      // protoc-gen-es's client finds the same service there.
      const other = yield* connect(EchoService, address)
      assert.strictEqual((yield* other.echo({ text: "c" })).text, "c")
    }).pipe(Effect.provide(wire.layer))
  )
})

describe("withKinds", () => {
  it.each([
    ["a stream that is not told", {}, "the method Expand is server_streaming and not unary"],
    ["another kind", { ...kinds, Chat: "unary" }, "the method Chat is bidi_streaming and not unary"],
    [
      "a stream where there is none",
      { ...kinds, Echo: "bidi_streaming" },
      "the method Echo is unary and not bidi_streaming"
    ]
  ] as const)("refuses %s", (_what, told, problem) => {
    assert.throws(() => Service.withKinds(loaded, told), Service.DescriptionError, problem)
  })
})

/** What protobuf-ts prints. */
class ServiceType {
  readonly typeName = "demo.Greeter"
  readonly methods = [{ name: "SayHello", localName: "sayHello", I: {}, O: {} }]
}

const { echo } = generic.methods

describe("what is no description is refused by name", () => {
  it.each<[string, unknown, RegExp]>([
    ["nothing", undefined, /it is undefined, as is what a module does not export/],
    ["null", null, /it is a null/],
    ["text", "demo.Greeter", /it is a string/],
    ["a function", () => {}, /it is a function/],
    ["an empty object", {}, /it has no methods, and nothing else says its name/],
    ["a ServiceType of protobuf-ts", new ServiceType(), /it is a ServiceType of protobuf-ts/],
    ["a schema", Schema.String, /./],
    ["an array", [loaded.Echo, 5], /1 is no method/],
    ["a method without a path", { say: {} }, /the method say has no path/],
    ["a path that is none", { say: { ...loaded.Echo, path: "say" } }, /the method say has no path/],
    [
      "a method that cannot encode",
      { say: { ...loaded.Echo, requestSerialize: undefined } },
      /the method say has no function requestSerialize/
    ],
    [
      "a generic method without a codec",
      { ...generic, methods: { say: { ...echo, responseType: {} } } },
      /the responseType of the method say has no function encode/
    ],
    [
      "a generic method without a name",
      { ...generic, methods: { say: { ...echo, name: undefined } } },
      /the method say has no name/
    ],
    ["methods that are none", { ...generic, methods: { say: 5 } }, /say is no method/]
  ])("%s", (_what, given, problem) => {
    const described = () => Service.from(given as Service.Input)
    assert.throws(described, Service.DescriptionError, problem)
    for (const form of ["protoc-gen-es", "grpc-js", "generic definition", "Service.make"]) {
      assert.throws(described, form)
    }
    assert.throws(() => Handlers.make(given as Service.Input, {}), Service.DescriptionError)
  })
})
