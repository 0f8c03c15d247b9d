/**
 * What a code and a text cannot say: which field is wrong, how long to wait, where to read on.
 *
 * A program should not parse a message to find out. So an error may carry details, which are protobuf messages of any
 * type; `google.rpc` has ten that everybody knows. They travel together with the code and the text as one
 * `google.rpc.Status` in the trailer `grpc-status-details-bin`, which is how every gRPC implementation with rich errors
 * does it. Here that trailer is the only truth: attaching rewrites it, reading reads it, and an error that is passed on
 * unchanged passes on its bytes, whether or not this process knows their types.
 *
 * Reading never fails, since another process wrote what is read: what does not parse is not there, and `raw` shows what
 * is. Keep it short: trailers are HTTP/2 headers, of which many a peer and proxy accepts 8 KiB in all, and Node does not
 * send more than 64 KiB.
 *
 * @see https://grpc.io/docs/guides/error/#richer-error-model
 * @see https://google.aip.dev/193
 */
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary
} from "@bufbuild/protobuf"
import { AnySchema, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt"
import { Duration, Function, Predicate, Result } from "effect"
import * as Code from "./Code.ts"
import { BadRequestSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.ts"
import { StatusSchema, type Status as StatusMessage } from "./gen/google/rpc/status_pb.ts"
import * as RpcError from "./RpcError.ts"

/**
 * The ten standard messages. They are for `make`, `get` and `getAll`, as any message of your own.
 *
 * @category messages
 * @since 0.1.0
 */
export {
  type BadRequest,
  BadRequestSchema,
  type DebugInfo,
  DebugInfoSchema,
  type ErrorInfo,
  ErrorInfoSchema,
  type Help,
  HelpSchema,
  type LocalizedMessage,
  LocalizedMessageSchema,
  type PreconditionFailure,
  PreconditionFailureSchema,
  type QuotaFailure,
  QuotaFailureSchema,
  type RequestInfo,
  RequestInfoSchema,
  type ResourceInfo,
  ResourceInfoSchema,
  type RetryInfo,
  RetryInfoSchema
} from "./gen/google/rpc/error_details_pb.ts"

/**
 * One detail as it travels: the type of a message, and the message in bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Detail {
  /** What follows the last slash is the full name of the type, as in `type.googleapis.com/google.rpc.BadRequest`. */
  readonly typeUrl: string
  readonly value: Uint8Array
}

/**
 * What the trailer says of the call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Status {
  readonly code: Code.Status
  readonly message: string
  readonly details: ReadonlyArray<Detail>
  /** Whether the code is the one the call ended with. Where it is not, somebody on the way changed one of the two. */
  readonly agrees: boolean
}

const key = "grpc-status-details-bin"

/** The last value of the trailer, as gRPC implementations answer a single-value read. */
const read = (self: RpcError.RpcError): StatusMessage | undefined => {
  const bytes = self.trailers.get(key)?.at(-1)
  return Predicate.isUint8Array(bytes)
    ? Result.getOrUndefined(Result.try(() => fromBinary(StatusSchema, bytes)))
    : undefined
}

/**
 * A detail of any type. Like every encoder it throws on a message that its schema cannot hold, such as a fraction in an
 * `int32`.
 *
 * @example
 * import { ErrorDetails } from "trunkline"
 *
 * const detail = ErrorDetails.make(ErrorDetails.ErrorInfoSchema, { reason: "CARD_EXPIRED", domain: "shop.example" })
 * detail.typeUrl // => "type.googleapis.com/google.rpc.ErrorInfo"
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <D extends DescMessage>(schema: D, message: MessageInitShape<D>): Detail => {
  const { typeUrl, value } = anyPack(schema, create(schema, message))
  return { typeUrl, value }
}

/** The longest that `google.protobuf.Duration` allows: 10,000 years. */
const longest = Duration.seconds(315_576_000_000)

/**
 * A `RetryInfo`: wait at least this long before the next attempt. `retryDelay` reads it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const retryInfo = (delay: Duration.Input): Detail => {
  const [seconds, nanos] = Duration.toHrTime(
    Duration.clamp(Duration.fromInputUnsafe(delay), { minimum: Duration.zero, maximum: longest })
  )
  return make(RetryInfoSchema, { retryDelay: { seconds: BigInt(seconds), nanos } })
}

/**
 * A `BadRequest`: what is wrong, by the path of the field.
 *
 * @category constructors
 * @since 0.1.0
 */
export const badRequest = (problems: Readonly<Record<string, string>>): Detail =>
  make(BadRequestSchema, {
    fieldViolations: Object.entries(problems).map(([field, description]) => ({ field, description }))
  })

/**
 * The same error with more details, after those it has. The trailer's code and text become the error's own. A trailer
 * that does not parse is replaced.
 *
 * @example
 * import { Effect } from "effect"
 * import { ErrorDetails, RpcError } from "trunkline"
 *
 * const error = ErrorDetails.attach(
 *   RpcError.make("INVALID_ARGUMENT", "two fields are wrong"),
 *   ErrorDetails.badRequest({ mail: "has no @", age: "is negative" }),
 *   ErrorDetails.make(ErrorDetails.LocalizedMessageSchema, { locale: "de", message: "Zwei Angaben sind falsch" })
 * )
 * ErrorDetails.raw(error).length // => 2
 *
 * const limited = Effect.fail(RpcError.make("RESOURCE_EXHAUSTED", "one at a time")).pipe(
 *   Effect.mapError(ErrorDetails.attach(ErrorDetails.retryInfo("1 second")))
 * )
 *
 * @category combinators
 * @since 0.1.0
 */
export const attach: {
  (...details: ReadonlyArray<Detail>): (self: RpcError.RpcError) => RpcError.RpcError
  (self: RpcError.RpcError, ...details: ReadonlyArray<Detail>): RpcError.RpcError
} = Function.dual(
  (args) => RpcError.isRpcError(args[0]),
  (self: RpcError.RpcError, ...details: ReadonlyArray<Detail>): RpcError.RpcError => {
    if (details.length === 0) return self
    // Decoded anew, so it is ours to change; decoding keeps the fields it does not know.
    const status = read(self) ?? create(StatusSchema)
    status.code = Code.toNumber(self.code)
    status.message = self.reason.message
    status.details.push(...details.map((detail) => create(AnySchema, detail)))
    return RpcError.annotate(self, { trailers: new Map([...self.trailers, [key, [toBinary(StatusSchema, status)]]]) })
  }
)

/**
 * Everything the trailer says, and whether its code agrees with the error's. An error without the trailer says the same
 * in its own words; `undefined` is a trailer that does not parse.
 *
 * @category getters
 * @since 0.1.0
 */
export const status = (self: RpcError.RpcError): Status | undefined => {
  if (!self.trailers.has(key)) return { code: self.code, message: self.reason.message, details: [], agrees: true }
  const status = read(self)
  if (status === undefined) return undefined
  const code = Code.fromNumber(status.code)
  return {
    code,
    message: status.message,
    details: status.details.map(({ typeUrl, value }) => ({ typeUrl, value })),
    agrees: code === self.code
  }
}

/**
 * All details as they came, those of unknown types included. They can be attached to another error.
 *
 * @category getters
 * @since 0.1.0
 */
export const raw = (self: RpcError.RpcError): ReadonlyArray<Detail> => status(self)?.details ?? []

/**
 * Every detail of a type, in order. Bytes that do not parse as that type are left out.
 *
 * @category getters
 * @since 0.1.0
 */
export const getAll: {
  <D extends DescMessage>(schema: D): (self: RpcError.RpcError) => ReadonlyArray<MessageShape<D>>
  <D extends DescMessage>(self: RpcError.RpcError, schema: D): ReadonlyArray<MessageShape<D>>
} = Function.dual(2, <D extends DescMessage>(self: RpcError.RpcError, schema: D): ReadonlyArray<MessageShape<D>> =>
  (read(self)?.details ?? []).flatMap(
    (detail) => Result.getOrUndefined(Result.try(() => anyUnpack(detail, schema))) ?? []
  )
)

/**
 * The first detail of a type that parses, if there is one.
 *
 * @example
 * import { ErrorDetails, RpcError } from "trunkline"
 *
 * const error = RpcError.make("INVALID_ARGUMENT", "wrong address").pipe(
 *   ErrorDetails.attach(ErrorDetails.badRequest({ mail: "has no @" }))
 * )
 * ErrorDetails.get(error, ErrorDetails.BadRequestSchema)?.fieldViolations[0]?.field // => "mail"
 * ErrorDetails.get(error, ErrorDetails.HelpSchema) // => undefined
 *
 * @category getters
 * @since 0.1.0
 */
export const get: {
  <D extends DescMessage>(schema: D): (self: RpcError.RpcError) => MessageShape<D> | undefined
  <D extends DescMessage>(self: RpcError.RpcError, schema: D): MessageShape<D> | undefined
} = Function.dual(
  2,
  <D extends DescMessage>(self: RpcError.RpcError, schema: D): MessageShape<D> | undefined => getAll(self, schema)[0]
)

/**
 * How long the server asks to wait before the next attempt, if it does.
 *
 * @category getters
 * @since 0.1.0
 */
export const retryDelay = (self: RpcError.RpcError): Duration.Duration | undefined => {
  const delay = get(self, RetryInfoSchema)?.retryDelay
  return delay === undefined
    ? undefined
    : Duration.max(Duration.zero, Duration.nanos(delay.seconds * 1_000_000_000n + BigInt(delay.nanos)))
}
