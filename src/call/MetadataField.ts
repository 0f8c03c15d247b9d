/**
 * Which header fields metadata may be, and what they may hold.
 *
 * A few fields belong to HTTP/2 or to gRPC, some may be there only once, and no field carries every text. Adapters refuse
 * the rest each in its own way, some by an exception out of a callback, so the rules are asked here, where metadata is set
 * and where it is passed on.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.2
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

type Value = string | Uint8Array

/** Fields of one connection, of the message's framing, and of the call's own protocol. */
const owned: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "date",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-message-type",
  "grpc-status",
  "grpc-timeout",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  // JavaScript libraries keep fields in objects, where this name is not a property.
  "__proto__"
])

/** Fields that HTTP defines with one value; Node refuses to send a second. */
const single: ReadonlySet<string> = new Set([
  "access-control-allow-credentials",
  "access-control-max-age",
  "access-control-request-method",
  "age",
  "authorization",
  "content-encoding",
  "content-language",
  "content-location",
  "content-md5",
  "content-range",
  "dnt",
  "etag",
  "expires",
  "from",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "range",
  "referer",
  "retry-after",
  "tk",
  "upgrade-insecure-requests",
  "user-agent",
  "x-content-type-options"
])

const validKey = /^[0-9a-z_.-]+$/
const validText = /^[\x20-\x7e]*$/

const problemOfValue = (value: Value, isBinary: boolean): string | undefined => {
  if (isBinary) return typeof value === "string" ? "a -bin key carries bytes" : undefined
  if (typeof value !== "string") return "bytes need a key ending in -bin"
  if (!validText.test(value)) return "text is printable ASCII; use a -bin key for the rest"
  if (value.startsWith(" ") || value.endsWith(" ")) return "HTTP/2 takes spaces away from the ends of a text"
  return undefined
}

/** Whether a field in lower case belongs to HTTP/2 or gRPC, so that it is no metadata when it comes. */
export const isOwned = (key: string): boolean => owned.has(key) || key.startsWith(":")

/** Why a field, its key in lower case, cannot be sent. */
export const problemOf = (key: string, values: ReadonlyArray<Value>): string | undefined => {
  if (!validKey.test(key)) return "a key is made of 0-9 a-z _ . -"
  if (owned.has(key)) return "the field belongs to HTTP/2 and gRPC themselves"
  if (values.length > 1 && single.has(key)) return "HTTP allows the field one value"
  const isBinary = key.endsWith("-bin")
  for (const value of values) {
    const problem = problemOfValue(value, isBinary)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Why a program cannot set a field; what gRPC adds for the other side to read, nobody else may. */
export const problemOfSetting = (key: string, values: ReadonlyArray<Value>): string | undefined =>
  key.startsWith("grpc-") ? "keys starting with grpc- belong to the protocol" : problemOf(key, values)
