/**
 * A method of a server whose proto files nobody has: found by reflection, called with JSON.
 *
 * The server is asked for the file that declares the service, and for every file that this one imports and that did not
 * come with it. Servers that know only `v1alpha` of the protocol are asked in that.
 */
import {
  create,
  createFileRegistry,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  toJson
} from "@bufbuild/protobuf"
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt"
import { Data, Effect, Option, Result, Stream } from "effect"
import type * as Service from "../call/Service.ts"
import * as Client from "../client/Client.ts"
import * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Transport } from "../transport/Transport.ts"
import { ServerReflection as v1, type ServerReflectionResponse } from "./gen/grpc/reflection/v1/reflection_pb.ts"
import { ServerReflection as v1alpha } from "./gen/grpc/reflection/v1alpha/reflection_pb.ts"

/**
 * The server does not know the service or the method, or what it says of it makes no sense. It stands beside `RpcError` in
 * the error channel, one of whose reasons is tagged `NotFound`; its own tag is another.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFound extends Data.TaggedError("MethodNotFound")<{
  /** The service, method or file that was looked for. */
  readonly name: string
  readonly problem: string
}> {
  override get message(): string {
    return `${this.name} ${this.problem}`
  }
}

/**
 * A request that is not a message of the method.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidRequest extends Data.TaggedError("InvalidRequest")<{
  readonly method: string
  readonly problem: string
}> {
  override get message(): string {
    return `the request of ${this.method} is wrong: ${this.problem}`
  }
}

/**
 * A method and how to call it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReflectedMethod {
  /** `/package.Service/Method` */
  readonly path: string
  readonly kind: DescMethod["methodKind"]
  /** Calls with requests in protobuf's JSON; a method that takes one takes the first. */
  readonly call: (
    requests: ReadonlyArray<JsonValue>
  ) => Stream.Stream<JsonValue, RpcError.RpcError | InvalidRequest, Transport>
}

type Question =
  | { readonly case: "fileContainingSymbol"; readonly value: string }
  | { readonly case: "fileByFilename"; readonly value: string }

/** Asks one question; what the server says it could not do is an error like any other. */
const ask = (version: typeof v1, question: Question) =>
  Effect.gen(function* () {
    const { serverReflectionInfo } = yield* Client.make(version)
    const response = yield* Stream.runHead(serverReflectionInfo(Stream.succeed({ messageRequest: question })))
    const answer = Option.map(response, ({ messageResponse }: ServerReflectionResponse) => messageResponse)
    if (Option.isSome(answer) && answer.value.case === "fileDescriptorResponse") {
      return answer.value.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
    }
    const problem = Option.isSome(answer) && answer.value.case === "errorResponse" ? answer.value.value : undefined
    const code = Code.fromNumber(problem?.errorCode ?? 0)
    return yield* RpcError.make(code === "OK" ? "INTERNAL" : code, problem?.errorMessage ?? "no file in the answer")
  })

const notFound = (name: string) =>
  Effect.mapError((error: RpcError.RpcError) =>
    error.code === "NOT_FOUND" ? new NotFound({ name, problem: "is not known to the server" }) : error
  )

/** The files that are imported and not there. */
const missing = (files: ReadonlyMap<string, FileDescriptorProto>): ReadonlyArray<string> => [
  ...new Set([...files.values()].flatMap(({ dependency }) => dependency).filter((name) => !files.has(name)))
]

/** The file that declares a service, and all that it needs. */
const filesOf = Effect.fnUntraced(function* (service: string) {
  // The two versions differ in their names only.
  const older = v1alpha as unknown as typeof v1
  const bySymbol = { case: "fileContainingSymbol", value: service } as const
  const [version, first] = yield* ask(v1, bySymbol).pipe(
    Effect.map((files) => [v1, files] as const),
    Effect.catchReason("RpcError", "Unimplemented", () =>
      Effect.map(ask(older, bySymbol), (files) => [older, files] as const)
    ),
    notFound(service)
  )
  const files = new Map(first.map((file) => [file.name, file]))
  for (let names = missing(files); names.length > 0; names = missing(files)) {
    for (const name of names) {
      for (const file of yield* ask(version, { case: "fileByFilename", value: name }).pipe(notFound(name))) {
        files.set(file.name, file)
      }
      // Whatever the answer was called, this import is not asked for again.
      if (!files.has(name)) return yield* new NotFound({ name, problem: "was answered with another file" })
    }
  }
  return files
})

/** Files, each after those that it imports. */
const sorted = (files: ReadonlyMap<string, FileDescriptorProto>): Array<FileDescriptorProto> => {
  const done = new Set<FileDescriptorProto>()
  const visit = (name: string, importers: ReadonlyArray<string>): void => {
    const file = files.get(name)
    // Files that import each other have no order; the registry refuses them.
    if (file === undefined || done.has(file) || importers.includes(name)) return
    for (const imported of file.dependency) visit(imported, [...importers, name])
    done.add(file)
  }
  for (const name of files.keys()) visit(name, [])
  return [...done]
}

const registryOf = (service: string, files: ReadonlyMap<string, FileDescriptorProto>) =>
  Effect.try({
    try: () => createFileRegistry(create(FileDescriptorSetSchema, { file: sorted(files) })),
    catch: () => new NotFound({ name: service, problem: "is in files that do not fit together" })
  })

type AnyMethod = (request: unknown) => unknown

const caller = (method: DescMethod, registry: FileRegistry): ReflectedMethod["call"] => {
  const path = `${method.parent.typeName}/${method.name}`
  const read = (json: JsonValue): Result.Result<Message, InvalidRequest> =>
    Result.try({
      try: () => fromJson(method.input, json, { registry }),
      catch: (cause) =>
        new InvalidRequest({ method: path, problem: cause instanceof Error ? cause.message : "no JSON" })
    })
  const write = (message: Message) => toJson(method.output, message, { registry })

  return (requests) =>
    Stream.unwrap(
      Effect.gen(function* () {
        const messages = yield* Effect.fromResult(Result.all(requests.map(read)))
        const client = yield* Client.make(method.parent as unknown as Service.Input)
        const call = (client as Readonly<Record<string, AnyMethod>>)[method.localName]!
        const takesMany = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming"
        const answers = call(takesMany ? Stream.fromIterable(messages) : (messages[0] ?? create(method.input)))
        const stream = Stream.isStream(answers) ? answers : Stream.fromEffect(answers as Effect.Effect<unknown>)
        return Stream.map(stream as Stream.Stream<Message, RpcError.RpcError>, write)
      })
    )
}

/**
 * Finds a method by its service's full name and its own.
 *
 * @example
 * import { Effect, Stream } from "effect"
 * import { ReflectedMethod } from "trunkline"
 *
 * const health = Effect.gen(function*() {
 *   const check = yield* ReflectedMethod.find("grpc.health.v1.Health", "Check")
 *   return yield* Stream.runCollect(check.call([{ service: "" }]))
 * })
 *
 * @category constructors
 * @since 0.1.0
 */
export const find = Effect.fnUntraced(function* (
  service: string,
  method: string
): Effect.fn.Return<ReflectedMethod, RpcError.RpcError | NotFound, Transport> {
  const registry = yield* registryOf(service, yield* filesOf(service))
  const desc = registry.getService(service)
  if (desc === undefined) return yield* new NotFound({ name: service, problem: "is not a service" })
  const found = desc.methods.find(({ name }) => name === method)
  if (found === undefined) {
    const names = desc.methods.map(({ name }) => name).join(", ")
    return yield* new NotFound({ name: `${service}/${method}`, problem: `is not a method; there is ${names}` })
  }
  return { path: `/${service}/${method}`, kind: found.methodKind, call: caller(found, registry) }
})
