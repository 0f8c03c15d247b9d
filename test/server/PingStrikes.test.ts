import { assert, describe, it } from "@effect/vitest"
import { PingStrikes } from "../../src/server/PingStrikes.ts"

const minute = 60_000

/** Pings at these minutes, each with or without calls; says which were too many. */
const at = (strikes: PingStrikes, minutes: ReadonlyArray<number>, hasCalls: boolean) =>
  minutes.map((m) => strikes.ping(m * minute, hasCalls))

describe("ping strikes", () => {
  it("the third ping before its time is one too many", () => {
    assert.deepStrictEqual(at(new PingStrikes(5 * minute, false), [0, 1, 2, 3], true), [false, false, false, true])
  })

  it("pings that keep the time are never too many", () => {
    assert.notInclude(at(new PingStrikes(5 * minute, false), [0, 5, 10, 15, 20, 25], true), true)
  })

  it("a connection without calls may ping every two hours, unless that is permitted", () => {
    assert.include(at(new PingStrikes(5 * minute, false), [0, 10, 20, 30], false), true)
    assert.notInclude(at(new PingStrikes(5 * minute, false), [0, 120, 240, 360, 480], false), true)
    assert.notInclude(at(new PingStrikes(5 * minute, true), [0, 5, 10, 15, 20], false), true)
    assert.include(at(new PingStrikes(5 * minute, true), [0, 4, 8, 12], false), true)
  })

  it("an answer forgives", () => {
    const strikes = new PingStrikes(5 * minute, false)
    for (let i = 0; i < 100; i++) {
      assert.isFalse(strikes.ping(i, true))
      strikes.forgive()
    }
    assert.deepStrictEqual(at(strikes, [1, 1, 1, 1], true), [false, false, false, true])
  })
})
