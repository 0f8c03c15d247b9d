import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { Metadata } from "trunkline"
import { ApiHeaders } from "trunkline/google"

describe("x-goog-api-client", () => {
  const header = "x-goog-api-client"
  const start = (...values: ReadonlyArray<string>) =>
    values.length === 0 ? Metadata.empty : Metadata.makeUnsafe({ [header]: values, other: "1" })

  it.each([
    [[], {}, undefined],
    [[], { abc: "def", xyz: "123", foo: "" }, "abc/def xyz/123 foo/"],
    [["1 2"], { 3: "4" }, "1 2 3/4"],
    [["1 2", "3 4"], { 11: "22" }, "1 2 3 4 11/22"],
    [["gl-node/20"], {}, "gl-node/20"],
    [["gl-node/20 gax/1"], { gax: "1" }, "gl-node/20 gax/1"],
    [["gl-node/20 gax/1 grpc/1"], { gax: "2", pb: "3" }, "gl-node/20 gax/2 grpc/1 pb/3"],
    [["gax/1 gax/1", "gax/1  gax/1"], { gapic: "1/2" }, "gax/1 gapic/1/2"]
  ] as ReadonlyArray<[ReadonlyArray<string>, Readonly<Record<string, string>>, string | undefined]>)(
    "%j and %j are %j",
    (there, given, expected) => {
      const metadata = ApiHeaders.apiClient(start(...there), given)
      assert.deepStrictEqual(Metadata.getAll(metadata, header), expected === undefined ? [] : [expected])
      assert.strictEqual(Metadata.get(metadata, "other"), there.length === 0 ? undefined : "1")
      // Said twice, it is there once.
      assert.deepStrictEqual(ApiHeaders.apiClient(given)(metadata), metadata)
    }
  )

  it.each([{ "": "1" }, { "a b": "1" }, { "a/b": "1" }, { a: "secret 1" }, { a: "secretö" }, { a: "secret\n" }])(
    "%j is refused",
    (given) => {
      assert.throws(() => ApiHeaders.apiClient(Metadata.empty, given), Metadata.MetadataError, header)
      assert.throws(() => ApiHeaders.apiClient(given)(Metadata.empty), /^(?!.*secret)/)
    }
  )
})

describe("x-goog-request-params", () => {
  it.each([
    [{}, undefined],
    [{ name: undefined, parent: "" }, undefined],
    [{ name: "foo", "book.read": true }, "name=foo&book.read=true"],
    [{ parent: "projects/acme", zero: 0, big: 10n, no: false }, "parent=projects%2Facme&zero=0&big=10&no=false"],
    [{ "a b": "c d", "&=": "&=+%" }, "a%20b=c%20d&%26%3D=%26%3D%2B%25"],
    [{ name: "-._~!'()*" }, "name=-._~%21%27%28%29%2A"],
    [{ name: "Zoë 🎈" }, "name=Zo%C3%AB%20%F0%9F%8E%88"],
    [{ name: "\ud800" }, "name=%EF%BF%BD"]
  ] as ReadonlyArray<[ApiHeaders.RoutingFields, string | undefined]>)("%o is %s", (fields, expected) => {
    const metadata = ApiHeaders.routing(Metadata.empty, fields)
    assert.strictEqual(Metadata.get(metadata, "x-goog-request-params"), expected)
    assert.isTrue(Result.isSuccess(Metadata.make(metadata)))
  })

  it("replaces what was there, unless it has nothing to say", () => {
    const there = ApiHeaders.routing(Metadata.empty, { name: "a" })
    assert.deepStrictEqual(Metadata.getAll(ApiHeaders.routing({ name: "b" })(there), "x-goog-request-params"), [
      "name=b"
    ])
    assert.strictEqual(ApiHeaders.routing({ name: "" })(there), there)
  })
})
