import { assert, describe, it } from "@effect/vitest"
import { LastMinute } from "../../src/introspection/LastMinute.ts"
import { peer } from "../support/snapshots.ts"

const at = (started: number, answered: number, answeredMillis: number, failed = 0) =>
  peer({ started, answered, answeredMillis, failed })

describe("LastMinute", () => {
  it("tells what happened between looks, and nothing where nothing was answered", () => {
    const minute = new LastMinute(1000)
    minute.look(at(2, 2, 10))
    minute.look(at(2, 2, 10))
    minute.look(at(6, 5, 40, 1))
    assert.deepStrictEqual(minute.recent(at(8, 7, 60, 1)), {
      calls: 8,
      errors: 1,
      latencyMillis: 60 / 7,
      latencies: [5, null, 10]
    })
  })

  it("forgets what is more than a minute old", () => {
    const minute = new LastMinute(10_000)
    for (let i = 1; i <= 20; i++) minute.look(at(i, i, i * 3))
    const { calls, latencies } = minute.recent(at(20, 20, 60))
    assert.strictEqual(calls, 6)
    assert.deepStrictEqual(latencies, [3, 3, 3, 3, 3, 3])
  })

  it("begins anew when another peer has come under the name", () => {
    const minute = new LastMinute(1000)
    minute.look(at(50, 50, 500))
    const reborn = { calls: 3, errors: 0, latencyMillis: 7, latencies: [] }
    assert.deepStrictEqual(minute.recent(at(3, 3, 21)), reborn)
    minute.look(at(3, 3, 21))
    assert.deepStrictEqual(minute.recent(at(3, 3, 21)), { ...reborn, latencies: [7] })
  })
})
