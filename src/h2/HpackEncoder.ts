/**
 * Fields to header blocks (HPACK).
 *
 * Which fields are worth a place in the table is learned: a field whose value is the same as last time gets one, so what
 * every call repeats costs a byte, and what changes with each call pushes nothing out. Secrets never get one and say so.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7541
 */
import { type Entry, HeaderTable, staticTable } from "./HeaderTable.ts"
import * as Huffman from "./Huffman.ts"

/** Secrets: no table on the way may keep them (RFC 7541, 7.1.3). */
const secrets: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie", "set-cookie"])

/** Values longer than this are not worth a table of the usual 4,096 bytes. */
const maxIndexedValue = 512

/** How many names the encoder remembers the last value of. */
const maxRemembered = 256

/** Where a table has a name: the index of a field with this value, or of one with another. */
interface Names {
  /** Static indexes by value. */
  readonly fixed: Map<string, number>
  /** Any static index of the name; 0 if there is none. */
  readonly index: number
  /** Dynamic entries by value: the numbers they came as. */
  readonly numbers: Map<string, number>
}

const fixedNames = new Map<string, { readonly fixed: Map<string, number>; readonly index: number }>()
for (const [i, { name, value }] of staticTable.entries()) {
  const known = fixedNames.get(name) ?? { fixed: new Map<string, number>(), index: i + 1 }
  known.fixed.set(value, i + 1)
  fixedNames.set(name, known)
}

/** Encodes the blocks of one direction of a connection. */
export class HpackEncoder {
  readonly #table: HeaderTable
  readonly #names = new Map<string, Names>()
  readonly #last = new Map<string, string>()
  readonly #maxTableSize: number
  /** The smallest size the table has had since the last block, and whether the peer has to be told. */
  #smallest: number
  #updateDue = false
  #out = Buffer.allocUnsafe(1024)
  #at = 0

  /** `maxTableSize` is the most memory this side gives to the table, whatever the peer would allow. */
  constructor(maxTableSize: number = 4096) {
    this.#maxTableSize = maxTableSize
    this.#table = new HeaderTable(Math.min(4096, maxTableSize), (entry, number) => this.#forget(entry, number))
    this.#smallest = this.#table.maxSize
    // The peer starts with 4,096 bytes.
    this.#updateDue = maxTableSize < 4096
  }

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. */
  setLimit(limit: number): void {
    const size = Math.min(limit, this.#maxTableSize)
    if (size === this.#table.maxSize) return
    this.#table.resize(size)
    this.#smallest = Math.min(this.#smallest, size)
    this.#updateDue = true
  }

  /** The block of fields, names and values by turns. It is valid until the next call. */
  encode(fields: ReadonlyArray<string>): Buffer {
    this.#at = 0
    if (this.#updateDue) this.#sizeUpdates()
    for (let i = 0; i < fields.length; i += 2) this.#field(fields[i]!, fields[i + 1]!)
    return this.#out.subarray(0, this.#at)
  }

  /** If the table was smaller in between, the peer must know that too (RFC 7541, 4.2). */
  #sizeUpdates(): void {
    const size = this.#table.maxSize
    this.#room(16)
    if (this.#smallest < size) this.#integer(0x20, 5, this.#smallest)
    this.#integer(0x20, 5, size)
    this.#smallest = size
    this.#updateDue = false
  }

  #field(name: string, value: string): void {
    this.#room(16 + name.length + value.length)
    const names = this.#names.get(name)
    const fixed = names ?? fixedNames.get(name)
    const exact = fixed?.fixed.get(value)
    if (exact !== undefined) return this.#integer(0x80, 7, exact)
    const number = names?.numbers.get(value)
    if (number !== undefined) return this.#integer(0x80, 7, this.#table.indexOf(number))
    const nameIndex = fixed?.index ?? 0
    if (secrets.has(name)) return this.#literal(0x10, 4, nameIndex, name, value)
    if (!this.#isRepeated(name, value)) return this.#literal(0, 4, nameIndex, name, value)
    this.#literal(0x40, 6, nameIndex, name, value)
    if (this.#table.add({ name, value, problem: undefined })) this.#remember(name, value)
  }

  #isRepeated(name: string, value: string): boolean {
    if (value.length > maxIndexedValue) return false
    if (this.#last.get(name) === value) return true
    if (this.#last.size >= maxRemembered) this.#last.clear()
    this.#last.set(name, value)
    return false
  }

  #remember(name: string, value: string): void {
    let names = this.#names.get(name)
    if (names === undefined) {
      const known = fixedNames.get(name)
      names = { fixed: known?.fixed ?? new Map(), index: known?.index ?? 0, numbers: new Map() }
      this.#names.set(name, names)
    }
    names.numbers.set(value, this.#table.inserted - 1)
  }

  #forget({ name, value }: Entry, number: number): void {
    const names = this.#names.get(name)
    if (names?.numbers.get(value) === number) names.numbers.delete(value)
    if (names?.numbers.size === 0) this.#names.delete(name)
  }

  #literal(first: number, prefix: number, nameIndex: number, name: string, value: string): void {
    this.#integer(first, prefix, nameIndex)
    if (nameIndex === 0) this.#string(name)
    this.#string(value)
  }

  #string(text: string): void {
    const coded = Huffman.encodedLength(text)
    if (coded < text.length) {
      this.#integer(0x80, 7, coded)
      this.#at = Huffman.encode(text, this.#out, this.#at)
    } else {
      this.#integer(0, 7, text.length)
      this.#at += this.#out.write(text, this.#at, "latin1")
    }
  }

  #integer(first: number, prefix: number, value: number): void {
    const max = (1 << prefix) - 1
    if (value < max) {
      this.#out[this.#at++] = first | value
      return
    }
    this.#out[this.#at++] = first | max
    let rest = value - max
    for (; rest >= 0x80; rest >>>= 7) this.#out[this.#at++] = (rest & 0x7f) | 0x80
    this.#out[this.#at++] = rest
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#out.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#out.length * 2, this.#at + bytes))
    this.#out.copy(larger, 0, 0, this.#at)
    this.#out = larger
  }
}
