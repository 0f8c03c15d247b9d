/**
 * Which metadata can be sent as header fields of a request, and what is wrong with the rest.
 *
 * Metadata is checked where it is made, but what came from elsewhere may be passed on, and a field that is no HTTP/2 field
 * costs more than its call: Node destroys the connection for a bad name, and for a NUL in a value.
 */
import { type Metadata, MetadataError } from "../call/Metadata.ts"
import * as MetadataField from "../call/MetadataField.ts"

/** Why a field cannot be sent. It names the field, and not its value, which may be a secret. */
export class FieldProblem {
  readonly message: string

  constructor(message: string) {
    this.message = message
  }
}

/** What is wrong with the first entry that cannot be sent. */
export const problemOf = (metadata: Metadata): FieldProblem | undefined => {
  for (const [key, values] of metadata) {
    const problem = MetadataField.problemOf(key, values)
    if (problem !== undefined) return new FieldProblem(new MetadataError({ key, problem }).message)
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
