/**
 * HPACK's Huffman code.
 *
 * The code is canonical: the lengths say everything. Symbols of one length have consecutive codes, and each length goes on
 * where the one before ended.
 *
 * @see https://www.rfc-editor.org/rfc/rfc7541#appendix-B
 */

/** The number of bits of each symbol; the last is EOS. Pairs of how many symbols in a row have how many bits. */
// oxfmt-ignore
const runs = [
  1,13, 1,23, 7,28, 1,24, 1,30, 2,28, 1,30, 8,28, 1,30, 9,28,
  1,6, 2,10, 1,12, 1,13, 1,6, 1,8, 1,11, 2,10, 1,8, 1,11, 1,8, 3,6, 3,5, 7,6, 1,7, 1,8, 1,15, 1,6, 1,12, 1,10,
  1,13, 1,6, 22,7, 1,8, 1,7, 1,8, 1,13, 1,19, 1,13, 1,14, 1,6,
  1,15, 1,5, 1,6, 1,5, 1,6, 1,5, 3,6, 1,5, 2,7, 3,6, 1,5, 1,6, 1,7, 1,6, 2,5, 1,6, 5,7, 1,15, 1,11, 1,14, 1,13, 1,28,
  1,20, 1,22, 2,20, 3,22, 1,23, 1,22, 5,23, 1,24, 1,23, 2,24, 1,22, 1,23, 1,24, 4,23, 1,21, 1,22, 1,23, 1,22, 2,23, 1,24,
  1,22, 1,21, 1,20, 2,22, 2,23, 1,21, 1,23, 2,22, 1,24, 1,21, 1,22, 2,23, 2,21, 1,22, 1,21, 1,23, 1,22, 2,23, 1,20,
  3,22, 1,23, 2,22, 1,23, 2,26, 1,20, 1,19, 1,22, 1,23, 1,22, 1,25, 3,26, 2,27, 1,26, 1,24, 1,25, 1,19, 1,21, 1,26,
  2,27, 1,26, 1,27, 1,24, 2,21, 2,26, 1,28, 3,27, 1,20, 1,24, 1,20, 1,21, 1,22, 2,21, 1,23, 2,22, 2,25, 2,24, 1,26,
  1,23, 1,26, 1,27, 2,26, 5,27, 1,28, 5,27, 1,26, 1,30
]

const endOfString = 256

const lengths = new Uint8Array(endOfString + 1)
const codes = new Uint32Array(endOfString + 1)

const assign = (): void => {
  let symbol = 0
  for (let i = 0; i < runs.length; i += 2) {
    lengths.fill(runs[i + 1]!, symbol, symbol + runs[i]!)
    symbol += runs[i]!
  }
  let code = 0
  for (let bits = 5; bits <= 30; bits++) {
    for (let s = 0; s <= endOfString; s++) if (lengths[s] === bits) codes[s] = code++
    code *= 2
  }
}
assign()

/** How many bytes the code of a string has. Characters are bytes. */
export const encodedLength = (text: string): number => {
  let bits = 0
  for (let i = 0; i < text.length; i++) bits += lengths[text.charCodeAt(i) & 0xff]!
  return (bits + 7) >>> 3
}

/** Writes the code of a string at `offset` and returns where it ends. */
export const encode = (text: string, out: Uint8Array, offset: number): number => {
  let pending = 0
  let bits = 0
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff
    let left = lengths[symbol]!
    const code = codes[symbol]!
    // At most 7 bits are pending, so 24 more always fit into 31.
    if (left > 24) {
      left -= 24
      pending = (pending << left) | (code >>> 24)
      bits += left
      while (bits >= 8) out[offset++] = pending >>> (bits -= 8)
      pending &= (1 << bits) - 1
      left = 24
    }
    pending = (pending << left) | (code & ((1 << left) - 1))
    bits += left
    while (bits >= 8) out[offset++] = pending >>> (bits -= 8)
    pending &= (1 << bits) - 1
  }
  // The rest of the last byte is the beginning of EOS: all ones.
  if (bits > 0) out[offset++] = (pending << (8 - bits)) | (0xff >>> bits)
  return offset
}

/*
 * Decoding takes four bits a step. The shortest code has five, so a step completes at most one symbol. An entry of the
 * table holds the next state, the symbol if there is one, and whether the input may end here.
 */
const emits = 1 << 16
const mayEnd = 1 << 17
const invalid = 1 << 18
const symbolShift = 8

/** The nodes of the code's tree: the left and the right child of each, a node's number or -1 - symbol. */
const tree = (): ReadonlyArray<readonly [number, number]> => {
  const nodes: Array<[number, number]> = [[0, 0]]
  for (let symbol = 0; symbol <= endOfString; symbol++) {
    let node = 0
    for (let bit = lengths[symbol]! - 1; bit >= 0; bit--) {
      const side = (codes[symbol]! >>> bit) & 1
      if (bit === 0) nodes[node]![side] = -1 - symbol
      else {
        if (nodes[node]![side] === 0) nodes[node]![side] = nodes.push([0, 0]) - 1
        node = nodes[node]![side]!
      }
    }
  }
  return nodes
}

const transitions = (): Uint32Array => {
  const nodes = tree()
  /** Padding is the beginning of EOS and shorter than a byte (RFC 7541, 5.2). */
  const endings = new Set<number>()
  for (let node = 0, depth = 0; depth < 8; depth++, node = nodes[node]![1]!) endings.add(node)
  const table = new Uint32Array(nodes.length * 16)
  for (let state = 0; state < nodes.length; state++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state
      let entry = 0
      for (let bit = 3; bit >= 0; bit--) {
        const child = nodes[node]![(nibble >>> bit) & 1]!
        if (child === -1 - endOfString) entry = invalid
        if (child < 0) {
          if (entry !== invalid) entry = emits | ((-1 - child) << symbolShift)
          node = 0
        } else node = child
      }
      table[state * 16 + nibble] = entry === invalid ? invalid : entry | node | (endings.has(node) ? mayEnd : 0)
    }
  }
  return table
}

/** Made with the first string that is decoded. */
let table: Uint32Array | undefined
let scratch = Buffer.allocUnsafe(1024)

/** The string of a code; `undefined` if it is not one. */
export const decode = (bytes: Uint8Array, start: number, end: number): string | undefined => {
  const states = (table ??= transitions())
  if (scratch.length < (end - start) * 2) scratch = Buffer.allocUnsafe((end - start) * 2)
  let length = 0
  let entry = mayEnd
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!
    entry = states[(entry & 0xff) * 16 + (byte >>> 4)]!
    if ((entry & emits) !== 0) scratch[length++] = (entry >>> symbolShift) & 0xff
    else if (entry === invalid) return undefined
    entry = states[(entry & 0xff) * 16 + (byte & 15)]!
    if ((entry & emits) !== 0) scratch[length++] = (entry >>> symbolShift) & 0xff
    else if (entry === invalid) return undefined
  }
  return (entry & mayEnd) === 0 ? undefined : scratch.toString("latin1", 0, length)
}
