import { assert, describe, it } from "@effect/vitest"
import { type Code, RpcError } from "trunkline"
import { HttpStatus } from "trunkline/extend"

describe("HttpStatus", () => {
  it.each<[number, Code.Status]>([
    [0, "UNKNOWN"],
    [100, "UNKNOWN"],
    [200, "OK"],
    [206, "OK"],
    [300, "UNKNOWN"],
    [307, "UNKNOWN"],
    [400, "INVALID_ARGUMENT"],
    [401, "UNAUTHENTICATED"],
    [403, "PERMISSION_DENIED"],
    [404, "NOT_FOUND"],
    [409, "ABORTED"],
    [411, "FAILED_PRECONDITION"],
    [416, "OUT_OF_RANGE"],
    [429, "RESOURCE_EXHAUSTED"],
    [451, "FAILED_PRECONDITION"],
    [499, "CANCELLED"],
    [500, "INTERNAL"],
    [501, "UNIMPLEMENTED"],
    [503, "UNAVAILABLE"],
    [504, "DEADLINE_EXCEEDED"],
    [505, "INTERNAL"],
    [508, "INTERNAL"],
    [600, "UNKNOWN"],
    [NaN, "UNKNOWN"]
  ])("%d is %s", (status, code) => assert.strictEqual(HttpStatus.toCode(status), code))

  it("an error made of a status has its code, and gives the status back", () => {
    const error = HttpStatus.toError(502, "bad gateway", { method: "/a.B/C", headers: new Map([["via", ["proxy"]]]) })
    assert.strictEqual(error.message, "[INTERNAL] bad gateway")
    assert.deepStrictEqual([error.origin, error.method, error.headers.get("via")], ["remote", "/a.B/C", ["proxy"]])
    assert.strictEqual(HttpStatus.of(error), 502)
    assert.strictEqual(HttpStatus.toError(200, "no message in it").code, "UNKNOWN")
  })

  it.each<[string, number | undefined]>([
    ["Received HTTP status code 502", 502],
    ["unexpected HTTP status code received from server: 503 (Service Unavailable)", 503],
    ["Received HTTP status code 5021", undefined],
    ["bad gateway", undefined]
  ])("the text %s", (text, status) => assert.strictEqual(HttpStatus.of(RpcError.make("UNAVAILABLE", text)), status))

  it("a header that is no status is none", () => {
    const error = RpcError.make("UNAVAILABLE", "x", { headers: new Map([[":status", ["fine"]]]) })
    assert.strictEqual(HttpStatus.of(error), undefined)
  })
})
