import { assert, describe, it } from "@effect/vitest"
import { LastSecond } from "../../examples/demo/LastSecond.ts"

describe("LastSecond", () => {
  it("shows a second when it is over, for a second", () => {
    const last = new LastSecond()
    last.record(5, 1200)
    last.record(7, 1900)
    assert.strictEqual(last.at(1999).count, 0)
    assert.strictEqual(last.at(2000).count, 2)
    assert.strictEqual(last.at(2999).max, 7)
    assert.strictEqual(last.at(3000).count, 0)
  })

  it("forgets what is older than the second before", () => {
    const last = new LastSecond()
    last.record(5, 500)
    last.record(6, 2500)
    assert.strictEqual(last.at(2500).count, 0)
    assert.strictEqual(last.at(3500).count, 1)
  })

  it("forgets everything when the clock starts again", () => {
    const last = new LastSecond()
    last.record(5, 8500)
    assert.strictEqual(last.at(100).count, 0)
    last.record(6, 100)
    assert.strictEqual(last.at(1100).count, 1)
  })
})
