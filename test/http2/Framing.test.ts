import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { Deframer, frame, FramingProblem } from "../../src/http2/Framing.ts"

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Everything a deframer has to give. */
const drain = (deframer: Deframer) => {
  const out: Array<{ readonly text: string; readonly compressed: boolean }> = []
  for (let next = deframer.next(); next !== undefined; next = deframer.next()) {
    assert(!(next instanceof FramingProblem))
    out.push({ text: next.bytes.toString(), compressed: next.compressed })
  }
  return out
}

const messages = Schema.Array(Schema.Struct({ text: Schema.String, compressed: Schema.Boolean }))
const cuts = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))

describe("Deframer", () => {
  it.prop("gives back every message, however the data is cut", [messages, cuts], ([messages, cuts]) => {
    // Half of a surrogate pair is not text.
    const sent = messages.map((message) => ({ ...message, text: Buffer.from(message.text).toString() }))
    const data = Buffer.concat(sent.map(({ compressed, text }) => frame(bytesOf(text), compressed)))
    const deframer = new Deframer(Infinity)
    const seen = []
    let from = 0
    for (const cut of [...cuts, data.length]) {
      if (from >= data.length) break
      deframer.push(data.subarray(from, from + cut))
      from += cut
      seen.push(...drain(deframer))
    }
    assert.deepStrictEqual(seen, sent)
    assert.isFalse(deframer.isInside)
  })

  it("knows that it stands inside a message, from its first byte to its last", () => {
    const data = frame(bytesOf("ab"), false)
    for (let length = 1; length < data.length; length++) {
      const deframer = new Deframer(Infinity)
      deframer.push(data.subarray(0, length))
      assert.strictEqual(deframer.next(), undefined)
      assert.isTrue(deframer.isInside, `${length} bytes`)
    }
  })

  it("keeps as data what nobody asked for", () => {
    const deframer = new Deframer(Infinity)
    deframer.push(Buffer.concat([frame(bytesOf("a"), false), frame(bytesOf("b"), false)]))
    const first = deframer.next()
    assert(first !== undefined && !(first instanceof FramingProblem))
    assert.strictEqual(first.bytes.toString(), "a")
    assert.isTrue(deframer.isInside)
    assert.deepStrictEqual(drain(deframer), [{ text: "b", compressed: false }])
  })

  it.each([
    [100, false],
    [101, true]
  ])("a message of %s bytes where 100 are allowed: refused %s, before its bytes have come", (length, refused) => {
    const deframer = new Deframer(100)
    deframer.push(frame(new Uint8Array(length), false).subarray(0, 5))
    const next = deframer.next()
    assert.strictEqual(next instanceof FramingProblem, refused)
    if (next instanceof FramingProblem) {
      assert.deepStrictEqual(
        [next.code, next.message],
        ["RESOURCE_EXHAUSTED", "received message larger than max (101 vs. 100)"]
      )
    }
  })

  it("a flag that is neither 0 nor 1 is no message", () => {
    const deframer = new Deframer(100)
    deframer.push(Buffer.from("HTTP/1.1 400"))
    const next = deframer.next()
    assert(next instanceof FramingProblem)
    assert.deepStrictEqual([next.code, next.message], ["INTERNAL", "a message began with flag 72"])
  })
})
