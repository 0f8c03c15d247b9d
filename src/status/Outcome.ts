/**
 * What the end of an attempt means for the peer that served it, and who is to blame.
 *
 * This is the only place that reads a code for that question: load, signals, budgets and error rates all ask here, so they
 * cannot disagree about what a failure is. A code alone does not say it: the same one may be the server's word or this
 * process's own, and a call may never have left.
 *
 * | the error | blamed | outcome |
 * | --- | --- | --- |
 * | never sent (`not_started`), or refused by a picker (`dropped`) | nobody, or the caller | ignorable |
 * | refused by the server's transport (`refused`) | peer | rejected |
 * | local `UNAVAILABLE`, `DEADLINE_EXCEEDED`: the connection was lost, no answer came in time | peer | failure |
 * | local, any other: it cannot be encoded or decoded, or is too large here | caller | ignorable |
 * | `CANCELLED` | nobody | ignorable |
 * | the server's `UNKNOWN`, `DEADLINE_EXCEEDED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS` | peer | failure |
 * | the server's `RESOURCE_EXHAUSTED` | peer | rejected |
 * | the server's `INTERNAL` that says that it could not decode the request | caller | success |
 * | the server's `RESOURCE_EXHAUSTED` that says that the message is too large | caller | success |
 * | the server's, any other | caller | success |
 *
 * That a server could not decode a request, or found it too large, has no code of its own in gRPC: the implementations say it
 * in words, and those are known here. An `INTERNAL` with any other words is the server's failure, as in Envoy and linkerd:
 * one that answers so to everything must not look like the quickest. What breaks the protocol, such as an answer that ends
 * inside a message, is the server's too: adapters say that it is remote.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
 */
import type { Code } from "./Code.ts"
import type { RpcError } from "./RpcError.ts"

/**
 * - `success`: the peer did its work, even if the answer is an error about the request itself.
 * - `failure`: the peer, or the way to it, is at fault.
 * - `rejected`: the peer is alive and asks for less.
 * - `ignorable`: says nothing about the peer.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "success" | "failure" | "rejected" | "ignorable"

/**
 * Whose fault an error is: the peer's, or that of the way to it; the caller's, who asked for what cannot be; or nobody's, such
 * as when a caller left or there was nobody to ask.
 *
 * @category models
 * @since 0.1.0
 */
export type Blamed = "peer" | "caller" | "nobody"

const outcomes: Readonly<Record<Code, Outcome>> = {
  CANCELLED: "ignorable",
  UNKNOWN: "failure",
  INVALID_ARGUMENT: "success",
  DEADLINE_EXCEEDED: "failure",
  NOT_FOUND: "success",
  ALREADY_EXISTS: "success",
  PERMISSION_DENIED: "success",
  RESOURCE_EXHAUSTED: "rejected",
  FAILED_PRECONDITION: "success",
  ABORTED: "success",
  OUT_OF_RANGE: "success",
  UNIMPLEMENTED: "success",
  INTERNAL: "failure",
  UNAVAILABLE: "failure",
  DATA_LOSS: "failure",
  UNAUTHENTICATED: "success"
}

/** How grpc-go, grpc-js, Python, Java and we say that a request could not be decoded. */
const undecodable =
  /\b(?:decod|deserializ|unmarshal|pars)\w* .*\b(?:request|message)\b|\binvalid protobuf byte sequence\b/i

/** How they, C# and Connect say that a message is too large. */
const tooLarge = /\bmessage\b.*\b(?:larger than|exceeds)\b/i

/** Codes that this process gives to what the peer, or the way to it, did to a call. */
const isOfTheWay = (code: Code): boolean => code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED"

/** Whether a server's words say that the request is at fault and its code does not. */
const isAboutRequest = ({ code, reason }: RpcError): boolean =>
  (code === "INTERNAL" && undecodable.test(reason.message)) ||
  (code === "RESOURCE_EXHAUSTED" && tooLarge.test(reason.message))

/**
 * What a code says about the peer that sent it, where nothing else is known of the error.
 *
 * @category classifiers
 * @since 0.1.0
 */
export const fromCode = (code: Code): Outcome => outcomes[code]

/**
 * What an error says about the peer of its attempt.
 *
 * @example
 * import { RpcError } from "trunkline"
 * import { Outcome } from "trunkline/extend"
 *
 * Outcome.of(RpcError.make("INTERNAL", "out of disk", { origin: "remote" })) // => "failure"
 * Outcome.of(RpcError.make("INTERNAL", "cannot encode the request", { origin: "local" })) // => "ignorable"
 *
 * @category classifiers
 * @since 0.1.0
 */
export const of = (error: RpcError): Outcome => {
  const { code, origin, progress } = error
  if (progress === "not_started" || progress === "dropped" || code === "CANCELLED") return "ignorable"
  if (progress === "refused") return "rejected"
  if (origin === "local") return isOfTheWay(code) ? "failure" : "ignorable"
  return isAboutRequest(error) ? "success" : outcomes[code]
}

/**
 * Whether an error says that the peer, or the way to it, takes no calls now: it is unavailable, or rejects them. This speaks
 * against the connection; a failure with another code speaks against the call.
 *
 * @category classifiers
 * @since 0.1.0
 */
export const isUnavailable = (error: RpcError): boolean => {
  const outcome = of(error)
  return outcome === "rejected" || (outcome === "failure" && error.code === "UNAVAILABLE")
}

/**
 * Whether the peer did not answer a call before its deadline.
 *
 * @category classifiers
 * @since 0.1.0
 */
export const isTimeout = (error: RpcError): boolean => error.code === "DEADLINE_EXCEEDED" && of(error) === "failure"

/**
 * Who is to blame for an error.
 *
 * @category classifiers
 * @since 0.1.0
 */
export const blamed = (error: RpcError): Blamed => {
  const outcome = of(error)
  if (outcome === "failure" || outcome === "rejected") return "peer"
  if (outcome === "success") return "caller"
  const { code, origin, progress } = error
  return progress === "dropped" || code === "CANCELLED" || origin === "remote" || isOfTheWay(code) ? "nobody" : "caller"
}

/**
 * Whether a call failed before a peer because of what it is: it cannot be encoded, sent or read by this process. It would fail
 * in the same way on any other, so it is never tried again and costs no budget.
 *
 * @category classifiers
 * @since 0.1.0
 */
export const isOfTheCall = ({ code, origin, peer, progress }: RpcError): boolean =>
  origin === "local" &&
  progress !== "dropped" &&
  (code === "INTERNAL" || (code === "RESOURCE_EXHAUSTED" && peer !== undefined))
