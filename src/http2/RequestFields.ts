/**
 * Which metadata can be sent as header fields of a request, and what is wrong with the rest.
 *
 * Metadata is checked where it is made, but what came from elsewhere may be passed on, and a field that is no HTTP/2 field
 * costs more than its call: Node destroys the connection for a bad name, and for a NUL in a value.
 */
import type { Metadata, Value } from "../call/Metadata.ts"

/** Why a field cannot be sent. It names the field, and not its value, which may be a secret. */
export class FieldProblem {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

const validName = /^[0-9a-z_.-]+$/
const validText = /^[\x20-\x7e]*$/

/** Fields that say how the request is sent. HTTP/2 allows no message to have some, and this side sends the others itself. */
const ofTheConnection: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-timeout",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade"
])

const unfit = (key: string, values: ReadonlyArray<Value>): string | undefined => {
  if (!validName.test(key)) return "a key is made of 0-9 a-z _ . -"
  if (ofTheConnection.has(key)) return "belongs to the protocol"
  return values.every((value) => typeof value !== "string" || validText.test(value))
    ? undefined
    : "text is printable ASCII"
}

/** What is wrong with the first entry that cannot be sent. */
export const problemOf = (metadata: Metadata): FieldProblem | undefined => {
  for (const [key, values] of metadata) {
    const problem = unfit(key, values)
    if (problem !== undefined) return new FieldProblem(`metadata key ${JSON.stringify(key)}: ${problem}`)
  }
  return undefined
}

const codes: ReadonlySet<unknown> = new Set([
  "ERR_HTTP2_HEADER_SINGLE_VALUE",
  "ERR_HTTP2_INVALID_CONNECTION_HEADERS",
  "ERR_HTTP2_INVALID_PSEUDOHEADER",
  "ERR_INVALID_HTTP_TOKEN"
])

/** What Node threw, if it threw about a field; its text names the field. */
export const fromThrown = (error: unknown): FieldProblem | undefined =>
  error instanceof Error && "code" in error && codes.has(error.code) ? new FieldProblem(error.message) : undefined
