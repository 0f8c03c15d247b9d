import { assert, describe, it } from "@effect/vitest"
import { Code } from "trunkline"
import { Outcome } from "trunkline/extend"

describe("Code", () => {
  it.each([
    [0, "OK"],
    [1, "CANCELLED"],
    [2, "UNKNOWN"],
    [3, "INVALID_ARGUMENT"],
    [4, "DEADLINE_EXCEEDED"],
    [5, "NOT_FOUND"],
    [6, "ALREADY_EXISTS"],
    [7, "PERMISSION_DENIED"],
    [8, "RESOURCE_EXHAUSTED"],
    [9, "FAILED_PRECONDITION"],
    [10, "ABORTED"],
    [11, "OUT_OF_RANGE"],
    [12, "UNIMPLEMENTED"],
    [13, "INTERNAL"],
    [14, "UNAVAILABLE"],
    [15, "DATA_LOSS"],
    [16, "UNAUTHENTICATED"]
  ] as const)("%i is %s", (number, name) => {
    assert.strictEqual(Code.fromNumber(number), name)
    assert.strictEqual(Code.toNumber(name), number)
    assert.strictEqual(Code.isCode(name), name !== "OK")
  })

  it.each([-1, 17, 1.5, NaN, Infinity])("%d is UNKNOWN", (number) => {
    assert.strictEqual(Code.fromNumber(number), "UNKNOWN")
  })

  it("guards against what is not a code", () => {
    for (const u of ["unavailable", 14, undefined, null, {}]) assert.isFalse(Code.isCode(u))
  })
})

describe("Outcome", () => {
  it.each([
    ["failure", ["UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]],
    ["rejected", ["RESOURCE_EXHAUSTED"]],
    ["ignorable", ["CANCELLED"]]
  ] as const)("%s: %s, and no other code", (outcome, codes) => {
    assert.deepStrictEqual(
      Code.all.filter((code) => Outcome.fromCode(code) === outcome),
      [...codes]
    )
  })
})
