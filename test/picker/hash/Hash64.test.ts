import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as Crc32 from "../../../src/picker/hash/Crc32.ts"
import * as Farm32 from "../../../src/picker/hash/Farm32.ts"
import { type Algorithm, Hash64, type Key } from "../../../src/picker/hash/Hash64.ts"
import * as Xxh64 from "../../../src/picker/hash/Xxh64.ts"

const hashOf = (algorithm: Algorithm, key: Key): Hash64 => {
  const hash = new Hash64(algorithm)
  hash.read(key)
  return hash
}

const bits64 = ({ high, low }: Hash64): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)

/** Bytes that repeat only after 256. */
const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 31 + 7) & 255)

/** What the reference implementations say of so many bytes. */
const vectors = [
  [0, 0xef46db3751d8e999n, 0xdc56d17a],
  [1, 0xa96c7f0ce858bbb7n, 0xca8f538a],
  [3, 0x56e6957632a487f9n, 0x02fd104c],
  [4, 0xc60d15b1e3ff8f04n, 0xfd8f8a0a],
  [5, 0x808815858624dd4en, 0xcb69c8ee],
  [7, 0xafbefc3d6c6f9a8en, 0xd21064da],
  [8, 0x3da5c7aa269683e0n, 0x655a8263],
  [9, 0x4b17a9ba9e215c09n, 0xa80f1377],
  [12, 0x8fe8ab1c1fd0666en, 0xe7ead7a7],
  [13, 0x0382284cc19c4abbn, 0xde6cfa60],
  [20, 0x0bfbadb368e7f37cn, 0x1492093f],
  [24, 0x929438e5c2159ef9n, 0x556429e7],
  [25, 0x7e6c95919380459fn, 0x4fda6fe1],
  [31, 0x4a74f3a1a39ad4a1n, 0x726ae730],
  [32, 0x8d57d6a4671cc43dn, 0xfc8b9c53],
  [33, 0x62c9fd21ed857664n, 0x83f4ff34],
  [40, 0x49b45332e280f187n, 0xa2e0f0bb],
  [63, 0x5c320a0d2707057fn, 0xed78f695],
  [64, 0x7bbabbc45729d17en, 0xbdaa93c1],
  [100, 0xefa0ad2d3e70c151n, 0x05912381]
] as const

describe("Xxh64", () => {
  it.each(vectors)("of %i bytes", (length, expected) => {
    assert.strictEqual(bits64(hashOf(Xxh64.hash, bytes(length))), expected)
  })

  it.each([
    ["", 0xef46db3751d8e999n],
    ["a", 0xd24ec4f1a98c6e5bn],
    ["abc", 0x44bc2cf5ad770999n],
    ["Nobody inspects the spammish repetition", 0xfbcea83c8a378bf1n],
    ["é€😀", 0x8353a2bb7b2bfb71n]
  ] as const)("of the text %j", (text, expected) => {
    assert.strictEqual(bits64(hashOf(Xxh64.hash, text)), expected)
  })
})

describe("Farm32", () => {
  it.each(vectors)("of %i bytes", (length, _xxh64, expected) => {
    assert.strictEqual(hashOf(Farm32.hash, bytes(length)).high >>> 0, expected)
  })

  it.each([
    ["a", 0x3c973d4d],
    ["abcd", 0x98b51e95],
    ["abcde", 0xa3f366ac],
    ["abcdefghij", 0xf2669361],
    ["hello world", 0x19a7581a],
    ["docklandsman@gmail.com", 0x5d8cdbf4]
  ] as const)("of the text %j", (text, expected) => {
    assert.strictEqual(hashOf(Farm32.hash, text).high >>> 0, expected)
  })
})

describe("Crc32", () => {
  it.each([
    ["", 0],
    ["123456789", 0xcbf43926],
    ["a", 3904355907],
    ["key-0", 2045480940],
    ["user/42", 2122476573]
  ] as const)("of the text %j", (text, expected) => {
    assert.strictEqual(hashOf(Crc32.hash, text).high >>> 0, expected)
  })
})

describe("Hash64", () => {
  it.prop("text is hashed as TextEncoder writes it", { text: Schema.String }, ({ text }) => {
    const broken = `${text}\ud83d${text}\ude00`
    assert.deepStrictEqual(hashOf(Xxh64.hash, broken), hashOf(Xxh64.hash, new TextEncoder().encode(broken)))
  })

  it("text longer than the buffer is no different, nor is what is read after it", () => {
    const hash = new Hash64(Xxh64.hash)
    for (const text of ["é".repeat(5000), "short", "€".repeat(100_000)]) {
      hash.read(text)
      assert.strictEqual(bits64(hash), bits64(hashOf(Xxh64.hash, new TextEncoder().encode(text))))
    }
  })
})
