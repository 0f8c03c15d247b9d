import { create, createFileRegistry, fromBinary, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Queue, Stream } from "effect"
import { execFile } from "node:child_process"
import { resolve } from "node:path"
import { Balancer, Client, Handlers, Health, Reflection, RoundRobin, type RpcError, StaticDiscovery } from "trunkline"
import { GrpcJsServer } from "trunkline/grpc-js"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { file_orchard_cellar } from "../gen/orchard/cellar_pb.ts"
import { file_orchard_fruit } from "../gen/orchard/fruit_pb.ts"
import { file_orchard_label } from "../gen/orchard/label_pb.ts"
import { file_orchard_orchard, Orchard } from "../gen/orchard/orchard_pb.ts"
import { type Wire, wires } from "../support/wires.ts"

const handlers = Reflection.handlers([Orchard, EchoService], { files: [file_orchard_cellar] })

/** A client of a server that explains the orchard. */
const explorer = Effect.fnUntraced(function* (wire: Wire) {
  const address = yield* wire.serve(handlers)
  const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
  const context = yield* Layer.build(Layer.orDie(pool))
  return {
    v1: (yield* Effect.provideContext(Client.make(Reflection.v1), context)).serverReflectionInfo,
    v1alpha: (yield* Effect.provideContext(Client.make(Reflection.v1alpha), context)).serverReflectionInfo
  }
})

const byFile = (value: string) => ({ case: "fileByFilename", value }) as const
const bySymbol = (value: string) => ({ case: "fileContainingSymbol", value }) as const
const byExtension = (containingType: string, extensionNumber: number) =>
  ({ case: "fileContainingExtension", value: { containingType, extensionNumber } }) as const
const numbersOf = (value: string) => ({ case: "allExtensionNumbersOfType", value }) as const
const services = { case: "listServices", value: "*" } as const

type Question =
  | ReturnType<typeof byFile | typeof bySymbol | typeof byExtension | typeof numbersOf>
  | typeof services
  | { readonly case: undefined }

interface Answer {
  readonly case: string | undefined
  readonly value?: unknown
}

interface Request {
  readonly host: string
  readonly messageRequest: Question
}

interface Echoed {
  readonly validHost: string
  readonly originalRequest?: { readonly host: string; readonly messageRequest: unknown } | undefined
}

type Requests = Stream.Stream<Request>
type Answers = Stream.Stream<Echoed, RpcError.RpcError>

/** What an answer says: the names of files, services or numbers, or the code of a problem. */
const gist = (answer: Answer): unknown => {
  const value = answer.value as Record<string, never>
  switch (answer.case) {
    case "fileDescriptorResponse":
      return (value["fileDescriptorProto"]! as Array<Uint8Array>).map(
        (bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name
      )
    case "listServicesResponse":
      return (value["service"]! as Array<{ name: string }>).map(({ name }) => name)
    case "allExtensionNumbersResponse":
      return { [value["baseTypeName"]!]: value["extensionNumber"] }
    case "errorResponse":
      return { code: value["errorCode"], text: value["errorMessage"] }
  }
  return answer.case
}

const timestamp = "google/protobuf/timestamp.proto"
const [orchard, fruit, label, cellar] = [
  "orchard/orchard.proto",
  "orchard/fruit.proto",
  "orchard/label.proto",
  "orchard/cellar.proto"
]
const p = "trunkline.test.orchard"
const noSymbol = { code: 5, text: "no file declares that symbol" }
const noFile = { code: 5, text: "no file of that name" }
const noExtension = { code: 5, text: "no file declares that extension" }
const noType = { code: 5, text: "no type of that name" }

/** Each question on a stream of its own. */
const questions: ReadonlyArray<[string, Question, unknown]> = [
  [
    "the services, sorted, reflection among them",
    services,
    [
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      `${p}.Orchard`,
      "trunkline.test.EchoService"
    ].sort()
  ],

  ["a file without imports", byFile(fruit), [fruit]],
  ["a file with imports, each of them once", byFile(orchard), [orchard, timestamp, fruit, label]],
  ["a file that no service imports", byFile(cellar), [cellar, fruit]],
  ["a well-known file", byFile(timestamp), [timestamp]],
  ["reflection's own file", byFile("grpc/reflection/v1/reflection.proto"), ["grpc/reflection/v1/reflection.proto"]],
  ["an unknown file", byFile("orchard/root.proto"), noFile],
  ["a well-known file that nothing imports", byFile("google/protobuf/any.proto"), noFile],
  ["a file without a name", byFile(""), noFile],
  ["a file by its symbol", byFile(`${p}.Fruit`), noFile],
  ["a file by an object's own property", byFile("constructor"), noFile],

  ["a service", bySymbol(`${p}.Orchard`), [orchard, timestamp, fruit, label]],
  ["a method", bySymbol(`${p}.Orchard.Pick`), [orchard, timestamp, fruit, label]],
  ["a message", bySymbol(`${p}.Fruit`), [fruit]],
  ["a nested message", bySymbol(`${p}.Fruit.Stone`), [fruit]],
  ["a message nested twice", bySymbol(`${p}.Fruit.Stone.Kernel`), [fruit]],
  ["the entry of a map", bySymbol(`${p}.Fruit.PricesEntry`), [fruit]],
  ["an enum", bySymbol(`${p}.Season`), [orchard, timestamp, fruit, label]],
  ["a nested enum", bySymbol(`${p}.Fruit.Ripeness`), [fruit]],
  ["an enum nested thrice", bySymbol(`${p}.Fruit.Stone.Kernel.Taste`), [fruit]],
  ["an enum value, beside its enum", bySymbol(`${p}.SEASON_AUTUMN`), [orchard, timestamp, fruit, label]],
  ["a nested enum value, beside its enum", bySymbol(`${p}.Fruit.Stone.Kernel.SWEET`), [fruit]],
  ["a field", bySymbol(`${p}.Fruit.ripeness`), [fruit]],
  ["a nested field", bySymbol(`${p}.Fruit.Stone.Kernel.taste`), [fruit]],
  ["a oneof", bySymbol(`${p}.Fruit.colour`), [fruit]],
  ["a field of a oneof", bySymbol(`${p}.Fruit.wavelength`), [fruit]],
  ["an extension", bySymbol(`${p}.origin`), [label, fruit]],
  ["a nested extension", bySymbol(`${p}.Sticker.sticker`), [label, fruit]],
  ["a well-known message", bySymbol("google.protobuf.Timestamp"), [timestamp]],
  ["an unknown message", bySymbol(`${p}.Root`), noSymbol],
  ["an unknown method", bySymbol(`${p}.Orchard.Plant`), noSymbol],
  ["an unknown nested message", bySymbol(`${p}.Fruit.Kernel`), noSymbol],
  ["an enum value as a child of its enum", bySymbol(`${p}.Season.SEASON_AUTUMN`), noSymbol],
  ["a name without its package", bySymbol("Fruit"), noSymbol],
  ["a name with a leading dot", bySymbol(`.${p}.Fruit`), noSymbol],
  ["a package", bySymbol(p), noSymbol],
  ["nothing", bySymbol(""), noSymbol],

  ["an extension by number", byExtension(`${p}.Fruit`, 102), [label, fruit]],
  ["a nested extension by number", byExtension(`${p}.Fruit`, 103), [label, fruit]],
  ["an extension of another message from the same file", byExtension(`${p}.Crate`, 100), [label, fruit]],
  ["an extension in a file that no service imports", byExtension(`${p}.Fruit`, 150), [cellar, fruit]],
  ["an extension by the number of another message's", byExtension(`${p}.Fruit`, 100), noExtension],
  ["an extension by the message it is nested in", byExtension(`${p}.Sticker`, 103), noExtension],
  ["an extension by its own name", byExtension(`${p}.origin`, 102), noExtension],
  ["an extension of an unknown message", byExtension(`${p}.Root`, 102), noExtension],
  ["a field that is no extension", byExtension(`${p}.Fruit`, 1), noExtension],

  ["all extension numbers", numbersOf(`${p}.Fruit`), { [`${p}.Fruit`]: [102, 103, 150] }],
  ["those of another message", numbersOf(`${p}.Crate`), { [`${p}.Crate`]: [100] }],
  ["none, of a message that could have some", numbersOf(`${p}.Basket`), { [`${p}.Basket`]: [] }],
  ["none, of a message that extends another", numbersOf(`${p}.Sticker`), { [`${p}.Sticker`]: [] }],
  ["those of an unknown message", numbersOf(`${p}.Root`), noType],

  [
    "nothing at all",
    { case: undefined },
    { code: 12, text: "the request asks nothing that this server knows how to answer" }
  ]
]

/** Several questions on one stream. */
const streams: ReadonlyArray<[string, ReadonlyArray<Question>, ReadonlyArray<unknown>]> = [
  [
    "an import is sent once, a file asked for is always sent",
    [byFile(fruit), byFile(orchard), byFile(fruit), byFile(orchard)],
    [[fruit], [orchard, timestamp, label], [fruit], [orchard]]
  ],
  [
    "imports sent with one file are not sent with the next, however it is asked for",
    [bySymbol(`${p}.origin`), byExtension(`${p}.Fruit`, 150), bySymbol(`${p}.Orchard.Pick`), byFile(label)],
    [[label, fruit], [cellar], [orchard, timestamp], [label]]
  ],
  [
    "the stream goes on after a problem",
    [byFile("no"), bySymbol("no"), { case: undefined }, byExtension("no", 1), numbersOf("no"), byFile(fruit)],
    [
      noFile,
      noSymbol,
      { code: 12, text: "the request asks nothing that this server knows how to answer" },
      noExtension,
      noType,
      [fruit]
    ]
  ],
  ["no question, no answer", [], []]
]

for (const wire of wires) {
  describe(`Reflection ${wire.name}`, () => {
    wire.it("v1 and v1alpha answer every kind of question", () =>
      Effect.gen(function* () {
        const { v1, v1alpha } = yield* explorer(wire)
        for (const [name, messageRequest, expected] of questions) {
          for (const [answer] of [
            yield* Stream.runCollect(v1(Stream.make({ messageRequest }))),
            yield* Stream.runCollect(v1alpha(Stream.make({ messageRequest })))
          ]) {
            assert.deepStrictEqual(gist(answer!.messageResponse), expected, name)
          }
        }
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("each stream has its own memory of what it sent", () =>
      Effect.gen(function* () {
        const { v1, v1alpha } = yield* explorer(wire)
        for (const [name, asked, expected] of streams) {
          const requests = Stream.fromIterable(asked.map((messageRequest) => ({ messageRequest })))
          for (const answers of [yield* Stream.runCollect(v1(requests)), yield* Stream.runCollect(v1alpha(requests))]) {
            assert.deepStrictEqual(
              answers.map(({ messageResponse }) => gist(messageResponse)),
              expected,
              name
            )
          }
        }
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("each answer comes before the next question is asked, with the question and the host", () =>
      Effect.gen(function* () {
        const { v1, v1alpha } = yield* explorer(wire)
        const turns = [byFile(fruit), bySymbol("no"), services, numbersOf(`${p}.Fruit`), byExtension(`${p}.Fruit`, 103)]
        const converse = Effect.fnUntraced(function* (answersTo: (requests: Requests) => Answers) {
          const ask = yield* Queue.unbounded<Request>()
          const hear = yield* Queue.unbounded<Echoed>()
          yield* Effect.forkScoped(
            Stream.runForEach(answersTo(Stream.fromQueue(ask)), (answer) => Queue.offer(hear, answer))
          )
          for (const [i, messageRequest] of turns.entries()) {
            const host = `host-${i}`
            yield* Queue.offer(ask, { host, messageRequest })
            const { originalRequest, validHost } = yield* Queue.take(hear)
            assert.strictEqual(validHost, host)
            assert.strictEqual(originalRequest?.host, host)
            assert.containSubset(originalRequest?.messageRequest, messageRequest)
          }
          assert.deepStrictEqual(yield* Queue.clear(hear), [])
        })
        yield* Effect.scoped(converse(v1))
        yield* Effect.scoped(converse(v1alpha))
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("what it sends is enough to build every descriptor, options included", () =>
      Effect.gen(function* () {
        const { v1 } = yield* explorer(wire)
        const asked = Stream.make(
          { messageRequest: bySymbol(`${p}.Orchard`) },
          { messageRequest: byExtension(`${p}.Fruit`, 150) },
          { messageRequest: bySymbol("trunkline.test.EchoService") }
        )
        const file = (yield* Stream.runCollect(v1(asked))).flatMap(({ messageResponse }) => {
          assert(messageResponse.case === "fileDescriptorResponse")
          return messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
        })
        // A registry wants imports before what imports them.
        const order = [timestamp, fruit, label, orchard, cellar, "echo.proto"]
        file.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name))
        assert.deepStrictEqual(
          file.map(({ name }) => name),
          order
        )
        const registry = createFileRegistry(create(FileDescriptorSetSchema, { file }))
        for (const { proto } of [file_orchard_orchard, file_orchard_fruit, file_orchard_label]) {
          const sent = registry.getFile(proto.name)!.proto
          assert.deepStrictEqual(toBinary(FileDescriptorProtoSchema, sent), toBinary(FileDescriptorProtoSchema, proto))
        }
        const fruitType = registry.getMessage(`${p}.Fruit`)!
        assert.strictEqual(registry.getExtensionFor(fruitType, 103)?.typeName, `${p}.Sticker.sticker`)
        assert.strictEqual(registry.getService("trunkline.test.EchoService")?.method["lookup"]?.idempotency, 1)
      }).pipe(Effect.provide(wire.layer))
    )
  })
}

describe("buf curl, a client of another maker", () => {
  /** Runs buf with server reflection and says what it printed. */
  const buf = (...args: ReadonlyArray<string>) =>
    Effect.callback<{ readonly code: number; readonly printed: string }>((resume) => {
      const command = resolve("node_modules/.bin/buf")
      const child = execFile(
        command,
        ["curl", "--protocol", "grpc", "--http2-prior-knowledge", ...args],
        (error, out, err) =>
          resume(Effect.succeed({ code: Number(error?.code ?? 0), printed: (error === null ? out : err).trim() }))
      )
      return Effect.sync(() => child.kill())
    })

  const health = Effect.map(Health.make({ "demo.Echo": "NOT_SERVING" }), (health) =>
    Handlers.provideContext(Health.handlers, Context.make(Health.Health, health))
  )

  describe.each(["grpc-v1", "grpc-v1alpha"])("%s", (version) => {
    const reflect = ["--reflect", "--reflect-protocol", version]

    it.live(
      "lists the services and methods, and calls them without a proto file",
      () =>
        Effect.gen(function* () {
          const explained = Reflection.handlers([Orchard, EchoService, Health.v1], { files: [file_orchard_cellar] })
          const { address } = yield* GrpcJsServer.make({ handlers: [echoHandlers("a"), yield* health, ...explained] })
          const url = `http://${address}`

          const [listed, methods, echo, expand, check, unknown] = yield* Effect.all(
            [
              buf(...reflect, "--list-services", url),
              buf(...reflect, "--list-methods", url),
              buf(...reflect, "-d", `{"text":"hi"}`, `${url}/trunkline.test.EchoService/Echo`),
              buf(...reflect, "-d", `{"count":2}`, `${url}/trunkline.test.EchoService/Expand`),
              buf(...reflect, "-d", `{"service":"demo.Echo"}`, `${url}/grpc.health.v1.Health/Check`),
              buf(...reflect, "-d", "{}", `${url}/demo.Unknown/Call`)
            ],
            { concurrency: 3 }
          )
          assert.deepStrictEqual(listed.printed.split("\n"), [
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "trunkline.test.EchoService",
            "trunkline.test.orchard.Orchard"
          ])
          assert.include(methods.printed, "trunkline.test.orchard.Orchard/Pick")
          assert.deepStrictEqual(JSON.parse(echo.printed), { text: "hi", server: "a" })
          assert.strictEqual(expand.printed.match(/"server": *"a"/g)?.length, 2)
          assert.deepStrictEqual(JSON.parse(check.printed), { status: "NOT_SERVING" })
          assert.notStrictEqual(unknown.code, 0)
          assert.include(unknown.printed, "demo.Unknown")
        }),
      30_000
    )
  })
})
