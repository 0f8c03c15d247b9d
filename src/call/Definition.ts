/**
 * Services as other generators describe them: the shapes of their objects, and how these are read.
 *
 * Nothing of the generators is imported. A description is an object with names, stream flags and functions that make bytes,
 * and only that shape matters. What has another shape is refused with the name of the method and of what is missing, because
 * whoever gets that error has imported the wrong thing.
 */
import { Data, Predicate, Result } from "effect"
import type * as Method from "./Method.ts"

/**
 * One entry of a grpc-js service definition. Only its shape matters; no grpc-js type is needed to describe it. A client
 * sends `I` and receives `O`; a handler receives `SI` and answers `SO`. proto-loader's types tell these apart.
 *
 * @category models
 * @since 0.1.0
 */
export interface DefinitionMethod<in I, out O, out SI = I, in SO = O> {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  // Methods, not properties: grpc-js asks for a Buffer where our caller has any bytes.
  requestSerialize(message: I): Uint8Array
  requestDeserialize(bytes: Uint8Array): SI
  responseSerialize(message: SO): Uint8Array
  responseDeserialize(bytes: Uint8Array): O
}

/**
 * A grpc-js service definition, as grpc-tools, ts-proto and proto-loader generate it.
 *
 * @category models
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- the messages of a definition are invariant in its methods
export type Definition = Readonly<Record<string, DefinitionMethod<any, any, any, any>>>

/**
 * A client class of grpc-js, as `loadPackageDefinition` makes it, which carries its definition.
 *
 * @category models
 * @since 0.1.0
 */
export interface WithDefinition<out D extends Definition = Definition> {
  readonly service: D
}

/**
 * A message type of a generic definition, as ts-proto generates it.
 *
 * @category models
 * @since 0.1.0
 */
export interface GenericMessage<A> {
  // Methods, not properties: their other parameters are the generator's own.
  encode(message: A): { finish(): Uint8Array }
  decode(bytes: Uint8Array): A
}

/**
 * One method of a generic definition.
 *
 * @category models
 * @since 0.1.0
 */
export interface GenericMethod<I, O> {
  /** As the proto file spells it. */
  readonly name: string
  readonly requestType: GenericMessage<I>
  readonly requestStream: boolean
  readonly responseType: GenericMessage<O>
  readonly responseStream: boolean
  readonly options?: object | undefined
}

/**
 * A generic definition: what ts-proto makes with `outputServices=generic-definitions`, and nice-grpc takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface GenericDefinition {
  /** `package.Service` */
  readonly fullName: string
  // oxlint-disable-next-line typescript/no-explicit-any -- the messages of a definition are invariant in its methods
  readonly methods: Readonly<Record<string, GenericMethod<any, any>>>
}

const understood = [
  "a service of protoc-gen-es (GenService)",
  "a grpc-js service definition (grpc-tools, proto-loader, ts-proto with outputServices=grpc-js)",
  "a generic definition (ts-proto with outputServices=generic-definitions, nice-grpc)",
  "a service made by Service.make"
]

/**
 * What was given describes no service, or another one than the program takes it for. Thrown, because descriptions are part
 * of a program.
 *
 * @category errors
 * @since 0.1.0
 */
export class DescriptionError extends Data.TaggedError("DescriptionError")<{
  readonly problem: string
}> {
  override get message(): string {
    return `the description of a service is wrong: ${this.problem}`
  }
}

/** What a description says: the name of the service, and its methods by the name they are called with. */
export interface Described {
  readonly typeName: string
  readonly methods: Readonly<Record<string, Method.Any>>
}

type Read<A> = Result.Result<A, DescriptionError>

const refused = (problem: string): Result.Result<never, DescriptionError> =>
  Result.fail(new DescriptionError({ problem: `${problem}; understood are ${understood.join(", ")}` }))

/** What stream flags say. */
export const kindOf = (requestStream: boolean, responseStream: boolean): Method.Kind =>
  requestStream
    ? responseStream
      ? "bidi_streaming"
      : "client_streaming"
    : responseStream
      ? "server_streaming"
      : "unary"

/** protobuf's `idempotency_level`, by the name or the number generators give it. */
const levels = new Map<unknown, Method.Idempotency>([
  ["NO_SIDE_EFFECTS", "no_side_effects"],
  [1, "no_side_effects"],
  ["IDEMPOTENT", "idempotent"],
  [2, "idempotent"]
])

/** proto-loader writes the option as the proto file does, ts-proto in camel case. */
const idempotencyOf = (options: unknown): Method.Idempotency => {
  const fields = (options ?? {}) as Readonly<Record<string, unknown>>
  return levels.get(fields["idempotencyLevel"] ?? fields["idempotency_level"]) ?? "unknown"
}

/** The first of these that is not a function of the object. */
const missing = (object: object, names: ReadonlyArray<string>): string | undefined =>
  names.find((name) => !Predicate.isFunction((object as Readonly<Record<string, unknown>>)[name]))

const codecs = ["requestSerialize", "requestDeserialize", "responseSerialize", "responseDeserialize"]

/** `/package.Service/Method` */
const paths = /^\/([^/]+)\/([^/]+)$/

const definitionMethod = (localName: string, given: unknown): Read<Method.Any> => {
  if (!Predicate.isObject(given)) return refused(`${localName} is no method`)
  const method = given as unknown as DefinitionMethod<never, unknown, unknown, never> & { readonly options?: unknown }
  const [, service, name] = paths.exec(String(method.path)) ?? []
  if (service === undefined || name === undefined) return refused(`the method ${localName} has no path /service/method`)
  const absent = missing(method, codecs)
  if (absent !== undefined) return refused(`the method ${localName} has no function ${absent}`)
  return Result.succeed({
    path: method.path,
    service,
    name,
    kind: kindOf(method.requestStream, method.responseStream),
    idempotency: idempotencyOf(method.options),
    request: {
      encode: (message) => method.requestSerialize(message),
      decode: (bytes) => method.requestDeserialize(bytes)
    },
    response: {
      encode: (message) => method.responseSerialize(message),
      decode: (bytes) => method.responseDeserialize(bytes)
    },
    errors: []
  })
}

const genericCodec = (type: GenericMessage<never>): Method.Codec<never, unknown> => ({
  encode: (message) => type.encode(message).finish(),
  decode: (bytes) => type.decode(bytes)
})

const genericMethod = (service: string, localName: string, given: unknown): Read<Method.Any> => {
  if (!Predicate.isObject(given)) return refused(`${localName} is no method`)
  const method = given as unknown as GenericMethod<never, never>
  if (!Predicate.isString(method.name)) return refused(`the method ${localName} has no name`)
  for (const side of ["requestType", "responseType"] as const) {
    const absent = Predicate.isObject(method[side]) ? missing(method[side], ["encode", "decode"]) : "encode"
    if (absent !== undefined) return refused(`the ${side} of the method ${localName} has no function ${absent}`)
  }
  return Result.succeed({
    path: `/${service}/${method.name}`,
    service,
    name: method.name,
    kind: kindOf(method.requestStream, method.responseStream),
    idempotency: idempotencyOf(method.options),
    request: genericCodec(method.requestType),
    response: genericCodec(method.responseType),
    errors: []
  })
}

const read = (
  typeName: string | undefined,
  methods: object,
  each: (localName: string, method: unknown) => Read<Method.Any>
): Read<Described> => {
  const all = Object.entries<unknown>(methods as Readonly<Record<string, unknown>>).map(([localName, method]) =>
    Result.map(each(localName, method), (read) => [localName, read] as const)
  )
  return Result.flatMap(Result.all(all), (entries) => {
    const name = typeName ?? entries[0]?.[1].service
    return name === undefined
      ? refused("it has no methods, and nothing else says its name")
      : Result.succeed({ typeName: name, methods: Object.fromEntries(entries) })
  })
}

const isGeneric = (u: object): u is GenericDefinition =>
  Predicate.hasProperty(u, "fullName") && Predicate.isString(u.fullName) && Predicate.hasProperty(u, "methods")

/** What the wrong thing is, where it is one that people have at hand. */
const guess = (u: object): string | undefined =>
  Predicate.hasProperty(u, "typeName") && Predicate.hasProperty(u, "methods") && Array.isArray(u.methods)
    ? "it is a ServiceType of protobuf-ts, which has no types for its methods"
    : undefined

/** The definition that a client class of grpc-js carries; a definition itself may have a method called `service`. */
const carried = (u: object): object | undefined =>
  Predicate.hasProperty(u, "service") && Predicate.isObject(u.service) && !("path" in u.service) ? u.service : undefined

/** Reads a description that is neither protoc-gen-es's nor our own. */
export const fromUnknown = (u: unknown): Read<Described> => {
  if (u === undefined) return refused("it is undefined, as is what a module does not export")
  if (!Predicate.isObjectKeyword(u)) return refused(`it is a ${u === null ? "null" : typeof u}`)
  const definition = carried(u)
  if (definition !== undefined) return read(undefined, definition, definitionMethod)
  if (Predicate.isFunction(u)) return refused("it is a function")
  const problem = guess(u)
  if (problem !== undefined) return refused(problem)
  return isGeneric(u)
    ? read(u.fullName, u.methods, (localName, method) => genericMethod(u.fullName, localName, method))
    : read(undefined, u, definitionMethod)
}
