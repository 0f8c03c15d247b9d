/**
 * Errors that are part of a method's contract.
 *
 * A code says how a call ended and a program wants to know more: out of which stock? So a method may declare
 * `Schema.TaggedError`s. Its handler fails with one, and that arrives as itself in the client's error channel, where
 * `Effect.catchTag` finds it. What a method does not declare, its handler cannot fail with: it does not type-check.
 *
 * On the wire a declared error is an ordinary rich status: its code, its message, and as one of the details a
 * `google.protobuf.Struct` of what its schema encodes to, `_tag` included. Every protobuf runtime brings that type, so
 * clients and servers of other makers read and send declared errors without knowing this library. A detail that no
 * declared error can be made of changes nothing: the caller gets the `RpcError`, the detail still on it.
 *
 * The two conversions are the first thing outside a handler and the last thing inside a client's method. Whatever is
 * between them (interceptors, retries, load, logs) sees an `RpcError` and goes by its code.
 */
import { fromJson, type JsonObject, toJson } from "@bufbuild/protobuf"
import { StructSchema } from "@bufbuild/protobuf/wkt"
import { Effect, Function, Option, Predicate, Result, Schema, Stream } from "effect"
import type { Code } from "../status/Code.ts"
import * as ErrorDetails from "../status/ErrorDetails.ts"
import * as RpcError from "../status/RpcError.ts"
import { identity, type Interceptor } from "./Interceptor.ts"
import type * as Method from "./Method.ts"
import type { DeclaredError, ErrorClass, Tagged } from "./Method.ts"

/**
 * What a method declares: a class of errors with tags, and the code they travel under.
 *
 * @category models
 * @since 0.1.0
 */
export type { DeclaredError, ErrorClass, Tagged } from "./Method.ts"

/**
 * How a method declares an error: the class alone, or `withCode`.
 *
 * @category models
 * @since 0.1.0
 */
export type Declaration<E = Tagged> = ErrorClass<E> | DeclaredError<E>

/**
 * The error that is declared.
 *
 * @category models
 * @since 0.1.0
 */
export type ErrorOf<D> = D extends Declaration<infer E> ? E : never

/**
 * The code of an error that is declared without one, `FAILED_PRECONDITION`: the request is understood, the state of the
 * system is against it, and sending it again changes nothing. No sensible policy retries it, and it is no fault of the
 * peer.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultCode: Code = "FAILED_PRECONDITION"

/**
 * Declares an error under a code of its own, which is all that retry policies, load and logs go by. Take `UNAVAILABLE`
 * only for an error that the peer is to blame for.
 *
 * @example
 * import { Schema } from "effect"
 * import { DeclaredError, Service } from "trunkline"
 *
 * class NotYours extends Schema.TaggedError<NotYours>()("NotYours", { owner: Schema.String }) {}
 *
 * const Orders = Service.make("shop.Orders", {
 *   cancel: Service.unary(Schema.String, Schema.Void, {
 *     errors: [DeclaredError.withCode(NotYours, "PERMISSION_DENIED")]
 *   })
 * })
 * Orders.methods.cancel.errors[0]?.code // => "PERMISSION_DENIED"
 *
 * @category constructors
 * @since 0.1.0
 */
export const withCode: {
  (code: Code): <E extends Tagged>(error: ErrorClass<E>) => DeclaredError<E>
  <E extends Tagged>(error: ErrorClass<E>, code: Code): DeclaredError<E>
} = Function.dual(2, <E extends Tagged>(error: ErrorClass<E>, code: Code): DeclaredError<E> => ({ error, code }))

/**
 * Reads a declaration of either form.
 *
 * @category constructors
 * @since 0.1.0
 */
export const from = <E>(declaration: Declaration<E>): DeclaredError<E> =>
  "fields" in declaration ? { error: declaration, code: defaultCode } : declaration

/** By the tag of each error a method declares. */
const byTag = <A>({ errors }: Method.Any, f: (declared: DeclaredError) => A): ReadonlyMap<unknown, A> =>
  new Map((errors as ReadonlyArray<DeclaredError>).map((declared) => [tagOf(declared), f(declared)]))

const tagOf = ({ error }: DeclaredError): string => error.fields._tag.schema.literal

/** An interceptor's types know of no other error than `RpcError`, which only the two ends of a call may put aside. */
const mapping = (map: (error: never) => unknown): Interceptor => {
  const mapped = map as (error: RpcError.RpcError) => RpcError.RpcError
  return {
    unary: (next) => (method, request, call) => Effect.mapError(next(method, request, call), mapped),
    stream: (next) => (method, requests, call) =>
      next(method, requests, call).pipe(
        Effect.mapError(mapped),
        Effect.map(({ headers, messages, trailers }) => ({
          headers: Effect.mapError(headers, mapped),
          messages: Stream.mapError(messages, mapped),
          trailers: Effect.mapError(trailers, mapped)
        }))
      )
  }
}

/** The status of an error. One that its own schema refuses is a bug, like a response that cannot be encoded. */
const encoder =
  (method: string) =>
  ({ code, error }: DeclaredError) => {
    const encode = Schema.encodeSync(Schema.toCodecJson(error as Schema.ConstraintCodec<Tagged, unknown>))
    return (failure: Tagged): RpcError.RpcError =>
      Result.getOrElse(
        Result.try(() => {
          const detail = ErrorDetails.make(StructSchema, fromJson(StructSchema, encode(failure) as JsonObject))
          const message = failure.message === "" ? failure._tag : failure.message
          return ErrorDetails.attach(RpcError.make(code, message, { method, cause: failure }), detail)
        }),
        (cause) => RpcError.make("INTERNAL", `cannot encode the error ${failure._tag} of ${method}`, { method, cause })
      )
  }

/**
 * Stands next to the handler of a method: the errors the method declares become statuses, whose `cause` they stay in
 * this process. Any other failure is left as it is.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const toStatus = (method: Method.Any): Interceptor => {
  if (method.errors.length === 0) return identity
  const encoders = byTag(method, encoder(method.path))
  return mapping((failure: unknown) =>
    Predicate.hasProperty(failure, "_tag") && !RpcError.isRpcError(failure)
      ? (encoders.get(failure._tag)?.(failure as Tagged) ?? failure)
      : failure
  )
}

const arrivals = new WeakMap<object, RpcError.RpcError>()

/** What the first detail that is a declared error says. */
const decoder = (method: Method.Any) => {
  const decoders = byTag(method, ({ error }) =>
    Schema.decodeUnknownOption(Schema.toCodecJson(error as Schema.ConstraintCodec<object, unknown>))
  )
  return (error: RpcError.RpcError): object | undefined => {
    for (const detail of ErrorDetails.getAll(error, StructSchema)) {
      const json = Result.getOrUndefined(Result.try(() => toJson(StructSchema, detail) as JsonObject))
      const declared = Option.getOrUndefined(decoders.get(json?.["_tag"])?.(json) ?? Option.none())
      if (declared !== undefined) return declared
    }
    return undefined
  }
}

/**
 * Stands next to the caller of a method: a status that carries an error the method declares becomes that error.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const fromStatus = (method: Method.Any): Interceptor => {
  if (method.errors.length === 0) return identity
  const decode = decoder(method)
  return mapping((error: RpcError.RpcError) => {
    const declared = decode(error)
    if (declared === undefined) return error
    arrivals.set(declared, error)
    return declared
  })
}

/**
 * The `RpcError` a declared error arrived as: its peer, attempts, trailers and other details. An error that did not
 * come from a call has none.
 *
 * @category getters
 * @since 0.1.0
 */
export const rpcErrorOf = (error: Tagged): RpcError.RpcError | undefined =>
  RpcError.isRpcError(error) ? error : arrivals.get(error)
