/**
 * A metadata key that knows what its values are.
 *
 * Metadata carries text or bytes; programs mean a tenant, a user, a trace. A key is made once, next to the program's other
 * definitions, and says how a value is written and read. The protocol's rules hold there: a name the protocol does not
 * allow throws when the key is made, and so does a text key whose name ends in `-bin`. Reading never throws: a value that
 * another process wrote may be absent or may not decode, and then the error names the key and never the value.
 *
 * Several values of a text key may arrive joined into one by commas, which HTTP allows and Node does. `bytes`, `message`,
 * `json` and `token` keys tell such values apart; a `text` key cannot, because its values may have commas of their own.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary
} from "@bufbuild/protobuf"
import { Predicate, Result, Schema } from "effect"
import * as Metadata from "./Metadata.ts"

/**
 * A key whose values are written as `A` and read as `B`. The functions of `Metadata` take it.
 *
 * @category models
 * @since 0.1.0
 */
export type MetadataKey<A, B = A> = Metadata.Key<A, B>

/**
 * How the values of a key are written and read. Either direction may throw; the text of what is thrown goes nowhere.
 *
 * @category models
 * @since 0.1.0
 */
export interface Format<in A, out B> {
  /** What a value is, as in "is not JSON". */
  readonly expected: string
  readonly encode: (value: A) => Metadata.Value
  readonly decode: (value: Metadata.Value) => ReadonlyArray<B>
}

const isBinary = (name: string): boolean => name.endsWith("-bin")

const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder("utf-8", { fatal: true })

/**
 * The name of a key in lower case. Throws `MetadataError` on a name that the protocol does not allow.
 *
 * @category constructors
 * @since 0.1.0
 */
export const nameOf = (name: string): string => {
  const key = name.toLowerCase()
  Metadata.makeUnsafe({ [key]: isBinary(key) ? new Uint8Array() : "" })
  return key
}

/**
 * A key of a format of one's own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, B>(name: string, format: Format<A, B>): MetadataKey<A, B> => {
  const key = nameOf(name)
  const error = (problem: string) => new Metadata.MetadataError({ key, problem })
  return {
    name: key,
    encode: (value) =>
      Result.try({
        try: () => format.encode(value),
        catch: () => error(`cannot be written as ${format.expected}`)
      }).pipe(Result.flatMap((encoded) => Result.map(Metadata.make({ [key]: encoded }), () => encoded))),
    decode: (value) => Result.try({ try: () => format.decode(value), catch: () => error(`is not ${format.expected}`) })
  }
}

/** A value that is there, as the format wants it. */
const asText = (value: Metadata.Value): string => {
  if (Predicate.isString(value)) return value
  throw new TypeError("bytes")
}
const asBytes = (value: Metadata.Value): Uint8Array => {
  if (!Predicate.isString(value)) return value
  throw new TypeError("text")
}

const makeText = <A, B>(name: string, format: Format<A, B>): MetadataKey<A, B> => {
  Metadata.makeUnsafe({ [name]: "" })
  return make(name, format)
}
const makeBytes = <A, B>(name: string, format: Format<A, B>): MetadataKey<A, B> => {
  Metadata.makeUnsafe({ [name]: new Uint8Array() })
  return make(name, format)
}

/**
 * Printable ASCII, commas included; no space at either end, which HTTP/2 takes away.
 *
 * @example
 * import { Metadata, MetadataKey } from "trunkline"
 *
 * const Tenant = MetadataKey.text("x-tenant")
 * const metadata = Metadata.set(Metadata.empty, Tenant, "acme")
 * Metadata.get(metadata, "x-tenant") // => "acme"
 *
 * @category constructors
 * @since 0.1.0
 */
export const text = (name: string): MetadataKey<string> =>
  makeText(name, { expected: "text", encode: (value: string) => value, decode: (value) => [asText(value)] })

/**
 * Printable ASCII without commas and without spaces around it, so that several values stay several on every wire.
 *
 * @category constructors
 * @since 0.1.0
 */
export const token = (name: string): MetadataKey<string> =>
  makeText(name, {
    expected: "text without a comma and without spaces around it",
    encode: (value: string) => {
      if (value.includes(",") || value.trim() !== value) throw new TypeError("not a token")
      return value
    },
    decode: (value) =>
      asText(value)
        .split(",")
        .map((one) => one.trim())
  })

/**
 * Bytes as they are. The name ends in `-bin`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const bytes = (name: string): MetadataKey<Uint8Array> =>
  makeBytes(name, { expected: "bytes", encode: (value: Uint8Array) => value, decode: (value) => [asBytes(value)] })

/**
 * A protobuf message of any protoc-gen-es schema. The name ends in `-bin`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const message = <D extends DescMessage>(
  name: string,
  schema: D
): MetadataKey<MessageInitShape<D>, MessageShape<D>> =>
  makeBytes(name, {
    expected: schema.typeName,
    encode: (value: MessageInitShape<D>) => toBinary(schema, create(schema, value)),
    decode: (value) => [fromBinary(schema, asBytes(value))]
  })

/** Everything that a text key does not carry, as JSON may write it. */
const toAscii = (json: string): string =>
  json.replace(/[\x7f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

/**
 * JSON of a `Schema`. The name decides how it travels: as UTF-8 bytes if it ends in `-bin`, as text otherwise, with
 * everything but ASCII escaped.
 *
 * @example
 * import { Result, Schema } from "effect"
 * import { Metadata, MetadataKey } from "trunkline"
 *
 * const User = MetadataKey.json("x-user", Schema.Struct({ name: Schema.String }))
 * const metadata = Metadata.set(Metadata.empty, User, { name: "Zoë" })
 * Metadata.get(metadata, "x-user") // => '{"name":"Zo\\u00eb"}'
 * Result.getOrThrow(Metadata.all(metadata, User)) // => [{ name: "Zoë" }]
 *
 * @category constructors
 * @since 0.1.0
 */
export const json = <A>(name: string, schema: Schema.ConstraintCodec<A, unknown>): MetadataKey<A> => {
  const codec = Schema.toCodecJson(schema)
  const toJson = Schema.encodeSync(codec)
  const fromJson = Schema.decodeUnknownSync(codec)
  const encode = (value: A): string => JSON.stringify(toJson(value))
  const expected = "JSON of its schema"
  if (isBinary(name.toLowerCase())) {
    return makeBytes(name, {
      expected,
      encode: (value: A) => utf8Encoder.encode(encode(value)),
      decode: (value) => [fromJson(JSON.parse(utf8Decoder.decode(asBytes(value)))) as A]
    })
  }
  return makeText(name, {
    expected,
    encode: (value: A) => toAscii(encode(value)),
    decode: (value) => {
      // Values joined by commas are the inside of a JSON array.
      const values: ReadonlyArray<unknown> = JSON.parse(`[${asText(value)}]`)
      if (values.length === 0) throw new TypeError("nothing")
      return values.map((one) => fromJson(one) as A)
    }
  })
}
