import { assert, describe, it } from "@effect/vitest"
import { Metadata } from "trunkline"
import { MetadataLimit } from "trunkline/extend"

describe("the size of metadata", () => {
  it("is name, value and 32 for each value; bytes count as base64", () => {
    const metadata = Metadata.makeUnsafe({ ab: ["123", ""], "c-bin": Uint8Array.of(1, 2, 3, 4) })
    assert.strictEqual(MetadataLimit.sizeOf(metadata), 2 + 3 + 32 + (2 + 32) + (5 + 8 + 32))
  })

  it("over its limit is an error that names the largest key, all its values together, and no value", () => {
    const metadata = Metadata.makeUnsafe({ one: "x".repeat(100), many: Array.from({ length: 3 }, () => "secret") })
    const size = MetadataLimit.sizeOf(metadata)
    assert.isUndefined(MetadataLimit.check(metadata, size))
    const error = MetadataLimit.check(metadata, size - 1)
    assert.strictEqual(
      error?.message,
      'metadata of 261 bytes is over maxMetadataBytes, 260; its largest key is "one" with 135'
    )
    const second = MetadataLimit.check(Metadata.remove(metadata, "one"), 10)
    assert.deepStrictEqual([second?.key, second?.keySize], ["many", 126])
    assert.notInclude(second?.message ?? "", "secret")
  })
})

describe("metadata that is passed on", () => {
  const metadata = Metadata.makeUnsafe({ small: "1", large: "x".repeat(200), larger: "x".repeat(300) })
  const keys = (limit: number) => [...MetadataLimit.fit(metadata, limit).keys()]

  it("loses its largest fields first", () => {
    assert.strictEqual(MetadataLimit.fit(metadata, MetadataLimit.sizeOf(metadata)), metadata)
    assert.deepStrictEqual(keys(MetadataLimit.sizeOf(metadata) - 1), ["small", "large"])
    assert.deepStrictEqual(keys(200), ["small"])
    assert.deepStrictEqual(keys(10), [])
  })

  it("loses what cannot be sent before it is counted", () => {
    const huge = new Map([...metadata, ["connection", ["x".repeat(1000)]]])
    assert.deepStrictEqual([...MetadataLimit.fit(huge, 1000).keys()], ["small", "large", "larger"])
  })
})
