/**
 * A service: its name and its methods, whatever they were described with.
 *
 * Four descriptions are understood: protoc-gen-es services (`GenService`), grpc-js service definitions (grpc-tools,
 * ts-proto, proto-loader), generic definitions (ts-proto, nice-grpc), and methods written with `Schema` in the program,
 * whose messages travel as JSON. Each becomes the same `Service`, so nothing above this module knows which one the user had.
 *
 * The types that proto-loader makes do not say which methods stream; `withKinds` does.
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary
} from "@bufbuild/protobuf"
import type { GenService, GenServiceMethods } from "@bufbuild/protobuf/codegenv2"
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt"
import { Predicate, Result, Schema } from "effect"
import * as DeclaredError from "./DeclaredError.ts"
import {
  type Definition,
  type DefinitionMethod,
  DescriptionError,
  fromUnknown,
  type GenericDefinition,
  type GenericMethod,
  type WithDefinition
} from "./Definition.ts"
import type * as Method from "./Method.ts"

const TypeId = "~trunkline/call/Service"

/**
 * A method that says its kind in its type.
 *
 * @category models
 * @since 0.1.0
 */
export type MethodOf<I, O, SI, SO, K extends Method.Kind, E = never> = Method.Method<I, O, SI, SO, E> & {
  readonly kind: K
}

/**
 * Methods by the name they are called with in a program.
 *
 * @category models
 * @since 0.1.0
 */
export type Methods = Readonly<Record<string, Method.Any>>

/**
 * A service, ready to be called or served.
 *
 * @category models
 * @since 0.1.0
 */
export interface Service<out M extends Methods = Methods> {
  readonly [TypeId]: typeof TypeId
  /** `package.Service` */
  readonly typeName: string
  readonly methods: M
}

export type {
  Definition,
  DefinitionMethod,
  GenericDefinition,
  GenericMessage,
  GenericMethod,
  WithDefinition
} from "./Definition.ts"
export { DescriptionError } from "./Definition.ts"

/**
 * Everything a service can be described with.
 *
 * @category models
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- inferred anew by `From`
export type Input = Service<any> | GenService<any> | GenericDefinition | Definition | WithDefinition

/** A flag whose type does not say what it is stands for one message. */
type Streams<Flag> = boolean extends Flag ? false : Flag

type KindOf<RequestStream, ResponseStream> =
  Streams<RequestStream> extends true
    ? Streams<ResponseStream> extends true
      ? "bidi_streaming"
      : "client_streaming"
    : Streams<ResponseStream> extends true
      ? "server_streaming"
      : "unary"

/** Names that are known, without what an index signature allows. */
type Known<K> = string extends K ? never : number extends K ? never : K & string

type FromGenMethod<M> = M extends {
  readonly input: infer I extends DescMessage
  readonly output: infer O extends DescMessage
  readonly methodKind: infer K extends Method.Kind
}
  ? MethodOf<MessageInitShape<I>, MessageShape<O>, MessageShape<I>, MessageInitShape<O>, K>
  : never

interface Flags<RequestStream, ResponseStream> {
  readonly requestStream: RequestStream
  readonly responseStream: ResponseStream
}

type FromDefinitionMethod<M> = M extends DefinitionMethod<infer I, infer O, infer SI, infer SO> &
  Flags<infer RequestStream, infer ResponseStream>
  ? MethodOf<I, O, SI, SO, KindOf<RequestStream, ResponseStream>>
  : never

type FromGenericMethod<M> = M extends GenericMethod<infer I, infer O> & Flags<infer RequestStream, infer ResponseStream>
  ? MethodOf<I, O, I, O, KindOf<RequestStream, ResponseStream>>
  : never

type FromDefinition<D> = Service<{ readonly [K in keyof D as Known<K>]: FromDefinitionMethod<D[K]> }>

/**
 * The `Service` a description becomes.
 *
 * @category models
 * @since 0.1.0
 */
export type From<S> = S extends Service
  ? S
  : S extends GenService<infer Shape>
    ? Service<{ readonly [K in keyof Shape & string]: FromGenMethod<Shape[K]> }>
    : S extends GenericDefinition
      ? Service<{ readonly [K in keyof S["methods"] as Known<K>]: FromGenericMethod<S["methods"][K]> }>
      : S extends WithDefinition<infer D>
        ? FromDefinition<D>
        : S extends Definition
          ? FromDefinition<S>
          : never

const fromMethods = <M extends Methods>(typeName: string, methods: M): Service<M> => ({
  [TypeId]: TypeId,
  typeName,
  methods
})

/**
 * Whether a value is a `Service` already.
 *
 * @category guards
 * @since 0.1.0
 */
export const isService = (u: unknown): u is Service => Predicate.hasProperty(u, TypeId)

const isGenService = (u: unknown): u is GenService<GenServiceMethods> =>
  Predicate.hasProperty(u, "kind") && u.kind === "service"

const messageCodec = <D extends DescMessage>(desc: D): Method.Codec<MessageInitShape<D>, MessageShape<D>> => ({
  // `create` returns a message of this type untouched, so only partial messages are copied.
  encode: (message) => toBinary(desc, create(desc, message)),
  decode: (bytes) => fromBinary(desc, bytes)
})

const idempotency = (desc: DescMethod): Method.Idempotency =>
  desc.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
    ? "no_side_effects"
    : desc.idempotency === MethodOptions_IdempotencyLevel.IDEMPOTENT
      ? "idempotent"
      : "unknown"

const fromGen = (desc: GenService<GenServiceMethods>): Service =>
  fromMethods(
    desc.typeName,
    Object.fromEntries(
      desc.methods.map((method: DescMethod) => [
        method.localName,
        {
          path: `/${desc.typeName}/${method.name}`,
          service: desc.typeName,
          name: method.name,
          kind: method.methodKind,
          idempotency: idempotency(method),
          request: messageCodec(method.input),
          response: messageCodec(method.output),
          errors: []
        }
      ])
    )
  )

/**
 * Reads a description of any supported form, and throws a `DescriptionError` for any other. The result is computed once per
 * description.
 *
 * @category constructors
 * @since 0.1.0
 */
export const from = <S extends Input>(input: S): From<S> => {
  if (isService(input)) return input as From<S>
  let service = Predicate.isObjectKeyword(input) ? cache.get(input) : undefined
  if (service === undefined) {
    service = isGenService(input) ? fromGen(input) : fromOther(input)
    cache.set(input, service)
  }
  return service as From<S>
}

const fromOther = (input: Input): Service => {
  const { methods, typeName } = Result.getOrThrow(fromUnknown(input))
  return fromMethods(typeName, methods)
}

const cache = new WeakMap<Input, Service>()

// ---------------------------------------------------------------------------------------------------------------------
// Kinds
// ---------------------------------------------------------------------------------------------------------------------

type Kinds<S extends Input> = { readonly [K in keyof From<S>["methods"]]?: Method.Kind }

type WithKind<M, K> =
  M extends Method.Method<infer I, infer O, infer SI, infer SO, infer E>
    ? MethodOf<I, O, SI, SO, K extends Method.Kind ? K : "unary", E>
    : never

/**
 * The service with the kinds of its methods in their types, for descriptions whose types do not have them: those of
 * proto-loader call every flag a `boolean`. Methods that are not named are unary. Throws a `DescriptionError` where the
 * description itself says otherwise.
 *
 * @example
 * import { Service } from "trunkline"
 *
 * // As proto-loader makes it at run time, and types it.
 * const definition = {
 *   Watch: {
 *     path: "/demo.Greeter/Watch",
 *     requestStream: false as boolean,
 *     responseStream: true as boolean,
 *     requestSerialize: (text: string) => Buffer.from(text),
 *     requestDeserialize: String,
 *     responseSerialize: (text: string) => Buffer.from(text),
 *     responseDeserialize: String
 *   }
 * }
 * const Greeter = Service.withKinds(definition, { Watch: "server_streaming" })
 * Object.keys(Greeter.methods) // => ["Watch"]
 *
 * @category combinators
 * @since 0.1.0
 */
export const withKinds = <S extends Input, const K extends Kinds<S>>(
  description: S,
  kinds: K & { readonly [Name in Exclude<keyof K, keyof From<S>["methods"]>]: never }
): Service<{
  readonly [Name in keyof From<S>["methods"] & string]: WithKind<
    From<S>["methods"][Name],
    Name extends keyof K ? K[Name] : "unary"
  >
}> => {
  const service: Service = from(description)
  const said = new Map(Object.entries<Method.Kind | undefined>(kinds))
  for (const [name, { kind }] of Object.entries(service.methods)) {
    const expected = said.get(name) ?? "unary"
    if (kind !== expected) throw new DescriptionError({ problem: `the method ${name} is ${kind} and not ${expected}` })
  }
  return service as never
}

// ---------------------------------------------------------------------------------------------------------------------
// Declared errors
// ---------------------------------------------------------------------------------------------------------------------

type Declarations = ReadonlyArray<DeclaredError.Declaration>

const declared = <D extends Declarations>(
  declarations: D | undefined
): ReadonlyArray<DeclaredError.DeclaredError<DeclaredError.ErrorOf<D[number]>>> =>
  (declarations ?? []).map(DeclaredError.from) as never

/**
 * The errors that methods of a service declare, by method.
 *
 * @category models
 * @since 0.1.0
 */
export type Errors<S extends Input> = { readonly [K in keyof From<S>["methods"]]?: Declarations }

type WithErrors<M, D extends Declarations> = M extends Method.Method<infer I, infer O, infer SI, infer SO, infer E> & {
  readonly kind: infer K extends Method.Kind
}
  ? MethodOf<I, O, SI, SO, K, E | DeclaredError.ErrorOf<D[number]>>
  : never

/**
 * The service whose methods also declare these errors, for services that a proto file describes. Client and server must
 * both be made of it.
 *
 * @example
 * import { Schema } from "effect"
 * import { Health, Service } from "trunkline"
 *
 * class Asleep extends Schema.TaggedError<Asleep>()("Asleep", { until: Schema.Date }) {}
 *
 * const HealthService = Service.withErrors(Health.v1, { check: [Asleep] })
 * HealthService.methods.check.errors.length // => 1
 *
 * @category combinators
 * @since 0.1.0
 */
export const withErrors = <S extends Input, const D extends Errors<S>>(
  description: S,
  errors: D & { readonly [K in Exclude<keyof D, keyof From<S>["methods"]>]: never }
): Service<{
  readonly [K in keyof From<S>["methods"] & string]: WithErrors<
    From<S>["methods"][K],
    K extends keyof D ? NonNullable<D[K]> : readonly []
  >
}> => {
  const { methods, typeName }: Service = from(description)
  const more = new Map(Object.entries<Declarations | undefined>(errors))
  return fromMethods(
    typeName,
    Object.fromEntries(
      Object.entries(methods).map(([name, method]) => [
        name,
        { ...method, errors: [...method.errors, ...declared(more.get(name))] }
      ])
    )
  ) as never
}

// ---------------------------------------------------------------------------------------------------------------------
// Schema first
// ---------------------------------------------------------------------------------------------------------------------

type JsonSchema<A> = Schema.ConstraintCodec<A, unknown>

interface SchemaMethod<I, O, K extends Method.Kind, E> {
  readonly kind: K
  readonly request: JsonSchema<I>
  readonly response: JsonSchema<O>
  readonly idempotency: Method.Idempotency
  readonly errors: ReadonlyArray<DeclaredError.DeclaredError<E>>
}

const schemaMethod =
  <K extends Method.Kind>(kind: K) =>
  <I, O, const D extends Declarations = readonly []>(
    request: JsonSchema<I>,
    response: JsonSchema<O>,
    options?: {
      readonly idempotency?: Method.Idempotency | undefined
      /** What a handler may fail with besides an `RpcError`. */
      readonly errors?: D | undefined
    }
  ): SchemaMethod<I, O, K, DeclaredError.ErrorOf<D[number]>> => ({
    kind,
    request,
    response,
    idempotency: options?.idempotency ?? "unknown",
    errors: declared(options?.errors)
  })

/** One request, one response. @category schema first @since 0.1.0 */
export const unary = schemaMethod("unary")
/** One request, many responses. @category schema first @since 0.1.0 */
export const serverStreaming = schemaMethod("server_streaming")
/** Many requests, one response. @category schema first @since 0.1.0 */
export const clientStreaming = schemaMethod("client_streaming")
/** Many requests, many responses. @category schema first @since 0.1.0 */
export const bidiStreaming = schemaMethod("bidi_streaming")

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder("utf-8", { fatal: true })

const jsonCodec = <A>(schema: JsonSchema<A>): Method.Codec<A, A> => {
  const json = Schema.fromJsonString(Schema.toCodecJson(schema))
  const encode = Schema.encodeSync(json)
  const decode = Schema.decodeSync(json)
  return {
    subtype: "json",
    encode: (message) => utf8Encoder.encode(encode(message)),
    decode: (bytes) => decode(utf8Decoder.decode(bytes)) as A
  }
}

/**
 * Describes a service in the program, without a proto file. Messages travel as JSON; a method `sayHello` is
 * `/package.Service/SayHello` on the wire.
 *
 * @example
 * import { Schema } from "effect"
 * import { Service } from "trunkline"
 *
 * const Clock = Service.make("demo.Clock", {
 *   now: Service.unary(Schema.Struct({ zone: Schema.String }), Schema.Struct({ millis: Schema.Number }))
 * })
 * Clock.methods.now.path // => "/demo.Clock/Now"
 *
 * @category schema first
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-explicit-any -- messages are inferred from each method's schemas
export const make = <M extends Readonly<Record<string, SchemaMethod<any, any, Method.Kind, any>>>>(
  typeName: string,
  methods: M
): Service<{
  readonly [K in keyof M & string]: M[K] extends SchemaMethod<infer I, infer O, infer Kind, infer E>
    ? MethodOf<I, O, I, O, Kind, E>
    : never
}> =>
  fromMethods(
    typeName,
    Object.fromEntries(
      Object.entries(methods).map(([localName, method]) => {
        const name = localName.charAt(0).toUpperCase() + localName.slice(1)
        return [
          localName,
          {
            path: `/${typeName}/${name}`,
            service: typeName,
            name,
            kind: method.kind,
            idempotency: method.idempotency,
            request: jsonCodec(method.request),
            response: jsonCodec(method.response),
            errors: method.errors
          }
        ]
      })
    )
  ) as never
