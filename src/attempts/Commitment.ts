/**
 * When a call has had its last attempt, whatever its policy says.
 *
 * gRPC commits a call to the attempt whose headers have come, because who made it may have seen them. An answer to a unary
 * call is shown whole or not at all, and servers send headers a moment before the message. If the connection or the time of
 * the attempt ends in this moment nobody has seen anything, and a call that is harmless need not fail for it.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md#when-retries-are-valid
 */
import type { Call } from "../call/Call.ts"
import type * as Method from "../call/Method.ts"
import type { RpcError } from "../status/RpcError.ts"

/** Whether an attempt that ended so was the call's last. */
export type Commitment = (error: RpcError) => boolean

/** The server had begun to answer. */
export const begun: Commitment = (error) => error.answered

/** The server had begun to answer, or the requests cannot be sent again. */
export const orSealed =
  (sealed: () => boolean): Commitment =>
  (error) =>
    begun(error) || sealed()

/** The server had begun to answer, and the answer did not break off. */
const begunAndNotBrokenOff: Commitment = ({ answered, code, origin }) =>
  answered && !(origin === "local" && (code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED"))

/** What commits a unary call, by what is said of it and else of its method. */
export const ofUnary = (method: Method.Any, call: Call): Commitment =>
  (call.options.idempotent ?? method.idempotency !== "unknown") ? begunAndNotBrokenOff : begun
