/**
 * Request headers, response headers and trailers.
 *
 * Metadata is an immutable `ReadonlyMap` from a lower-case key to every value of that key in order. The gRPC rule about
 * keys holds wherever metadata is made: a key ending in `-bin` carries bytes, any other key carries printable ASCII. What
 * HTTP/2 cannot carry is refused there too: fields of the protocol itself, a second value where HTTP allows one (such as
 * `authorization`), a text with a space at either end.
 *
 * Metadata that comes from the wire is not made here and holds whatever another process sent. `sendable` is what can be
 * passed on of it.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { Data, Function, Option, Predicate, Result } from "effect"
import { problemOf, problemOfSetting } from "./MetadataField.ts"

/**
 * One value: text, or bytes for a `-bin` key.
 *
 * @category models
 * @since 0.1.0
 */
export type Value = string | Uint8Array

/**
 * Keys in lower case, and every value of a key in order.
 *
 * @category models
 * @since 0.1.0
 */
export type Metadata = ReadonlyMap<string, ReadonlyArray<Value>>

/**
 * What metadata is made from: a record, metadata, or entries.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = Readonly<Record<string, Value | ReadonlyArray<Value>>> | Metadata

/**
 * A key or a value that the protocol does not allow. Says which key; never says the value, which may be a secret.
 *
 * @category errors
 * @since 0.1.0
 */
export class MetadataError extends Data.TaggedError("MetadataError")<{
  readonly key: string
  readonly problem: string
}> {
  override get message(): string {
    return `metadata key ${JSON.stringify(this.key)}: ${this.problem}`
  }
}

/**
 * A key whose values are written as `A` and read as `B`. `MetadataKey` makes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key<in A, out B = A> {
  /** In lower case. */
  readonly name: string
  readonly encode: (value: A) => Result.Result<Value, MetadataError>
  /** The values of one entry: one, or several where they came joined. */
  readonly decode: (value: Value) => Result.Result<ReadonlyArray<B>, MetadataError>
}

/**
 * No metadata.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: Metadata = new Map()

const isValue = (u: Value | ReadonlyArray<Value>): u is Value => Predicate.isString(u) || u instanceof Uint8Array

/**
 * Makes metadata, checking every key and value.
 *
 * @example
 * import { Metadata } from "trunkline"
 *
 * Metadata.get(Metadata.makeUnsafe({ "X-Tenant": "acme" }), "x-tenant") // => "acme"
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: Input): Result.Result<Metadata, MetadataError> => {
  const entries = input instanceof Map ? (input as Metadata).entries() : Object.entries(input)
  const out = new Map<string, ReadonlyArray<Value>>()
  for (const [name, given] of entries) {
    const key = name.toLowerCase()
    const values = isValue(given) ? [given] : given
    if (values.length === 0) continue
    const before = out.get(key)
    const all = before === undefined ? values : [...before, ...values]
    const problem = problemOfSetting(key, all)
    if (problem !== undefined) return Result.fail(new MetadataError({ key, problem }))
    out.set(key, all)
  }
  return Result.succeed(out)
}

/**
 * `make` for metadata written in the program itself; throws `MetadataError`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeUnsafe = (input: Input): Metadata => Result.getOrThrow(make(input))

/**
 * Without what cannot be sent: for metadata as another process sent it, which is passed on. `make` refuses the same fields
 * where a program sets them. What gRPC adds for the other side to read, such as `grpc-status-details-bin`, stays.
 *
 * @example
 * import { Metadata } from "trunkline"
 *
 * const fromTheWire: Metadata.Metadata = new Map([["x-tenant", ["acme"]], ["etag", ["a", "b"]], ["x-name", ["Zo\u00eb"]]])
 * const upstream = Metadata.sendable(fromTheWire)
 * Array.from(upstream.keys()) // => ["x-tenant"]
 *
 * @category combinators
 * @since 0.1.0
 */
export const sendable = (self: Metadata): Metadata => {
  for (const [key, values] of self) if (problemOf(key, values) !== undefined) return withoutUnsendable(self)
  return self
}

const withoutUnsendable = (self: Metadata): Metadata => {
  const out = new Map<string, ReadonlyArray<Value>>()
  for (const [name, values] of self) {
    const key = name.toLowerCase()
    const all = [...(out.get(key) ?? []), ...values]
    if (problemOf(key, all) === undefined) out.set(key, all)
  }
  return out
}

/**
 * The last value of a key, as gRPC implementations answer a single-value read.
 *
 * @category getters
 * @since 0.1.0
 */
export const get: {
  (key: string): (self: Metadata) => Value | undefined
  (self: Metadata, key: string): Value | undefined
} = Function.dual(2, (self: Metadata, key: string): Value | undefined => self.get(key.toLowerCase())?.at(-1))

/**
 * Every value of a key, in order.
 *
 * @category getters
 * @since 0.1.0
 */
export const getAll: {
  (key: string): (self: Metadata) => ReadonlyArray<Value>
  (self: Metadata, key: string): ReadonlyArray<Value>
} = Function.dual(2, (self: Metadata, key: string): ReadonlyArray<Value> => self.get(key.toLowerCase()) ?? [])

/**
 * Both, where a key of `that` replaces the same key of `self`: how call metadata overrides the client's.
 *
 * @category combinators
 * @since 0.1.0
 */
export const override: {
  (that: Metadata): (self: Metadata) => Metadata
  (self: Metadata, that: Metadata): Metadata
} = Function.dual(2, (self: Metadata, that: Metadata): Metadata =>
  self.size === 0 ? that : that.size === 0 ? self : new Map([...self, ...that])
)

// ---------------------------------------------------------------------------------------------------------------------
// Typed keys
// ---------------------------------------------------------------------------------------------------------------------

const encode = <A>(key: Key<A, unknown>, value: A): Value => Result.getOrThrow(key.encode(value))

/**
 * Metadata of one typed key and its values in order. Like every function here that writes with a key, it throws
 * `MetadataError` on a value the key cannot carry; `key.encode` says so without throwing.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = <A>(key: Key<A, unknown>, ...values: ReadonlyArray<A>): Metadata =>
  values.length === 0 ? empty : new Map([[key.name, values.map((value) => encode(key, value))]])

/**
 * Replaces every value of a key with one.
 *
 * @category combinators
 * @since 0.1.0
 */
export const set: {
  <A>(key: Key<A, unknown>, value: A): (self: Metadata) => Metadata
  <A>(self: Metadata, key: Key<A, unknown>, value: A): Metadata
} = Function.dual(3, <A>(self: Metadata, key: Key<A, unknown>, value: A): Metadata =>
  new Map(self).set(key.name, [encode(key, value)])
)

/**
 * Adds one value after those a key has.
 *
 * @category combinators
 * @since 0.1.0
 */
export const append: {
  <A>(key: Key<A, unknown>, value: A): (self: Metadata) => Metadata
  <A>(self: Metadata, key: Key<A, unknown>, value: A): Metadata
} = Function.dual(3, <A>(self: Metadata, key: Key<A, unknown>, value: A): Metadata =>
  new Map(self).set(key.name, [...(self.get(key.name) ?? []), encode(key, value)])
)

/**
 * Without any value of a key.
 *
 * @category combinators
 * @since 0.1.0
 */
export const remove: {
  (key: Key<never, unknown> | string): (self: Metadata) => Metadata
  (self: Metadata, key: Key<never, unknown> | string): Metadata
} = Function.dual(2, (self: Metadata, key: Key<never, unknown> | string): Metadata => {
  const name = Predicate.isString(key) ? key.toLowerCase() : key.name
  return self.has(name) ? new Map([...self].filter(([other]) => other !== name)) : self
})

/**
 * Every value of a key in order: none where the key is absent, an error where one of them does not decode.
 *
 * @category getters
 * @since 0.1.0
 */
export const all: {
  <B>(key: Key<never, B>): (self: Metadata) => Result.Result<ReadonlyArray<B>, MetadataError>
  <B>(self: Metadata, key: Key<never, B>): Result.Result<ReadonlyArray<B>, MetadataError>
} = Function.dual(2, <B>(self: Metadata, key: Key<never, B>): Result.Result<ReadonlyArray<B>, MetadataError> =>
  Result.map(Result.all((self.get(key.name) ?? []).map(key.decode)), (values) => values.flat())
)

const readAt =
  (index: 0 | -1) =>
  <B>(self: Metadata, key: Key<never, B>): Result.Result<Option.Option<B>, MetadataError> => {
    const value = self.get(key.name)?.at(index)
    return value === undefined
      ? Result.succeedNone
      : Result.map(key.decode(value), (values) =>
          values.length === 0 ? Option.none() : Option.some(values.at(index)!)
        )
  }

/**
 * The first value of a key: absent, a value, or an error where it does not decode.
 *
 * @category getters
 * @since 0.1.0
 */
export const first: {
  <B>(key: Key<never, B>): (self: Metadata) => Result.Result<Option.Option<B>, MetadataError>
  <B>(self: Metadata, key: Key<never, B>): Result.Result<Option.Option<B>, MetadataError>
} = Function.dual(2, readAt(0))

/**
 * The last value of a key, which is the one that counts where only one is meant: absent, a value, or an error where it
 * does not decode.
 *
 * @category getters
 * @since 0.1.0
 */
export const last: {
  <B>(key: Key<never, B>): (self: Metadata) => Result.Result<Option.Option<B>, MetadataError>
  <B>(self: Metadata, key: Key<never, B>): Result.Result<Option.Option<B>, MetadataError>
} = Function.dual(2, readAt(-1))
