/**
 * The one error of the call path.
 *
 * What happened is a tagged `reason`, one class per status code, so a program selects a code with a type-checked
 * `Effect.catchReason("RpcError", "NotFound", …)`. Everything else that is known of the failed call is on the error
 * itself. What a failure *means* for load and health, and what to *do* about it, are other modules' questions.
 */
import { Cause, Data, Predicate } from "effect"
import type { Code } from "./Code.ts"
import * as Printable from "./Printable.ts"

interface Text {
  /** The text as it came, control characters and all. */
  readonly message: string
}

/** The caller or the server gave the call up. @category reasons @since 0.1.0 */
export class Cancelled extends Data.TaggedClass("Cancelled")<Text> {}
/** The server failed without saying how. @category reasons @since 0.1.0 */
export class Unknown extends Data.TaggedClass("Unknown")<Text> {}
/** The request is wrong whatever the state of the system. @category reasons @since 0.1.0 */
export class InvalidArgument extends Data.TaggedClass("InvalidArgument")<Text> {}
/** Time ran out; the operation may still have happened. @category reasons @since 0.1.0 */
export class DeadlineExceeded extends Data.TaggedClass("DeadlineExceeded")<Text> {}
/** The requested thing does not exist. @category reasons @since 0.1.0 */
export class NotFound extends Data.TaggedClass("NotFound")<Text> {}
/** The thing to create exists already. @category reasons @since 0.1.0 */
export class AlreadyExists extends Data.TaggedClass("AlreadyExists")<Text> {}
/** The caller is known and may not do this. @category reasons @since 0.1.0 */
export class PermissionDenied extends Data.TaggedClass("PermissionDenied")<Text> {}
/** A quota, a limit or a buffer is used up. @category reasons @since 0.1.0 */
export class ResourceExhausted extends Data.TaggedClass("ResourceExhausted")<Text> {}
/** The system is not in the state the operation needs. @category reasons @since 0.1.0 */
export class FailedPrecondition extends Data.TaggedClass("FailedPrecondition")<Text> {}
/** A conflict with concurrent work; retry one level up. @category reasons @since 0.1.0 */
export class Aborted extends Data.TaggedClass("Aborted")<Text> {}
/** Past the valid range, for now. @category reasons @since 0.1.0 */
export class OutOfRange extends Data.TaggedClass("OutOfRange")<Text> {}
/** The method does not exist there. @category reasons @since 0.1.0 */
export class Unimplemented extends Data.TaggedClass("Unimplemented")<Text> {}
/** An invariant is broken, on either side. @category reasons @since 0.1.0 */
export class Internal extends Data.TaggedClass("Internal")<Text> {}
/** The service cannot be reached now; usually worth another try. @category reasons @since 0.1.0 */
export class Unavailable extends Data.TaggedClass("Unavailable")<Text> {}
/** Data is lost beyond repair. @category reasons @since 0.1.0 */
export class DataLoss extends Data.TaggedClass("DataLoss")<Text> {}
/** The caller is not known. @category reasons @since 0.1.0 */
export class Unauthenticated extends Data.TaggedClass("Unauthenticated")<Text> {}

const reasons = {
  CANCELLED: Cancelled,
  UNKNOWN: Unknown,
  INVALID_ARGUMENT: InvalidArgument,
  DEADLINE_EXCEEDED: DeadlineExceeded,
  NOT_FOUND: NotFound,
  ALREADY_EXISTS: AlreadyExists,
  PERMISSION_DENIED: PermissionDenied,
  RESOURCE_EXHAUSTED: ResourceExhausted,
  FAILED_PRECONDITION: FailedPrecondition,
  ABORTED: Aborted,
  OUT_OF_RANGE: OutOfRange,
  UNIMPLEMENTED: Unimplemented,
  INTERNAL: Internal,
  UNAVAILABLE: Unavailable,
  DATA_LOSS: DataLoss,
  UNAUTHENTICATED: Unauthenticated
} as const

const codes = {
  Cancelled: "CANCELLED",
  Unknown: "UNKNOWN",
  InvalidArgument: "INVALID_ARGUMENT",
  DeadlineExceeded: "DEADLINE_EXCEEDED",
  NotFound: "NOT_FOUND",
  AlreadyExists: "ALREADY_EXISTS",
  PermissionDenied: "PERMISSION_DENIED",
  ResourceExhausted: "RESOURCE_EXHAUSTED",
  FailedPrecondition: "FAILED_PRECONDITION",
  Aborted: "ABORTED",
  OutOfRange: "OUT_OF_RANGE",
  Unimplemented: "UNIMPLEMENTED",
  Internal: "INTERNAL",
  Unavailable: "UNAVAILABLE",
  DataLoss: "DATA_LOSS",
  Unauthenticated: "UNAUTHENTICATED"
} as const satisfies Record<Reason["_tag"], Code>

/**
 * What happened: one class per status code.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason = InstanceType<(typeof reasons)[Code]>

/**
 * One try of a call: where it went, how it ended, how long it took and how long the call then slept.
 *
 * @category models
 * @since 0.1.0
 */
export interface Attempt {
  readonly peer: string | undefined
  readonly code: Code
  readonly elapsedMillis: number
  readonly delayMillis: number
}

/**
 * Why a call was not tried again:
 *
 * - `not_retryable`: the policy does not retry this error.
 * - `not_idempotent`: the call may have run, and must not run twice.
 * - `attempts`: the policy retries this error, and has come to its limit.
 * - `deadline`: no further attempt could end inside the deadline.
 * - `budget`: the client's retry budget is used up.
 * - `pushback`: the server asked not to be tried again.
 * - `committed`: the answer had begun (and asking again may do harm), or the request could not be sent again.
 *
 * @category models
 * @since 0.1.0
 */
export type Stopped = "not_retryable" | "not_idempotent" | "attempts" | "deadline" | "budget" | "pushback" | "committed"

/**
 * How far the last attempt got. `not_started`: it never left this process. `refused`: the server's transport says that
 * no handler saw it. `dropped`: a picker refused it on purpose. `processed`: a handler may have run.
 *
 * @category models
 * @since 0.1.0
 */
export type Progress = "not_started" | "refused" | "dropped" | "processed"

/**
 * Metadata as it came: lower-case keys, every value of a key in order. The functions of the `Metadata` module read it.
 *
 * @category models
 * @since 0.1.0
 */
export type Metadata = ReadonlyMap<string, ReadonlyArray<string | Uint8Array>>

const nothing: Metadata = new Map()

/**
 * What can be said of a failed call besides its code and message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  /** Who said so: the server (`remote`) or this process (`local`). */
  readonly origin?: "remote" | "local" | undefined
  /** Full method path, `/package.Service/Method`. */
  readonly method?: string | undefined
  /** The peer of the last attempt. */
  readonly peer?: string | undefined
  /** The response headers, if the call got as far as that. */
  readonly headers?: Metadata | undefined
  readonly trailers?: Metadata | undefined
  /** Every attempt in order; empty for a call that was never tried. */
  readonly attempts?: ReadonlyArray<Attempt> | undefined
  readonly stopped?: Stopped | undefined
  /** Default `processed`: what is not known to be harmless may have happened. */
  readonly progress?: Progress | undefined
  /** A typed local cause, such as the report of a pool with no ready peer. Never shown to a remote caller. */
  readonly cause?: unknown
}

/**
 * A failed call.
 *
 * @example
 * import { Effect } from "effect"
 * import { RpcError } from "trunkline"
 *
 * const found = Effect.fail(RpcError.make("NOT_FOUND", "no such user")).pipe(
 *   Effect.catchReason("RpcError", "NotFound", () => Effect.succeed("nobody"))
 * )
 * Effect.runSync(found) // => "nobody"
 *
 * @category models
 * @since 0.1.0
 */
export class RpcError extends Data.TaggedError("RpcError")<{
  readonly reason: Reason
  readonly origin: "remote" | "local"
  readonly method: string | undefined
  readonly peer: string | undefined
  readonly headers: Metadata
  readonly trailers: Metadata
  readonly attempts: ReadonlyArray<Attempt>
  readonly stopped: Stopped | undefined
  readonly progress: Progress
  readonly cause?: unknown
}> {
  /** The status code of the reason. */
  get code(): Code {
    return codes[this.reason._tag]
  }

  /** Whether the server had begun to answer: its headers came before its status. */
  get answered(): boolean {
    return this.headers !== nothing
  }

  /**
   * The code and the text, for people: control characters in it are written out, so that a server's text cannot forge a line
   * of a log or move a terminal's cursor. `reason.message` is the text as the server sent it.
   */
  override get message(): string {
    return `[${this.code}] ${Printable.escape(this.reason.message)}`
  }
}

/**
 * Makes an error from a code, a message and what else is known.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (code: Code, message: string, facts?: Facts): RpcError =>
  new RpcError({
    reason: new reasons[code]({ message }),
    origin: facts?.origin ?? "local",
    method: facts?.method,
    peer: facts?.peer,
    headers: facts?.headers ?? nothing,
    trailers: facts?.trailers ?? nothing,
    attempts: facts?.attempts ?? [],
    stopped: facts?.stopped,
    progress: facts?.progress ?? "processed",
    ...(facts?.cause === undefined ? undefined : { cause: facts.cause })
  })

/**
 * The same error with more said about it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const annotate = (self: RpcError, facts: Facts): RpcError =>
  make(self.code, self.reason.message, {
    origin: self.origin,
    method: self.method,
    peer: self.peer,
    headers: self.headers,
    trailers: self.trailers,
    attempts: self.attempts,
    stopped: self.stopped,
    progress: self.progress,
    cause: self.cause,
    ...facts
  })

/**
 * Whether a value is an `RpcError`.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRpcError = (u: unknown): u is RpcError => Predicate.isTagged(u, "RpcError") && u instanceof RpcError

/**
 * What a server says of a handler that did not succeed: a typed failure beats a defect beats an interruption. A defect
 * becomes `INTERNAL` without its text, because that text belongs to the server's logs and not to its callers.
 *
 * @category conversions
 * @since 0.1.0
 */
export const fromCause = (cause: Cause.Cause<unknown>): RpcError => {
  const failure = cause.reasons.find(Cause.isFailReason)
  if (failure !== undefined) return isRpcError(failure.error) ? failure.error : make("UNKNOWN", "handler failed")
  return cause.reasons.some(Cause.isDieReason) ? make("INTERNAL", "internal error") : make("CANCELLED", "interrupted")
}

/**
 * `fromCause` of a call that may have been ended by neither side's program: an interruption is what the transport told the
 * client, such as that the server stops.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofCall = (cause: Cause.Cause<unknown>, { cutOff }: { readonly cutOff: RpcError | undefined }): RpcError =>
  cutOff !== undefined && Cause.hasInterrupts(cause) ? cutOff : fromCause(cause)
