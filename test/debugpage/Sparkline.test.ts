import { assert, describe, it } from "@effect/vitest"
import * as Sparkline from "../../src/debugpage/Sparkline.ts"

const path = (values: ReadonlyArray<number | null>, slots = 5) =>
  / d="([^"]*)"/.exec(Sparkline.draw(values, slots).text)?.[1]

describe("Sparkline", () => {
  it.each<[ReadonlyArray<number | null>, string | undefined]>([
    [[], undefined],
    [[null, null], undefined],
    // From the highest at the top to zero at the bottom, the newest at the right.
    [[0, 10], "M88.5 25L117 3"],
    [[10, 10, 10, 10, 5], "M3 3L31.5 3L60 3L88.5 3L117 14"],
    [[1], "M117 3h0"],
    [[1, null, 1, 1], "M31.5 3h0M88.5 3L117 3"],
    [[0, 0], "M88.5 25L117 25"]
  ])("%j", (values, expected) => assert.strictEqual(path(values), expected))
})
