/**
 * A server that explains itself: the standard reflection service, `grpc.reflection.v1` and its first version `v1alpha`.
 *
 * With it a client that has no proto file, such as a command line tool, finds the services of a server and the files
 * that describe them. The two versions are one protocol under two names; old clients only know the first.
 *
 * The answers are those of grpc-go: anything with a full name is a symbol, a type without extensions has an empty list
 * of them, and what is not found is an error within the stream, which goes on.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
 */
import { type DescFile, type DescService, toBinary } from "@bufbuild/protobuf"
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt"
import { Stream } from "effect"
import * as Handlers from "../server/Handlers.ts"
import * as Code from "../status/Code.ts"
import type * as RpcError from "../status/RpcError.ts"
import * as DescriptorIndex from "./DescriptorIndex.ts"
import { ServerReflection as v1, type ServerReflectionRequest } from "./gen/grpc/reflection/v1/reflection_pb.ts"
import {
  ServerReflection as v1alpha,
  type ServerReflectionRequest as ServerReflectionRequestAlpha
} from "./gen/grpc/reflection/v1alpha/reflection_pb.ts"

/**
 * The service `grpc.reflection.v1.ServerReflection`, for clients of it.
 *
 * @category descriptions
 * @since 0.1.0
 */
export { ServerReflection as v1 } from "./gen/grpc/reflection/v1/reflection_pb.ts"

/**
 * The service `grpc.reflection.v1alpha.ServerReflection`, for clients of it.
 *
 * @category descriptions
 * @since 0.1.0
 */
export { ServerReflection as v1alpha } from "./gen/grpc/reflection/v1alpha/reflection_pb.ts"

/**
 * What else reflection should know of.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Files that no service imports, such as those of extensions. What they import comes with them. */
  readonly files?: ReadonlyArray<DescFile> | undefined
}

type Request = ServerReflectionRequest | ServerReflectionRequestAlpha

/** What a client has been sent on one stream: the names of the files. */
type Sent = Set<string>

const problem = (code: Code.Code, errorMessage: string) =>
  ({ case: "errorResponse", value: { errorCode: Code.toNumber(code), errorMessage } }) as const

/**
 * A file and those it imports. An import the client has is left out, and with it its own imports, which came with it; a
 * file asked for by itself is always sent.
 */
const closure = (file: DescFile, sent: Sent): ReadonlyArray<DescFile> => {
  const files = [file]
  sent.add(file.proto.name)
  for (const { dependencies } of files) {
    for (const dependency of dependencies) {
      const { name } = dependency.proto
      if (sent.has(name)) continue
      sent.add(name)
      files.push(dependency)
    }
  }
  return files
}

/** Answers one request. What was asked is not repeated in a problem's text: it comes back with the answer. */
const answer = (index: DescriptorIndex.DescriptorIndex, services: ReadonlyArray<string>) => {
  const found = (file: DescFile | undefined, sent: Sent, missing: string) =>
    file === undefined
      ? problem("NOT_FOUND", missing)
      : ({
          case: "fileDescriptorResponse",
          value: {
            fileDescriptorProto: closure(file, sent).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto))
          }
        } as const)

  return ({ messageRequest: question }: Request, sent: Sent) => {
    switch (question.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: services.map((name) => ({ name })) } } as const
      case "fileByFilename":
        return found(index.file(question.value), sent, "no file of that name")
      case "fileContainingSymbol":
        return found(index.declaring(question.value), sent, "no file declares that symbol")
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value
        return found(index.extending(containingType, extensionNumber), sent, "no file declares that extension")
      }
      case "allExtensionNumbersOfType": {
        const { value: baseTypeName } = question
        if (index.declaring(baseTypeName) === undefined) return problem("NOT_FOUND", "no type of that name")
        const extensionNumber = [...index.extensionNumbers(baseTypeName)]
        return { case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } } as const
      }
      case undefined:
        return problem("UNIMPLEMENTED", "the request asks nothing that this server knows how to answer")
    }
  }
}

/**
 * Handlers of both versions, which explain the given services, reflection itself, and every type they use. Whoever can
 * reach the server can read all of it.
 *
 * @example
 * import { Health, Reflection } from "trunkline"
 * import { GrpcJsServer } from "trunkline/grpc-js"
 *
 * const HealthServer = GrpcJsServer.layer({
 *   handlers: [Health.handlers, ...Reflection.handlers([Health.v1])]
 * })
 *
 * @category handlers
 * @since 0.1.0
 */
export const handlers = (services: ReadonlyArray<DescService>, options?: Options): ReadonlyArray<Handlers.Handlers> => {
  const explained = [...services, v1, v1alpha]
  const index = DescriptorIndex.make([...explained.map((service) => service.file), ...(options?.files ?? [])])
  const names = [...new Set(explained.map((service) => service.typeName))].sort()
  const answerTo = answer(index, names)

  const serverReflectionInfo = <R extends Request>(requests: Stream.Stream<R, RpcError.RpcError>) =>
    Stream.suspend(() => {
      const sent: Sent = new Set()
      return Stream.map(requests, (request) => ({
        validHost: request.host,
        originalRequest: request,
        messageResponse: answerTo(request, sent)
      }))
    })
  return [Handlers.make(v1, { serverReflectionInfo }), Handlers.make(v1alpha, { serverReflectionInfo })]
}
