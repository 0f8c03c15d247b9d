import { assert, describe, it } from "@effect/vitest"
import { Metadata } from "trunkline"
import { MetadataLimit } from "trunkline/extend"
import { sensitiveHeaders } from "node:http2"
import { addTo, fromRaw } from "../../src/http2/WireMetadata.ts"

describe("metadata as header fields", () => {
  it("one value is a field, many are fields of the same name, bytes are base64 without padding", () => {
    const metadata = Metadata.makeUnsafe({ tenant: "acme", tag: ["a", "b, c"], "trace-bin": Uint8Array.of(0, 255) })
    assert.deepStrictEqual({ ...addTo({}, metadata) }, { tenant: "acme", tag: ["a", "b, c"], "trace-bin": "AP8" })
  })

  it("credentials stay out of the compression tables", () => {
    const fields = addTo({}, Metadata.makeUnsafe({ authorization: "Bearer x" })) as Record<symbol, unknown>
    assert.include(fields[sensitiveHeaders] as ReadonlyArray<string>, "authorization")
  })

  it("and back: values in order, commas kept in text, bytes joined on the way taken apart", () => {
    const raw = ["X-Tag", "a", "x-tag", "b, c", "trace-bin", "AP8=,AQ", "trace-bin", "Ag=="]
    const metadata = fromRaw(raw)
    assert.deepStrictEqual(metadata.get("x-tag"), ["a", "b, c"])
    assert.deepStrictEqual(
      metadata.get("trace-bin")!.map((bytes) => [...(bytes as Uint8Array)]),
      [[0, 255], [1], [2]]
    )
  })

  it.each([":status", "content-type", "te", "grpc-encoding", "grpc-status", "grpc-message", "grpc-timeout", "date"])(
    "%s is the protocol's, not the caller's",
    (name) => assert.strictEqual(fromRaw([name, "x"]).size, 0)
  )

  it("what the protocol adds for the caller to read stays", () => {
    assert.deepStrictEqual(fromRaw(["grpc-retry-pushback-ms", "10"]).get("grpc-retry-pushback-ms"), ["10"])
  })

  it.each([
    [59_000, true],
    [61_000, false]
  ])("%s bytes fit in a header block: %s", (length, expected) => {
    const fits =
      MetadataLimit.check(Metadata.makeUnsafe({ a: "x".repeat(length) }), MetadataLimit.defaultMaxBytes) === undefined
    assert.strictEqual(fits, expected)
  })
})
