/**
 * When a call is committed to an attempt, and makes no other whatever its policy says.
 *
 * gRPC commits a call when response headers arrive, because the caller may have seen them. The caller of a unary call sees
 * the whole response or nothing, and servers send headers shortly before the message. If the connection or the attempt's
 * timeout ends between the two, the caller has seen nothing, and an idempotent call can be retried.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md#when-retries-are-valid
 */
import type { Call } from "../call/Call.ts"
import type * as Method from "../call/Method.ts"
import type { RpcError } from "../status/RpcError.ts"

/** Whether the call is committed to the attempt that ended with this error. */
export type Commitment = (error: RpcError) => boolean

/** The server had begun to answer. */
export const onHeaders: Commitment = (error) => error.answered

/** The server had begun to answer, or the requests cannot be sent again. */
export const onHeadersOrSealed =
  (sealed: () => boolean): Commitment =>
  (error) =>
    onHeaders(error) || sealed()

/** The server had begun to answer, and neither the connection nor the timeout cut the answer off. */
const onHeadersUnlessCutOff: Commitment = ({ answered, code, origin }) =>
  answered && !(origin === "local" && (code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED"))

/** What commits a unary call. Idempotency is declared by the call, else by its method. */
export const ofUnary = (method: Method.Any, call: Call): Commitment =>
  (call.options.idempotent ?? method.idempotency !== "unknown") ? onHeadersUnlessCutOff : onHeaders
