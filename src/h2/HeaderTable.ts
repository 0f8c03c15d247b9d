/**
 * The fields HPACK can name by a number: the static table of the RFC and the dynamic table of a connection.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7541#section-2.3
 */
import { fieldProblem } from "./FieldRules.ts"

/** A field of a table. */
export interface Entry {
  readonly name: string
  readonly value: string
  /** What RFC 9113 holds against the field; looked at once, when it comes into the table. */
  readonly problem: string | undefined
}

/** The static table, from index 1. */
// oxfmt-ignore
const fields = [
  ":authority", "", ":method", "GET", ":method", "POST", ":path", "/", ":path", "/index.html", ":scheme", "http",
  ":scheme", "https", ":status", "200", ":status", "204", ":status", "206", ":status", "304", ":status", "400",
  ":status", "404", ":status", "500", "accept-charset", "", "accept-encoding", "gzip, deflate", "accept-language", "",
  "accept-ranges", "", "accept", "", "access-control-allow-origin", "", "age", "", "allow", "", "authorization", "",
  "cache-control", "", "content-disposition", "", "content-encoding", "", "content-language", "", "content-length", "",
  "content-location", "", "content-range", "", "content-type", "", "cookie", "", "date", "", "etag", "", "expect", "",
  "expires", "", "from", "", "host", "", "if-match", "", "if-modified-since", "", "if-none-match", "", "if-range", "",
  "if-unmodified-since", "", "last-modified", "", "link", "", "location", "", "max-forwards", "", "proxy-authenticate",
  "", "proxy-authorization", "", "range", "", "referer", "", "refresh", "", "retry-after", "", "server", "",
  "set-cookie", "", "strict-transport-security", "", "transfer-encoding", "", "user-agent", "", "vary", "", "via", "",
  "www-authenticate", ""
]

/** The static table. */
export const staticTable: ReadonlyArray<Entry> = Array.from({ length: fields.length / 2 }, (_, i) => {
  const name = fields[2 * i]!
  const value = fields[2 * i + 1]!
  return { name, value, problem: fieldProblem(name, value) }
})

/** What a field takes of a table's size, and of a header list's (RFC 7541, 4.1). */
export const sizeOf = (name: string, value: string): number => name.length + value.length + 32

/** The dynamic table of one direction of a connection: the newest entry first, the oldest the first to go. */
export class HeaderTable {
  /** A ring: the entry that came as number `n` is at `n` modulo its length. */
  #ring: Array<Entry | undefined> = Array.from({ length: 64 })
  #count = 0
  #inserted = 0
  #size = 0
  #maxSize: number
  readonly #evicted: ((entry: Entry, number: number) => void) | undefined

  /** `maxSize` in bytes as HPACK counts them; `evicted` is told of entries that go, with the number they came as. */
  constructor(maxSize: number, evicted?: (entry: Entry, number: number) => void) {
    this.#maxSize = maxSize
    this.#evicted = evicted
  }

  get size(): number {
    return this.#size
  }

  get maxSize(): number {
    return this.#maxSize
  }

  /** How many entries have ever come in: two equal answers mean that the table is the same. */
  get inserted(): number {
    return this.#inserted
  }

  /** The index by which HPACK knows the entry that came as number `number`. */
  indexOf(number: number): number {
    return staticTable.length + this.#inserted - number
  }

  /** The entry of an index of the static or the dynamic table. */
  at(index: number): Entry | undefined {
    if (index <= staticTable.length) return staticTable[index - 1]
    const age = index - staticTable.length - 1
    return age < this.#count ? this.#ring[(this.#inserted - 1 - age) & (this.#ring.length - 1)] : undefined
  }

  /** Adds an entry, and lets go of as many of the oldest as that takes; of all, if the entry alone is too large. */
  add(entry: Entry): boolean {
    const size = sizeOf(entry.name, entry.value)
    this.#evict(this.#maxSize - size)
    if (size > this.#maxSize) return false
    if (this.#count === this.#ring.length) this.#grow()
    this.#ring[this.#inserted++ & (this.#ring.length - 1)] = entry
    this.#count++
    this.#size += size
    return true
  }

  resize(maxSize: number): void {
    this.#maxSize = maxSize
    this.#evict(maxSize)
  }

  #evict(room: number): void {
    while (this.#size > room && this.#count > 0) {
      const number = this.#inserted - this.#count
      const slot = number & (this.#ring.length - 1)
      const oldest = this.#ring[slot]!
      this.#ring[slot] = undefined
      this.#count--
      this.#size -= sizeOf(oldest.name, oldest.value)
      this.#evicted?.(oldest, number)
    }
  }

  #grow(): void {
    const ring: Array<Entry | undefined> = Array.from({ length: this.#ring.length * 2 })
    for (let number = this.#inserted - this.#count; number < this.#inserted; number++) {
      ring[number & (ring.length - 1)] = this.#ring[number & (this.#ring.length - 1)]
    }
    this.#ring = ring
  }
}
