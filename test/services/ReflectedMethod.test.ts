import { type DescFile, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Balancer, Handlers, ReflectedMethod, Reflection, RoundRobin, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { file_orchard_orchard, Orchard } from "../gen/orchard/orchard_pb.ts"

/** A transport to a server with these handlers. */
const served = (handlers: ReadonlyArray<Handlers.Handlers>) =>
  Balancer.layer({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make(), eager: true }).pipe(
    Layer.orDie,
    Layer.tap(() => Effect.yieldNow),
    Layer.provideMerge(
      Layer.effectDiscard(
        Effect.flatMap(TestNetwork.TestNetwork, (network) => Effect.orDie(network.serve("a:1", { handlers })))
      )
    ),
    Layer.provideMerge(TestNetwork.layer)
  )

/** A file and all that it imports. */
const closure = (file: DescFile): ReadonlyArray<DescFile> => [file, ...file.dependencies.flatMap(closure)]

/** A server that gives each file alone, as some do, and notes what it was asked for. */
const frugal = (asked: Array<string>, files: ReadonlyArray<DescFile>, version: typeof Reflection.v1) =>
  Handlers.make(version, {
    serverReflectionInfo: (requests) =>
      Stream.map(requests, ({ messageRequest: question }) => {
        asked.push(String(question.value))
        const { value } = question
        const file = files.find(({ proto, services }) =>
          question.case === "fileByFilename"
            ? proto.name === value
            : services.some(({ typeName }) => typeName === value)
        )
        return {
          messageResponse:
            file === undefined
              ? ({ case: "errorResponse", value: { errorCode: 5, errorMessage: "no" } } as const)
              : ({
                  case: "fileDescriptorResponse",
                  value: { fileDescriptorProto: [toBinary(FileDescriptorProtoSchema, file.proto)] }
                } as const)
        }
      })
  })

const older = Reflection.v1alpha as unknown as typeof Reflection.v1

describe("a method found by reflection", () => {
  it.effect("is called with JSON", () =>
    Effect.gen(function* () {
      const { call, kind, path } = yield* ReflectedMethod.find(EchoService.typeName, "Lookup")
      assert.deepStrictEqual([kind, path], ["unary", `/${EchoService.typeName}/Lookup`])
      assert.deepStrictEqual(yield* Stream.runCollect(call([{ text: "hi" }])), [{ text: "hi", server: "a" }])
      assert.deepStrictEqual(yield* Stream.runCollect(call([])), [{ server: "a" }])
      const error = yield* Effect.flip(Stream.runCollect(call([{ colour: 1 }])))
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.match(error.message, /EchoService\/Lookup is wrong: .*"colour"/)
    }).pipe(Effect.provide(served([echoHandlers("a"), ...Reflection.handlers([EchoService])])))
  )

  it.effect("is put together from files that come one by one, each asked for once, in the older protocol too", () => {
    const asked: Array<string> = []
    return Effect.gen(function* () {
      const first = Orchard.methods[0]!
      const { path } = yield* ReflectedMethod.find(Orchard.typeName, first.name)
      assert.strictEqual(path, `/${Orchard.typeName}/${first.name}`)
      assert.strictEqual(asked[0], Orchard.typeName)
      const imported = new Set(
        closure(file_orchard_orchard)
          .slice(1)
          .map(({ proto }) => proto.name)
      )
      assert.deepStrictEqual(asked.slice(1).sort(), [...imported].sort())
      assert.isNotEmpty(asked.slice(1))
    }).pipe(Effect.provide(served([frugal(asked, closure(file_orchard_orchard), older)])))
  })

  it.effect("is not found when a file that it needs is not", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ReflectedMethod.find(Orchard.typeName, Orchard.methods[0]!.name))
      assert.match(error.message, /\.proto was answered with another file$/)
    }).pipe(
      Effect.provide(
        served([
          Handlers.make(Reflection.v1, {
            serverReflectionInfo: (requests) =>
              Stream.map(requests, () => ({
                messageResponse: {
                  case: "fileDescriptorResponse",
                  value: { fileDescriptorProto: [toBinary(FileDescriptorProtoSchema, file_orchard_orchard.proto)] }
                }
              }))
          })
        ])
      )
    )
  )

  it.effect.each<[name: string, method: string, problem: string]>([
    ["a.B", "C", "a.B is not known to the server"],
    [EchoService.typeName, "Fly", `${EchoService.typeName}/Fly is not a method; there is Echo,`]
  ])("says what it did not find: %s/%s", ([name, method, problem]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ReflectedMethod.find(name, method))
      assert.strictEqual(error._tag, "MethodNotFound")
      assert.include(error.message, problem)
    }).pipe(Effect.provide(served([echoHandlers("a"), ...Reflection.handlers([EchoService])])))
  )
})
