import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Metadata } from "trunkline"

const bytes = Uint8Array.of(1, 2)

describe("Metadata", () => {
  it("keys are case-insensitive, values keep their order", () => {
    const metadata = Metadata.makeUnsafe({ "X-A": ["1", "2"], "x-a": "3", "b-bin": bytes })
    assert.deepStrictEqual(Metadata.getAll(metadata, "x-A"), ["1", "2", "3"])
    assert.strictEqual(Metadata.get(metadata, "X-a"), "3")
    assert.strictEqual(Metadata.get(metadata, "B-BIN"), bytes)
    assert.strictEqual(Metadata.get(metadata, "c"), undefined)
    assert.deepStrictEqual(Metadata.getAll(metadata, "c"), [])
  })

  it("an empty list is no key", () => {
    assert.strictEqual(Metadata.makeUnsafe({ a: [] }).size, 0)
  })

  it("metadata is made of metadata", () => {
    const once = Metadata.makeUnsafe({ a: "1" })
    assert.deepStrictEqual([...Metadata.makeUnsafe(once)], [["a", ["1"]]])
  })

  it("an inner key replaces the same key, and nothing else", () => {
    const [outer, inner] = [Metadata.makeUnsafe({ a: ["1", "2"], b: "1" }), Metadata.makeUnsafe({ a: "9" })]
    assert.deepStrictEqual(
      [...Metadata.override(outer, inner)],
      [
        ["a", ["9"]],
        ["b", ["1"]]
      ]
    )
    assert.strictEqual(Metadata.override(outer, Metadata.empty), outer)
    assert.strictEqual(Metadata.override(Metadata.empty, inner), inner)
  })

  it.each([
    ["text in a -bin key", { "a-bin": "text" }, "a-bin"],
    ["bytes in a text key", { a: bytes }, "a"],
    ["a key with a space", { "a b": "x" }, "a b"],
    ["an empty key", { "": "x" }, ""],
    ["a pseudo header", { ":path": "x" }, ":path"],
    ["the protocol's own key", { "grpc-timeout": "1S" }, "grpc-timeout"],
    ["a newline", { a: "secret\nx" }, "a"],
    ["text that is not ASCII", { a: "secretö" }, "a"]
  ])("%s is an error that names the key and not the value", (_name, input, key) => {
    const made = Metadata.make(input as Metadata.Input)
    assert(Result.isFailure(made))
    assert.strictEqual(made.failure.key, key)
    assert.include(made.failure.message, JSON.stringify(key))
    assert.notInclude(made.failure.message, "secret")
    assert.throws(() => Metadata.makeUnsafe(input as Metadata.Input), made.failure.message)
  })
})
