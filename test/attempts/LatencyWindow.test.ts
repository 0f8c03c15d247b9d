import { assert, describe, it } from "@effect/vitest"
import { LatencyWindow } from "../../src/attempts/LatencyWindow.ts"

/** A window whose full period holds these latencies. */
const after = (latencies: Iterable<number>): LatencyWindow => {
  const window = new LatencyWindow()
  for (const millis of latencies) window.add(millis, 0)
  return window
}

const hundred = Array.from({ length: 100 }, (_, i) => i + 1)

describe("LatencyWindow", () => {
  it.each([
    [0, 1],
    [1, 1],
    [50, 50],
    [95, 95],
    [99.5, 100],
    [100, 100]
  ])("percentile %d of 1 to 100 ms is %d", (percentile, expected) => {
    assert.strictEqual(after(hundred).percentile(percentile, 1, 3000), expected)
  })

  it.each([
    [0, 1],
    [0.01, 1],
    [1.2, 2],
    [127, 127]
  ])("a latency of %d ms is %d: whole milliseconds, at least one", (millis, expected) => {
    assert.strictEqual(after([millis]).percentile(50, 1, 3000), expected)
  })

  it("is never below the latency, and above by a sixty-fourth at most", () => {
    for (let millis = 1; millis < 3_600_000; millis = Math.ceil(millis * 1.01)) {
      const read = after([millis]).percentile(50, 1, 3000)!
      assert.isAtLeast(read, millis)
      assert.isAtMost(read, millis * (1 + 1 / 64))
    }
  })

  it("counts a day as its longest", () => {
    assert.strictEqual(after([86_400_000]).percentile(50, 1, 3000), 128 * 2 ** 15 - 1)
  })

  it("reads the full period only, and nothing after a silence", () => {
    const window = after([10])
    assert.isUndefined(window.percentile(50, 1, 2999))
    assert.strictEqual(window.percentile(50, 1, 3000), 10)
    window.add(20, 3000)
    assert.strictEqual(window.percentile(50, 1, 5999), 10)
    assert.strictEqual(window.percentile(50, 1, 6000), 20)
    assert.isUndefined(window.percentile(50, 1, 9000))
    window.add(30, 9000)
    assert.isUndefined(window.percentile(50, 1, 15_000))
  })

  it("says nothing with too few answers", () => {
    assert.isUndefined(after(hundred).percentile(50, 101, 3000))
    assert.strictEqual(after(hundred).percentile(50, 100, 3000), 50)
    assert.isUndefined(new LatencyWindow().percentile(50, 0, 3000))
  })
})
