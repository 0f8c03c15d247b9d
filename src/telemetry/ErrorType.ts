/**
 * What kind of failure a call ended with, in a word that can be counted: OpenTelemetry's `error.type`.
 *
 * The more exact answer wins: the reason a server gives, then that it was this process that ran out of time or left, then
 * what broke here, then the status code.
 */
import { Cause, Exit, Predicate } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import * as ErrorDetails from "../status/ErrorDetails.ts"
import type * as RpcError from "../status/RpcError.ts"

const nameOf = (u: unknown): string | undefined =>
  Predicate.hasProperty(u, "_tag") && Predicate.isString(u._tag)
    ? u._tag
    : Predicate.hasProperty(u, "name") && Predicate.isString(u.name)
      ? u.name
      : undefined

const reasonOf = (error: RpcError.RpcError): string | undefined =>
  ErrorDetails.get(error, ErrorDetails.ErrorInfoSchema)?.reason || undefined

/** Time that runs out on both sides at once may be reported by either. */
const local = (error: RpcError.RpcError, call: Call): string | undefined => {
  if (error.code === "DEADLINE_EXCEEDED") {
    return Deadline.nowUnsafe(call.clock) >= call.attemptDeadline ? "CLIENT_TIMEOUT" : undefined
  }
  if (error.origin !== "local") return undefined
  if (error.code === "CANCELLED") return "CLIENT_CANCELLED"
  return error.code === "UNKNOWN" || error.code === "INTERNAL" ? nameOf(error.cause) : undefined
}

/** The type of an error that a call ended with where it was made. */
export const ofCall = (error: RpcError.RpcError, call: Call): string =>
  reasonOf(error) ?? local(error, call) ?? error.code

/** The type of a failure of a handler: a defect has a name that callers never learn. */
export const ofHandler = (error: RpcError.RpcError, exit: Exit.Exit<unknown, unknown>): string => {
  const defect = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason) : undefined
  return reasonOf(error) ?? (error.code === "INTERNAL" ? nameOf(defect?.defect) : undefined) ?? error.code
}
