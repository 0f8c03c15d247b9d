import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
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
    ["text that is not ASCII", { a: "secretö" }, "a"],
    ["text with a space at its end", { a: "secret " }, "a"],
    ["text with a space at its beginning", { a: ["fine", " secret"] }, "a"],
    ["two values of a field that HTTP allows one", { Authorization: ["secret", "b"] }, "authorization"],
    ["two values in two spellings", { ETag: "secret", etag: "b" }, "etag"],
    ["a name that objects have already", Object.fromEntries([["__proto__", "secret"]]), "__proto__"]
  ])("%s is an error that names the key and not the value", (_name, input, key) => {
    const made = Metadata.make(input as Metadata.Input)
    assert(Result.isFailure(made))
    assert.strictEqual(made.failure.key, key)
    assert.include(made.failure.message, JSON.stringify(key))
    assert.notInclude(made.failure.message, "secret")
    assert.throws(() => Metadata.makeUnsafe(input as Metadata.Input), made.failure.message)
  })

  it.each([
    "Connection",
    "content-length",
    "Content-Type",
    "date",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "TE",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "Grpc-Status",
    "grpc-status-details-bin"
  ])("%s is not the program's to set", (name) => {
    const made = Metadata.make({ [name]: name.endsWith("-bin") ? bytes : "x" })
    assert(Result.isFailure(made))
    assert.strictEqual(made.failure.key, name.toLowerCase())
  })

  it("a field that HTTP allows one value may have one", () => {
    assert.strictEqual(Metadata.get(Metadata.makeUnsafe({ "User-Agent": "mine" }), "user-agent"), "mine")
  })
})

describe("metadata that is passed on", () => {
  const fromTheWire: Metadata.Metadata = new Map<string, ReadonlyArray<Metadata.Value>>([
    ["x-tenant", ["acme"]],
    ["etag", ["a", "b"]],
    ["connection", ["close"]],
    ["x-name", ["caf\xe9"]],
    ["x-edge", ["value "]],
    ["x-text-bin", ["text"]],
    ["grpc-status", ["0"]],
    ["grpc-status-details-bin", [bytes]]
  ])

  it("loses what cannot be sent, and nothing else", () => {
    assert.deepStrictEqual([...Metadata.sendable(fromTheWire).keys()], ["x-tenant", "grpc-status-details-bin"])
  })

  it("stays itself where all of it can be sent", () => {
    const metadata = Metadata.makeUnsafe({ a: "1", "b-bin": bytes })
    assert.strictEqual(Metadata.sendable(metadata), metadata)
  })

  it("keys of any case are the same key", () => {
    const metadata = new Map([
      ["X-A", ["1"]],
      ["x-a", ["2"]],
      ["Grpc-Message", ["no"]],
      ["ETag", ["a"]],
      ["etag", ["b"]]
    ])
    assert.deepStrictEqual(
      [...Metadata.sendable(metadata)],
      [
        ["x-a", ["1", "2"]],
        ["etag", ["a"]]
      ]
    )
  })

  it.prop(
    "what is left of any map is what make would take, apart from gRPC's own fields",
    [Schema.Array(Schema.Tuple([Schema.String, Schema.Array(Schema.String)]))],
    ([entries]) => {
      const left = Metadata.sendable(new Map(entries))
      const own = new Map([...left].filter(([key, values]) => !key.startsWith("grpc-") && values.length > 0))
      assert.isTrue(Result.isSuccess(Metadata.make(own)))
    }
  )
})
