/**
 * What a `Schema` finds wrong with a message, in words that hold nothing of the message.
 *
 * The words go into error messages, which are logged and sent to other processes. So they say which field, and what its
 * schema expects; texts that a check makes of the value it refuses are left out. A message can be wrong in as many places
 * as it has bytes, so only the first few are told.
 */
import { Schema, SchemaIssue } from "effect"

/**
 * One thing that is wrong.
 *
 * @category models
 * @since 0.1.0
 */
export interface SchemaProblem {
  /** The path of the field, such as `user.mails[2]`; empty for the message as a whole. */
  readonly field: string
  readonly problem: string
}

/** No path and no expectation needs more characters to be understood. */
const mostCharacters = 120

/** Text that is not too long to be told. */
export const cut = (text: string, most = mostCharacters): string => {
  if (text.length <= most) return text
  // A character outside the basic plane is not cut in two.
  const end = text.codePointAt(most - 2)! > 0xffff ? most - 2 : most - 1
  return `${text.slice(0, end)}…`
}

/** A key that is not a plain name is quoted, as names of services have dots. */
const segment = (key: PropertyKey): string =>
  typeof key === "number" ? `[${key}]` : /^\w+$/.test(String(key)) ? `.${String(key)}` : `[${JSON.stringify(key)}]`

/** A path as text, such as `user.mails[2]`; empty for the value as a whole. */
export const fieldOf = (path: ReadonlyArray<PropertyKey>): string => path.map(segment).join("").replace(/^\./, "")

const inFull = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => (issue._tag === "MissingKey" ? "is missing" : SchemaIssue.defaultLeafHook(issue))
})

/**
 * The problems of a configuration, in full: its author reads them, so they may quote its values.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofConfiguration = (
  issue: SchemaIssue.Issue,
  at: ReadonlyArray<PropertyKey> = []
): ReadonlyArray<SchemaProblem> =>
  inFull(issue).issues.map(({ message, path }) => ({
    field: fieldOf([...at, ...((path ?? []) as ReadonlyArray<PropertyKey>)]),
    problem: message
  }))

const something = "Expected a valid value"

const saysOwnWords = (issue: SchemaIssue.Issue): boolean =>
  issue._tag === "InvalidValue" && issue.annotations?.message !== undefined

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) =>
    SchemaIssue.hasInput(issue) || saysOwnWords(issue) ? something : SchemaIssue.defaultLeafHook(issue),
  checkHook: ({ filter, issue }) => {
    const { expected, message } = filter.annotations ?? {}
    if (typeof message === "string") return message
    if (typeof expected === "string") return `Expected ${expected}`
    return issue._tag === "InvalidValue" ? something : undefined
  }
})

/**
 * The problems of an issue, in its order.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofIssue = (issue: SchemaIssue.Issue, most = 8): ReadonlyArray<SchemaProblem> =>
  format(issue)
    .issues.slice(0, most)
    .map(({ message, path }) => ({ field: fieldOf((path ?? []) as ReadonlyArray<PropertyKey>), problem: message }))

/** What protobuf-es says of a field that cannot be written; the rest of its text quotes the value. */
const protobufField = /^cannot encode field ([\w.]+) to binary/

/**
 * What an error of a codec says of the message, if it says anything that may be told.
 *
 * @category conversions
 * @since 0.1.0
 */
export const ofCause = (cause: unknown): string | undefined => {
  if (Schema.isSchemaError(cause)) {
    const problems = ofIssue(cause.issue).map(({ field, problem }) =>
      field === "" ? cut(problem) : `${cut(field)}: ${cut(problem)}`
    )
    return problems.length === 0 ? undefined : problems.join("; ")
  }
  const field = cause instanceof Error ? protobufField.exec(cause.message)?.[1] : undefined
  return field === undefined ? undefined : `${cut(field)}: Expected a valid value`
}
