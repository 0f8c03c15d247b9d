/**
 * What an error says besides its code about another try.
 *
 * Codes are coarse. An expired certificate ends a call as `UNAVAILABLE`, like a server that restarts, and will do so
 * tomorrow; a proxy's HTML page ends one as `INTERNAL`, and a second later the backend is back. These predicates read
 * what else there is: the facts on the error, the causes under it, and, where nobody left more, the text.
 */
import { Predicate } from "effect"
import * as RpcError from "../status/RpcError.ts"
import { tuningOf } from "./Retriable.ts"

/** What Node, OpenSSL and Go say when a certificate is wrong, and a token service when a login is. */
const hopeless = new RegExp(
  [
    // Node's error codes.
    /\b(?:CERT_[A-Z_]+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|ERR_TLS_CERT_ALTNAME_INVALID)\b/,
    /\b(?:UNABLE_TO_(?:VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(?:_LOCALLY)?)|HOSTNAME_MISMATCH|INVALID_(?:CA|PURPOSE))\b/,
    // Their texts.
    /\bself[- ]signed certificate\b/,
    /\bunable to (?:verify the first|get (?:local )?issuer) certificate\b/,
    /\bcertificate (?:has expired|is not yet valid|revoked|not trusted|rejected|signature failure|chain too long)\b/,
    /\bcertificate signed by unknown authority\b/,
    /\bdoes not match certificate's altnames\b|\bunsuitable certificate purpose\b|\binvalid CA certificate\b/,
    // The server did not like the client's.
    /\balert (?:bad certificate|unsupported certificate|certificate [a-z]+|unknown ca|access denied)\b/,
    // Logins.
    /\b(?:invalid_grant|invalid_client|unauthorized_client)\b|\bcould not load the default credentials\b/
  ]
    .map(({ source }) => source)
    .join("|"),
  "i"
)

const maxDepth = 8

/** The failures under one that stands for several: the peers of a pool, the addresses of a connection attempt. */
const partsOf = (cause: unknown): ReadonlyArray<unknown> | undefined => {
  if (Predicate.isTagged(cause, "NoPeerReady") && "peers" in cause && Array.isArray(cause.peers)) return cause.peers
  return Predicate.hasProperty(cause, "errors") && Array.isArray(cause.errors) ? cause.errors : undefined
}

const matches = (u: unknown): boolean => Predicate.isString(u) && hopeless.test(u)

/** Whether a failure is one of certificates or logins. One of several is enough to hope for. */
const isHopeless = (cause: unknown, depth = 0): boolean => {
  if (depth > maxDepth) return false
  const parts = partsOf(cause)
  if (parts !== undefined) return parts.length > 0 && parts.every((part) => isHopeless(part, depth + 1))
  if (!Predicate.isObject(cause)) return matches(cause)
  if (RpcError.isRpcError(cause) && (cause.code === "UNAUTHENTICATED" || cause.code === "PERMISSION_DENIED"))
    return true
  const inner: unknown = "cause" in cause ? cause.cause : undefined
  // Its text tells of all the parts together.
  if (partsOf(inner) !== undefined) return isHopeless(inner, depth + 1)
  return (
    ("code" in cause && matches(cause.code)) ||
    ("message" in cause && matches(cause.message)) ||
    isHopeless(inner, depth + 1)
  )
}

/**
 * Whether somebody who knew better has already decided that there is no other try: a retry budget was used up, or the
 * server asked to be left alone.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isFinal = (error: RpcError.RpcError): boolean => error.stopped === "budget" || error.stopped === "pushback"

/**
 * Whether another try would end the same: the error is final, or it is a certificate or a login that failed while
 * connecting, dressed as `UNAVAILABLE`. Of several peers, each has to have failed like that. The text of a server is not
 * read for this, because it tells of the server's connections and not of ours; nor is an error that `retriable` marked.
 *
 * @example
 * import { Retry, RpcError } from "trunkline"
 *
 * Retry.isPermanent(RpcError.make("UNAVAILABLE", "certificate has expired")) // => true
 * Retry.isPermanent(RpcError.make("UNAVAILABLE", "connect ECONNREFUSED 10.0.0.1:50051")) // => false
 *
 * @category predicates
 * @since 0.1.0
 */
export const isPermanent = (error: RpcError.RpcError): boolean =>
  isFinal(error) ||
  (error.code === "UNAVAILABLE" && error.origin === "local" && tuningOf(error) === undefined && isHopeless(error))

/** An HTML page, a connection cut off and a reset stream, in the words of grpc-go and grpc-js. */
const passing =
  /received (?:the )?unexpected content-type "?text\/html|unexpected EOF|RST_STREAM with (?:error code: INTERNAL_ERROR|code 2\b)/

/**
 * Whether an `INTERNAL` error is of the three kinds that pass: a proxy's HTML page in place of an answer, a message cut
 * off, a stream reset with `INTERNAL_ERROR`.
 *
 * @category predicates
 * @since 0.1.0
 */
export const isTransientInternal = (error: RpcError.RpcError): boolean =>
  error.code === "INTERNAL" && passing.test(error.reason.message)
