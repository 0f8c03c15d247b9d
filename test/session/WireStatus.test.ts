import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { decodeMessage, encodeMessage, fromHttpStatus, fromReset } from "../../src/session/WireStatus.ts"

describe("an HTTP status without a gRPC status", () => {
  it.each([
    [400, "INTERNAL"],
    [401, "UNAUTHENTICATED"],
    [403, "PERMISSION_DENIED"],
    [404, "UNIMPLEMENTED"],
    [429, "UNAVAILABLE"],
    [502, "UNAVAILABLE"],
    [503, "UNAVAILABLE"],
    [504, "UNAVAILABLE"],
    [200, "UNKNOWN"],
    [301, "UNKNOWN"],
    [500, "UNKNOWN"]
  ])("%s is %s", (status, code) => assert.strictEqual(fromHttpStatus(status), code))
})

describe("the error code of a reset", () => {
  it.each([
    [0, "INTERNAL", "NO_ERROR"],
    [1, "INTERNAL", "PROTOCOL_ERROR"],
    [2, "INTERNAL", "INTERNAL_ERROR"],
    [3, "INTERNAL", "FLOW_CONTROL_ERROR"],
    [4, "INTERNAL", "SETTINGS_TIMEOUT"],
    [6, "INTERNAL", "FRAME_SIZE_ERROR"],
    [7, "UNAVAILABLE", "REFUSED_STREAM"],
    [8, "CANCELLED", "CANCEL"],
    [9, "INTERNAL", "COMPRESSION_ERROR"],
    [10, "INTERNAL", "CONNECT_ERROR"],
    [11, "RESOURCE_EXHAUSTED", "ENHANCE_YOUR_CALM"],
    [12, "PERMISSION_DENIED", "INADEQUATE_SECURITY"],
    [99, "INTERNAL", "unknown"]
  ])("%s is %s", (rst, code, name) => {
    const reset = fromReset(rst)
    assert.strictEqual(reset.code, code)
    assert.include(reset.message, `RST_STREAM with code ${rst} (${name})`)
    assert.strictEqual(reset.progress, rst === 7 ? "refused" : "processed")
  })
})

describe("grpc-message", () => {
  it.each([
    ["all is well", "all is well"],
    ["100%", "100%25"],
    ["a\nb", "a%0Ab"],
    ["expected: ", "expected:%20"],
    [" leading", "%20leading"],
    [" ", "%20"],
    ["  ", "%20%20"],
    [" é ", "%20%C3%A9%20"],
    ["\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n", undefined]
  ])("%j", (message, field) => {
    if (field !== undefined) assert.strictEqual(encodeMessage(message), field)
    assert.strictEqual(decodeMessage(encodeMessage(message)), message)
  })

  it.each([
    ["50% off", "50% off"],
    ["%zz", "%zz"],
    ["%", "%"],
    ["a%20b%2", "a b%2"],
    ["%e2%98%ba", "☺"]
  ])("what is no encoding stands for itself: %j", (field, message) => assert.strictEqual(decodeMessage(field), message))

  it.prop("any text comes back, over printable ASCII", [Schema.String], ([text]) => {
    // Half of a surrogate pair is not text; everything else is.
    const message = Buffer.from(text, "utf8").toString("utf8")
    assert.match(encodeMessage(message), /^(?! )[\x20-\x7e]*(?<! )$/)
    assert.strictEqual(decodeMessage(encodeMessage(message)), message)
  })
})
