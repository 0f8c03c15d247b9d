/**
 * Which fields a message may have.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.2
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-8.3
 */

/** Fields that speak of an HTTP/1 connection, and have no meaning here. */
const connectionSpecific: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade"
])

const token = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/
const badValue = /[\0\r\n]|^[ \t]|[ \t]$/

/** What is wrong with one field by itself; `undefined` if nothing is. */
export const fieldProblem = (name: string, value: string): string | undefined => {
  if (!token.test(name)) return /[A-Z]/.test(name) ? "a field's name has upper case" : "a field's name is malformed"
  if (badValue.test(value)) return `the value of ${name} is malformed`
  if (connectionSpecific.has(name)) return `${name} is not allowed`
  if (name === "te" && value !== "trailers") return "te may only be trailers"
  return undefined
}

/** The kinds of header blocks. */
export type BlockKind = "request" | "response" | "trailers"

const pseudoOf: Readonly<Record<BlockKind, ReadonlyArray<string>>> = {
  request: [":method", ":scheme", ":authority", ":path"],
  response: [":status"],
  trailers: []
}

/** The value of a field in a list of names and values by turns. */
export const valueOf = (fields: ReadonlyArray<string>, name: string): string | undefined => {
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === name) return fields[i + 1]
  return undefined
}

/** What is wrong with a list of fields as a whole, each of which is right by itself; `undefined` if nothing is. */
export const listProblem = (fields: ReadonlyArray<string>, kind: BlockKind): string | undefined => {
  const allowed = pseudoOf[kind]
  let seen = 0
  let regular = false
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i]!
    if (name.charCodeAt(0) !== 0x3a) regular = true
    else {
      const bit = 1 << allowed.indexOf(name)
      if (!allowed.includes(name)) return `${name} is not allowed in ${kind === "trailers" ? "trailers" : `a ${kind}`}`
      if (regular) return `${name} comes after other fields`
      if ((seen & bit) !== 0) return `${name} comes twice`
      seen |= bit
    }
  }
  if (kind === "response") return seen === 1 ? undefined : "there is no :status"
  return kind === "request" ? requestProblem(fields, seen) : undefined
}

const requestProblem = (fields: ReadonlyArray<string>, seen: number): string | undefined => {
  if ((seen & 1) === 0) return "there is no :method"
  if (valueOf(fields, ":method") === "CONNECT") {
    return (seen & 0b1010) !== 0 ? "CONNECT has no :scheme and no :path" : undefined
  }
  if ((seen & 0b10) === 0) return "there is no :scheme"
  if ((seen & 0b1000) === 0) return "there is no :path"
  return valueOf(fields, ":path") === "" ? ":path is empty" : undefined
}
