/**
 * Header blocks to fields (HPACK).
 *
 * A block changes the table of its connection, so it is always decoded to its end, also when its list is too long to be
 * kept or has a field that is not allowed. Only a block that is not HPACK ends the connection.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7541
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import { fieldProblem } from "./FieldRules.ts"
import { type Entry, HeaderTable, sizeOf } from "./HeaderTable.ts"
import * as Huffman from "./Huffman.ts"

/** What a block says. */
export interface DecodedBlock {
  /** Names and values by turns, in the order they came; cut where the list became too long. */
  readonly fields: Array<string>
  /** Whether the list is longer than allowed. */
  readonly tooLong: boolean
  /** The first thing RFC 9113 holds against a field. */
  readonly problem: string | undefined
}

const broken = (message: string) => new ConnectionError(ErrorCode.COMPRESSION_ERROR, message)

/** Decodes the blocks of one direction of a connection. */
export class HpackDecoder {
  readonly #table: HeaderTable
  /** What the table's size may be set to: what this side has announced. */
  #limit: number
  /** Set while the peer owes a size update, because the limit went below what the table has. */
  #updateDue = false
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0

  constructor(tableSize: number) {
    this.#table = new HeaderTable(tableSize)
    this.#limit = tableSize
  }

  /** The peer has acknowledged a new size of the table. */
  setLimit(limit: number): void {
    this.#limit = limit
    if (limit < this.#table.maxSize) this.#updateDue = true
  }

  /** Decodes a block whose list has at most `maxListSize` bytes, each field counted with 32 more. Throws `ConnectionError`. */
  decode(bytes: Uint8Array, maxListSize: number): DecodedBlock {
    this.#bytes = bytes
    this.#at = 0
    this.#sizeUpdates()
    const fields: Array<string> = []
    let size = 0
    let problem: string | undefined
    while (this.#at < bytes.length) {
      const entry = this.#field(bytes[this.#at]!)
      size += sizeOf(entry.name, entry.value)
      if (size <= maxListSize) fields.push(entry.name, entry.value)
      problem ??= entry.problem
    }
    return { fields, tooLong: size > maxListSize, problem }
  }

  /** They stand at the beginning of a block or nowhere (RFC 7541, 4.2). */
  #sizeUpdates(): void {
    while (this.#at < this.#bytes.length && (this.#bytes[this.#at]! & 0xe0) === 0x20) {
      const size = this.#integer(5)
      if (size > this.#limit) throw broken(`a header table of ${size} bytes, more than the ${this.#limit} allowed`)
      this.#table.resize(size)
      this.#updateDue = false
    }
    if (this.#updateDue) throw broken("no update of the header table's size, which has gone down")
  }

  #field(first: number): Entry {
    if ((first & 0x80) !== 0) return this.#indexed(this.#integer(7))
    if ((first & 0xe0) === 0x20) throw broken("an update of the header table's size after a field")
    const added = (first & 0x40) !== 0
    const index = this.#integer(added ? 6 : 4)
    const name = index === 0 ? this.#string() : this.#indexed(index).name
    const value = this.#string()
    const entry = { name, value, problem: fieldProblem(name, value) }
    if (added) this.#table.add(entry)
    return entry
  }

  #indexed(index: number): Entry {
    const entry = this.#table.at(index)
    if (entry === undefined) throw broken(`no header field has the index ${index}`)
    return entry
  }

  /** An integer whose first byte has `prefix` bits for it (RFC 7541, 5.1). */
  #integer(prefix: number): number {
    const bytes = this.#bytes
    const max = (1 << prefix) - 1
    let value = bytes[this.#at++]! & max
    if (value < max) return value
    for (let shift = 0; ; shift += 7) {
      if (this.#at >= bytes.length) throw broken("a header block ends inside an integer")
      // Four bytes hold more than any limit here, also when they are zeros that mean nothing.
      if (shift > 21) throw broken("an integer of a header block is too large")
      const byte = bytes[this.#at++]!
      value += (byte & 0x7f) << shift
      if ((byte & 0x80) === 0) return value
    }
  }

  #string(): string {
    const bytes = this.#bytes
    if (this.#at >= bytes.length) throw broken("a header block ends inside a field")
    const huffman = (bytes[this.#at]! & 0x80) !== 0
    const length = this.#integer(7)
    const start = this.#at
    const end = start + length
    if (end > bytes.length) throw broken("a header block ends inside a string")
    this.#at = end
    if (!huffman) return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString("latin1")
    const text = Huffman.decode(bytes, start, end)
    if (text === undefined) throw broken("a string of a header block is not Huffman code")
    return text
  }
}
