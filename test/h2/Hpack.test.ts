/** HPACK against the examples of RFC 7541, blocks of other implementations, and itself. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { ConnectionError } from "../../src/h2/ErrorCode.ts"
import { HpackDecoder } from "../../src/h2/HpackDecoder.ts"
import { HpackEncoder } from "../../src/h2/HpackEncoder.ts"
import * as Huffman from "../../src/h2/Huffman.ts"
import { dice } from "./dice.ts"

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(" ", ""), "hex")

const decodeAll = (blocks: ReadonlyArray<string>, tableSize = 4096): ReadonlyArray<ReadonlyArray<string>> => {
  const decoder = new HpackDecoder(tableSize)
  return blocks.map((block) => decoder.decode(hex(block), Infinity).fields)
}

const why = (f: () => unknown): string => {
  try {
    f()
  } catch (error) {
    return error instanceof ConnectionError ? error.message : `threw ${String(error)}`
  }
  return "nothing"
}

const get = [":method", "GET", ":scheme", "http", ":path", "/", ":authority", "www.example.com"]
const secondGet = [...get, "cache-control", "no-cache"]
const thirdGet = [
  ...[":method", "GET", ":scheme", "https", ":path", "/index.html", ":authority", "www.example.com"],
  ...["custom-key", "custom-value"]
]
const found = [
  ...[":status", "302", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:21 GMT"],
  ...["location", "https://www.example.com"]
]
const ok = [
  ...[":status", "200", "cache-control", "private", "date", "Mon, 21 Oct 2013 20:13:22 GMT"],
  ...["location", "https://www.example.com", "content-encoding", "gzip"],
  ...["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"]
]

describe("the examples of RFC 7541, appendix C", () => {
  it("C.3 and C.4, requests without and with Huffman code", () => {
    const expected = [get, secondGet, thirdGet]
    assert.deepStrictEqual(
      decodeAll([
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"
      ]),
      expected
    )
    assert.deepStrictEqual(
      decodeAll([
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"
      ]),
      expected
    )
  })

  it("C.5 and C.6, responses that push entries out of a table of 256 bytes", () => {
    const second = [...found]
    second[1] = "307"
    const expected = [found, second, ok]
    assert.deepStrictEqual(
      decodeAll(
        [
          "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e17" +
            "68747470733a2f2f7777772e6578616d706c652e636f6d",
          "4803333037c1c0bf",
          "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d41" +
            "53444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31"
        ],
        256
      ),
      expected
    )
    assert.deepStrictEqual(
      decodeAll(
        [
          "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
          "4883640effc1c0bf",
          "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b" +
            "3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
        ],
        256
      ),
      expected
    )
  })
})

interface Case {
  readonly wire: string
  readonly headers: ReadonlyArray<Readonly<Record<string, string>>>
  readonly header_table_size?: number | null
}

describe("blocks of other implementations", () => {
  const folder = fileURLToPath(new URL("./blocks", import.meta.url))
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith(".json")) : []

  it("are there", () => assert.isAtLeast(files.length, 10))

  it.each(files)("%s", (file) => {
    const { cases } = JSON.parse(readFileSync(`${folder}/${file}`, "utf8")) as { readonly cases: ReadonlyArray<Case> }
    const decoder = new HpackDecoder(4096)
    for (const { wire, headers, header_table_size: size } of cases) {
      if (typeof size === "number") decoder.setLimit(size)
      const expected = headers.flatMap((field) => Object.entries(field).flat())
      assert.deepStrictEqual(decoder.decode(hex(wire), Infinity).fields, expected)
    }
  })
})

describe("Huffman code", () => {
  it("carries every byte", () => {
    const roll = dice(7)
    const out = Buffer.alloc(1024)
    for (let n = 0; n < 2000; n++) {
      const text = String.fromCharCode(...Array.from({ length: roll(60) }, () => roll(256)))
      const end = Huffman.encode(text, out, 1)
      assert.strictEqual(end - 1, Huffman.encodedLength(text))
      assert.strictEqual(Huffman.decode(out, 1, end), text)
    }
  })

  it.each([
    ["padding of a byte or more", "1fff"],
    ["padding that is not all ones", "18"],
    ["EOS", "ffffffff"],
    ["EOS in the middle", "fffffffc1f"]
  ])("refuses %s", (_, code) => assert.isUndefined(Huffman.decode(hex(code), 0, hex(code).length)))
})

describe("what is not HPACK", () => {
  it.each([
    ["index 0", "80", "no header field has the index 0"],
    ["an index nobody has", "be", "no header field has the index 62"],
    ["a name nobody has", "7f00 0161", "no header field has the index 63"],
    ["an integer without an end", "ff80", "a header block ends inside an integer"],
    ["an integer that goes on and on", "ff8080808080808080800001", "an integer of a header block is too large"],
    ["a string longer than the block", "400a 6162", "a header block ends inside a string"],
    ["a block that ends after a name", "4001 61", "a header block ends inside a field"],
    ["a table larger than announced", "3fe2 1f", "a header table of 4097 bytes, more than the 4096 allowed"],
    ["a size update after a field", "82 20", "an update of the header table's size after a field"],
    ["a string that is not Huffman code", "4081 18 00", "a string of a header block is not Huffman code"]
  ])("%s", (_, block, message) =>
    assert.strictEqual(
      why(() => decodeAll([block])),
      message
    )
  )

  it("a smaller table that the peer has not taken note of", () => {
    const decoder = new HpackDecoder(4096)
    decoder.setLimit(100)
    assert.strictEqual(
      why(() => decoder.decode(hex("82"), Infinity)),
      "no update of the header table's size, which has gone down"
    )
    assert.deepStrictEqual(new HpackDecoder(4096).decode(hex("20 82"), Infinity).fields, [":method", "GET"])
  })

  it("mutated blocks throw nothing but a ConnectionError", () => {
    const roll = dice(11)
    const seeds = ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "488264025885aec3771a4b6196d07abe941054d444a8", "3fe11f8286"]
    for (let n = 0; n < 20_000; n++) {
      const block = Buffer.from(hex(seeds[roll(seeds.length)]!))
      for (let i = roll(4); i >= 0; i--) block[roll(block.length)] = roll(256)
      const message = why(() => new HpackDecoder(4096).decode(block.subarray(0, roll(block.length + 1)), 1000))
      assert.notMatch(message, /^threw/)
    }
  })
})

describe("a list that is too long", () => {
  it("is cut, and the table still follows the block", () => {
    const decoder = new HpackDecoder(4096)
    const first = decoder.decode(hex("828684410f7777772e6578616d706c652e636f6d"), 100)
    assert.isTrue(first.tooLong)
    assert.deepStrictEqual(first.fields, [":method", "GET", ":scheme", "http"])
    assert.deepStrictEqual(decoder.decode(hex("be"), 100), {
      fields: [":authority", "www.example.com"],
      tooLong: false,
      problem: undefined
    })
  })
})

describe("the encoder", () => {
  const call = (path: string, more: ReadonlyArray<string> = []) => [
    ...[":method", "POST", ":scheme", "http", ":path", path, ":authority", "backend:50051"],
    ...["content-type", "application/grpc+proto", "te", "trailers", ...more]
  ]

  it("takes a byte for a field from the third call on", () => {
    const encoder = new HpackEncoder()
    const sizes = [1, 2, 3, 4].map(() => encoder.encode(call("/demo.Echo/Say")).length)
    assert.deepStrictEqual(sizes.slice(2), [6, 6])
  })

  it("gives what changes with each call no place in the table", () => {
    const encoder = new HpackEncoder()
    for (let n = 0; n < 3; n++) encoder.encode(call("/demo.Echo/Say"))
    for (let n = 0; n < 1000; n++) encoder.encode(call("/demo.Echo/Say", ["x-request-id", `id-${n}-${"x".repeat(40)}`]))
    assert.strictEqual(encoder.encode(call("/demo.Echo/Say")).length, 6)
  })

  it("never indexes a secret", () => {
    const encoder = new HpackEncoder()
    const secret = () => Buffer.from(encoder.encode(["authorization", "Bearer abc"]))
    const first = secret()
    // A literal that is never indexed, with the name of the static table's field 23.
    assert.deepStrictEqual([...first.subarray(0, 2)], [0x1f, 23 - 15])
    assert.deepStrictEqual(secret(), first)
    assert.deepStrictEqual(secret(), first)
  })

  it("is understood by the decoder, whatever is sent and however the table's size changes", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const roll = dice(seed)
      const encoder = new HpackEncoder()
      const decoder = new HpackDecoder(4096)
      const names = ["a", "b-bin", "content-type", ":path", "authorization", "x".repeat(70), "grpc-timeout", "te"]
      const text = () =>
        String.fromCharCode(...Array.from({ length: roll(roll(10) === 0 ? 600 : 20) }, () => 33 + roll(90)))
      const values = Array.from({ length: 12 }, text)
      for (let n = 0; n < 40; n++) {
        if (roll(8) === 0) {
          // The peer announces; it allows what it announced, and expects to be told.
          for (let i = roll(3); i >= 0; i--) {
            const size = roll(5) === 0 ? 0 : roll(6000)
            encoder.setLimit(size)
            decoder.setLimit(size)
          }
        }
        const fields = Array.from({ length: roll(10) }, () => [
          names[roll(names.length)]!,
          roll(3) === 0 ? text() : values[roll(values.length)]!
        ]).flat()
        assert.deepStrictEqual(decoder.decode(encoder.encode(fields), Infinity).fields, fields, `seed ${seed}`)
      }
    }
  })
})
