import { assert, describe, it } from "@effect/vitest"
import * as MinMax from "../../src/telemetry/MinMax.ts"

describe("Extremes", () => {
  it("are those since they were read, and start again from what there is then", () => {
    const extremes = MinMax.make()
    for (const value of [3, 9, 1, 4]) extremes.see(value)
    assert.deepStrictEqual([extremes.takeLeast(4), extremes.takeMost(4)], [0, 9])
    assert.deepStrictEqual([extremes.takeLeast(4), extremes.takeMost(4)], [4, 4])
    extremes.see(6)
    extremes.see(5)
    assert.deepStrictEqual([extremes.takeLeast(5), extremes.takeMost(5)], [4, 6])
  })

  it("are read each by itself", () => {
    const extremes = MinMax.make()
    extremes.see(9)
    assert.strictEqual(extremes.takeLeast(9), 0)
    assert.strictEqual(extremes.takeMost(9), 9)
  })

  it("include what is now, whether it was seen or not", () => {
    const extremes = MinMax.make()
    assert.deepStrictEqual([extremes.takeMost(7), extremes.takeLeast(-1)], [7, -1])
  })
})
