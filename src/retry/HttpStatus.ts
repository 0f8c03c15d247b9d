/**
 * The HTTP status behind a failed call.
 *
 * gRPC has codes of its own, and a call that gRPC answers has no other status than 200. But a proxy in between answers in
 * HTTP, and a REST gateway does nothing else. Such a status reaches an error in two ways: as `:status` in its headers,
 * where this module puts it and a transport that sees it may, or in the text grpc-js writes when an answer was not gRPC.
 *
 * The code for a status is the one Google's client libraries use for REST. Other tables exist: grpc-js has one for answers
 * that should have been gRPC, where 404 is `UNIMPLEMENTED` and 502 is `UNAVAILABLE`.
 */
import { Predicate } from "effect"
import type * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"

const codes: ReadonlyMap<number, Code.Code> = new Map([
  [400, "INVALID_ARGUMENT"],
  [401, "UNAUTHENTICATED"],
  [403, "PERMISSION_DENIED"],
  [404, "NOT_FOUND"],
  [409, "ABORTED"],
  [416, "OUT_OF_RANGE"],
  [429, "RESOURCE_EXHAUSTED"],
  [499, "CANCELLED"],
  [501, "UNIMPLEMENTED"],
  [503, "UNAVAILABLE"],
  [504, "DEADLINE_EXCEEDED"]
])

const classes: ReadonlyMap<number, Code.Status> = new Map([
  [2, "OK"],
  [4, "FAILED_PRECONDITION"],
  [5, "INTERNAL"]
])

/**
 * The code for an HTTP status.
 *
 * @example
 * import { HttpStatus } from "trunkline/extend"
 *
 * HttpStatus.toCode(404) // => "NOT_FOUND"
 * HttpStatus.toCode(508) // => "INTERNAL"
 *
 * @category conversions
 * @since 0.1.0
 */
export const toCode = (status: number): Code.Status =>
  codes.get(status) ?? classes.get(Math.floor(status / 100)) ?? "UNKNOWN"

/**
 * The error of a call that ended with this HTTP status and should not have; `of` reads the status back.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toError = (status: number, message: string, facts?: RpcError.Facts): RpcError.RpcError => {
  const code = toCode(status)
  return RpcError.make(code === "OK" ? "UNKNOWN" : code, message, {
    origin: "remote",
    ...facts,
    headers: new Map([...(facts?.headers ?? []), [":status", [String(status)]]])
  })
}

/** What grpc-js and grpc-go write when the answer was not gRPC. */
const text = /HTTP status code(?: received from server:)? (\d{3})\b/

/**
 * The HTTP status an error is known to come from.
 *
 * @category getters
 * @since 0.1.0
 */
export const of = (error: RpcError.RpcError): number | undefined => {
  const said = error.headers.get(":status")?.at(-1)
  const status = Predicate.isString(said) ? said : text.exec(error.reason.message)?.[1]
  return status === undefined || !/^\d{3}$/.test(status) ? undefined : Number(status)
}
