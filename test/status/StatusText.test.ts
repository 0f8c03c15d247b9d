import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { fit, wellFormed } from "../../src/status/StatusText.ts"

describe("a status text", () => {
  it.each([
    ["no user Anna\ud83d", "no user Anna\ufffd"],
    ["\ude00 leads", "\ufffd leads"],
    ["\ude00\ud83d", "\ufffd\ufffd"],
    ["whole 😀", "whole 😀"]
  ])("%j is well-formed as %j", (text, expected) => assert.strictEqual(wellFormed(text), expected))

  it.each([
    ["fits", 36, "fits"],
    ["v".repeat(100), 100, "v".repeat(100)],
    ["v".repeat(101), 100, `${"v".repeat(91)}...`],
    ["é".repeat(20), 100, `${"é".repeat(15)}...`],
    ["😀".repeat(10), 100, `${"😀".repeat(7)}...`],
    ["v".repeat(10), 5, ""]
  ])("%j in %s bytes is %j", (text, room, expected) => assert.strictEqual(fit(text, room), expected))

  it.prop(
    "encoded it never takes more than its room, and it is a beginning of the text",
    [Schema.String, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 200 }))],
    ([text, room]) => {
      const found = fit(text, room)
      // What grpc-js encodes with, and throws where the text is not well-formed.
      assert.isAtMost(encodeURI(found).length, room)
      assert.isTrue(wellFormed(text).startsWith(found.replace(/\.\.\.$/, "")))
    }
  )

  it("ten million characters are cut without looking at all of them", () => {
    assert.strictEqual(fit("v".repeat(10_000_000), 1000).length, 994)
  })
})
