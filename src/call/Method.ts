/**
 * A method: its path, its kind, how its messages become bytes, and the errors it declares.
 */
import type { Schema } from "effect"
import type { Code } from "../status/Code.ts"

/**
 * Who sends one message and who sends many.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = "unary" | "client_streaming" | "server_streaming" | "bidi_streaming"

/**
 * What the service promises about doing the same call twice (protobuf's `idempotency_level`).
 *
 * @category models
 * @since 0.1.0
 */
export type Idempotency = "unknown" | "no_side_effects" | "idempotent"

/**
 * Messages to bytes and back. Either direction may throw; the transport turns a throw into a typed error.
 *
 * @category models
 * @since 0.1.0
 */
export interface Codec<in A, out B> {
  /**
   * How the bytes are written, as the content type says it behind `application/grpc+`: `json`, or a name of one's own.
   * Default `proto`.
   */
  readonly subtype?: string | undefined
  readonly encode: (message: A) => Uint8Array
  readonly decode: (bytes: Uint8Array) => B
}

/**
 * An error with a tag.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tagged extends Error {
  readonly _tag: string
}

/**
 * A class of errors, as `Schema.TaggedError` makes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ErrorClass<out E = Tagged> extends Schema.ConstraintCodec<E, unknown> {
  readonly fields: { readonly _tag: { readonly schema: { readonly literal: string } } }
}

/**
 * A class of errors, and the code its errors travel under.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeclaredError<out E = unknown> {
  readonly error: ErrorClass<E>
  readonly code: Code
}

/**
 * A method as both sides see it: a client sends `I` and receives `O`; a handler receives `SI` and answers `SO`. The two
 * pairs differ where a codec accepts more than it returns, as protobuf-es does with partial messages. `E` are the errors
 * it declares.
 *
 * @category models
 * @since 0.1.0
 */
export interface Method<in I, out O, out SI = unknown, in SO = never, out E = unknown> {
  /** `/package.Service/Method` */
  readonly path: string
  /** `package.Service` */
  readonly service: string
  /** `Method`, as the service definition spells it. */
  readonly name: string
  readonly kind: Kind
  readonly idempotency: Idempotency
  readonly request: Codec<I, SI>
  readonly response: Codec<SO, O>
  readonly errors: ReadonlyArray<DeclaredError<E>>
}

/**
 * Any method, for code that does not look at messages.
 *
 * @category models
 * @since 0.1.0
 */
export type Any = Method<never, unknown, unknown, never>

/**
 * Whether the caller may send more than one message.
 *
 * @category getters
 * @since 0.1.0
 */
export const sendsMany = (self: Any): boolean => self.kind === "client_streaming" || self.kind === "bidi_streaming"

/**
 * Whether the server may answer with more than one message.
 *
 * @category getters
 * @since 0.1.0
 */
export const receivesMany = (self: Any): boolean => self.kind === "server_streaming" || self.kind === "bidi_streaming"
