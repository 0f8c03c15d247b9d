/**
 * Metadata to and from the header fields of HTTP/2.
 *
 * A value is a field of its own, so values keep their order and text may contain commas. Bytes travel as base64, where
 * somebody on the way may have joined several.
 */
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, sensitiveHeaders } from "node:http2"
import type { Metadata, Value } from "../call/Metadata.ts"
import { isOwned } from "../call/MetadataField.ts"

const toField = (value: Value): string =>
  typeof value === "string"
    ? value
    : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64").replace(/=+$/, "")

/** Fields that are secrets: they stay out of the compression tables of both sides. */
const secrets = ["authorization", "proxy-authorization", "cookie"]

/** Adds metadata to header fields. */
export const addTo = (fields: OutgoingHttpHeaders, metadata: Metadata): OutgoingHttpHeaders => {
  for (const [key, values] of metadata) {
    fields[key] = values.length === 1 ? toField(values[0]!) : values.map(toField)
    if (secrets.includes(key)) fields[sensitiveHeaders as unknown as string] = secrets
  }
  return fields
}

const fromField = (key: string, field: string): ReadonlyArray<Value> =>
  key.endsWith("-bin")
    ? field.split(",").map((part) => {
        const bytes = Buffer.from(part, "base64")
        return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
      })
    : [field]

/** Metadata from fields as they came: names and values by turns. */
export const fromRaw = (fields: ReadonlyArray<string>): Metadata => {
  const out = new Map<string, ReadonlyArray<Value>>()
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const key = fields[index]!.toLowerCase()
    if (isOwned(key)) continue
    const values = fromField(key, fields[index + 1]!)
    const before = out.get(key)
    out.set(key, before === undefined ? values : [...before, ...values])
  }
  return out
}

/** One field that occurs once. */
export const field = (headers: IncomingHttpHeaders, name: string): string | undefined => {
  const value = headers[name]
  return Array.isArray(value) ? value.at(-1) : value
}
