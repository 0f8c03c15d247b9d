/**
 * How much metadata one header block may carry.
 *
 * HTTP/2 implementations bound header blocks: over the bound Node sends nothing and tells nobody, and others end the stream
 * or the connection. So both sides of a call count first. What a program sets beyond the limit is a typed error that names
 * the largest field; what is only passed on is dropped, largest first, so that the status arrives.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2
 */
import { Data } from "effect"
import * as Metadata from "./Metadata.ts"

/**
 * The default of every `maxMetadataBytes`, and the most that grpc-js can carry: it leaves Node's bound of 64 KiB, of which
 * the protocol's own fields need some.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaultMaxBytes = 60_000

/** What a field counts besides its name and its value. */
const overhead = 32

/** The longest value that Node and others read. A longer one ends the whole connection, on which it cannot be skipped. */
const longestValue = 65_535

/** Bytes travel as base64. */
const lengthOf = (value: Metadata.Value): number =>
  typeof value === "string" ? value.length : Math.ceil(value.length / 3) * 4

const sizeOfField = (key: string, values: ReadonlyArray<Metadata.Value>): number => {
  let size = 0
  for (const value of values) size += key.length + overhead + lengthOf(value)
  return size
}

const isTooLong = (values: ReadonlyArray<Metadata.Value>): boolean =>
  values.some((value) => lengthOf(value) > longestValue)

/**
 * Bytes of metadata as HTTP/2 counts a header list: name, value and 32 for each field.
 *
 * @category getters
 * @since 0.1.0
 */
export const sizeOf = (metadata: Metadata.Metadata): number => {
  let size = 0
  for (const [key, values] of metadata) size += sizeOfField(key, values)
  return size
}

/**
 * Metadata over the limit. The message names the largest field and never says its value.
 *
 * @category errors
 * @since 0.1.0
 */
export class MetadataTooLarge extends Data.TaggedError("MetadataTooLarge")<{
  /** Bytes of all fields. */
  readonly size: number
  readonly limit: number
  /** Whether the limit is that of one value, which no option changes. */
  readonly ofOneValue: boolean
  /** The largest field. */
  readonly key: string
  /** Bytes of the largest field, all its values together. */
  readonly keySize: number
}> {
  override get message(): string {
    return `metadata of ${this.size} bytes is over ${this.ofOneValue ? "what one value may have" : "maxMetadataBytes"}, ${this.limit}; its largest key is ${JSON.stringify(this.key)} with ${this.keySize}`
  }
}

const bySize = (metadata: Metadata.Metadata): ReadonlyArray<readonly [string, number]> =>
  [...metadata].map(([key, values]) => [key, sizeOfField(key, values)] as const).sort(([, a], [, b]) => b - a)

/**
 * What is wrong with metadata that is larger than a limit in bytes.
 *
 * @category checks
 * @since 0.1.0
 */
export const check = (metadata: Metadata.Metadata, limit: number): MetadataTooLarge | undefined => {
  if (metadata.size === 0) return undefined
  const size = sizeOf(metadata)
  if (size > limit) {
    const [key, keySize] = bySize(metadata)[0]!
    return new MetadataTooLarge({ size, limit, ofOneValue: false, key, keySize })
  }
  if (size <= longestValue) return undefined
  for (const [key, values] of metadata) {
    if (!isTooLong(values)) continue
    const keySize = sizeOfField(key, values)
    return new MetadataTooLarge({ size, limit: longestValue, ofOneValue: true, key, keySize })
  }
  return undefined
}

/**
 * What can be sent of metadata that is passed on: without the fields that no header can be, and without the largest ones
 * where all are over the limit.
 *
 * @category combinators
 * @since 0.1.0
 */
export const fit = (metadata: Metadata.Metadata, limit: number): Metadata.Metadata => {
  if (metadata.size === 0) return metadata
  const sendable = Metadata.sendable(metadata)
  let size = sizeOf(sendable)
  if (size <= limit && size <= longestValue) return sendable
  const left = new Map(sendable)
  for (const [key, keySize] of bySize(sendable)) {
    if (size <= limit && !isTooLong(left.get(key)!)) continue
    left.delete(key)
    size -= keySize
  }
  return left
}
