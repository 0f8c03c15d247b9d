/**
 * Request headers, response headers and trailers.
 *
 * Metadata is an immutable `ReadonlyMap` from a lower-case key to every value of that key in order. The gRPC rule about
 * keys holds wherever metadata is made: a key ending in `-bin` carries bytes, any other key carries printable ASCII.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */
import { Data, Function, Predicate, Result } from "effect"

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
 * No metadata.
 *
 * @category constants
 * @since 0.1.0
 */
export const empty: Metadata = new Map()

const validKey = /^[0-9a-z_.-]+$/
const validText = /^[\x20-\x7e]*$/

const problemOf = (key: string, value: Value): string | undefined => {
  if (!validKey.test(key)) return "a key is made of 0-9 a-z _ . -"
  if (key.startsWith("grpc-")) return "keys starting with grpc- belong to the protocol"
  if (key.endsWith("-bin")) return Predicate.isString(value) ? "a -bin key carries bytes" : undefined
  if (!Predicate.isString(value)) return "bytes need a key ending in -bin"
  return validText.test(value) ? undefined : "text is printable ASCII; use a -bin key for the rest"
}

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
    for (const value of values) {
      const problem = problemOf(key, value)
      if (problem !== undefined) return Result.fail(new MetadataError({ key, problem }))
    }
    if (values.length > 0) out.set(key, [...(out.get(key) ?? []), ...values])
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
