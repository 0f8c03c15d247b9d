import { assert, describe, it } from "@effect/vitest"
import { Deadline } from "trunkline"

describe("grpc-timeout", () => {
  it.each([
    [0, "0u"],
    [-5, "0u"],
    [0.0001, "1u"],
    [1, "1000u"],
    [99_999.999, "99999999u"],
    [100_000, "100000m"],
    [99_999_999, "99999999m"],
    [100_000_000, "100000S"],
    [1e11 - 1000, "99999999S"],
    [1e12, "277778H"]
  ])("%d ms is %s", (millis, header) => {
    assert.strictEqual(Deadline.toTimeoutHeader(millis), header)
  })

  it.each([
    ["1H", 3_600_000],
    ["2M", 120_000],
    ["3S", 3000],
    ["4m", 4],
    ["5u", 0.005],
    ["6n", 6e-6],
    ["99999999S", 99_999_999_000]
  ])("%s is %d ms", (header, millis) => {
    assert.approximately(Deadline.fromTimeoutHeader(header)!, millis, 1e-9)
  })

  it.each(["", "S", "5", "5s", "-5S", "5.5S", "100000000S", " 5S", "5S ", "5SS", "NaNS"])(
    "%j is malformed",
    (header) => {
      assert.strictEqual(Deadline.fromTimeoutHeader(header), undefined)
    }
  )

  it("never shrinks: the server does not give up before the client", () => {
    for (let millis = 0.001; millis < 1e12; millis *= 1.37) {
      const header = Deadline.toTimeoutHeader(millis)
      assert.match(header, /^\d{1,8}[HMSmun]$/)
      assert.isAtLeast(Deadline.fromTimeoutHeader(header)! * (1 + 1e-12), millis)
    }
  })
})
