import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import { RpcError } from "trunkline"
import * as Printable from "../../src/status/Printable.ts"

describe("escape", () => {
  it.each([
    ["plain text", "plain text"],
    ["naïve, 日本語, 👩‍💻 and 😀", "naïve, 日本語, 👩‍💻 and 😀"],
    ["two\nlines\r\n\tand a tab", "two\\nlines\\r\\n\\tand a tab"],
    ["\u001b[31mred\u001b[0m", "\\u001b[31mred\\u001b[0m"],
    ["\u009b31mred", "\\u009b31mred"],
    ["\u0000\u007f", "\\u0000\\u007f"],
    ["\u202eback", "\\u202eback"],
    ["a\u2028b", "a\\u2028b"],
    ["half \ud83d", "half \\ud83d"],
    ["\u{e0041}tag", "\\u{e0041}tag"],
    ["", ""]
  ])("%j", (text, expected) => {
    assert.strictEqual(Printable.escape(text), expected)
    assert.strictEqual(Printable.escape(expected), expected)
  })

  it("leaves no character that is not printed", () => {
    for (let code = 0; code <= 0xffff; code++) {
      const escaped = Printable.escape(`a${String.fromCharCode(code)}b`)
      const isControl = code < 0x20 || (code >= 0x7f && code <= 0x9f) || (code >= 0x2028 && code <= 0x202e)
      const isHidden = (code >= 0x2066 && code <= 0x2069) || code === 0xfeff || (code >= 0xd800 && code <= 0xdfff)
      if (isControl || isHidden) assert.match(escaped, /^[ -~]+$/)
    }
  })
})

describe("escapeJson", () => {
  it.each(["plain", "\u001b[2J", "\u009b2J\u007f", "\u202eback", "a\u2028b", "\u{e0041}", "\ud83d", "👩‍💻", 'a"\\n\n'])(
    "%j is the same value, in printable characters",
    (text) => {
      const json = Printable.escapeJson(JSON.stringify({ text }))
      assert.deepStrictEqual(JSON.parse(json), { text })
      assert.strictEqual(Printable.escape(json), json)
    }
  )
})

describe("an error with a text that is meant to be obeyed", () => {
  const text = "no such user\n[12:00:00] INFO: all is well \u001b[2J\u202e"
  const error = RpcError.make("NOT_FOUND", text)

  it("is one line of plain text, wherever it is printed", () => {
    const shown = "[NOT_FOUND] no such user\\n[12:00:00] INFO: all is well \\u001b[2J\\u202e"
    assert.strictEqual(error.message, shown)
    assert.strictEqual(Cause.pretty(Cause.fail(error)).split("\n")[0], `RpcError: ${shown}`)
    assert.notInclude(String(error.stack), "\u001b")
  })

  it("keeps for programs what the server said", () => {
    assert.strictEqual(error.reason.message, text)
    assert.strictEqual(RpcError.annotate(error, { peer: "a:1" }).reason.message, text)
  })
})
