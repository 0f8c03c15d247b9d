/** Every scenario keeps its targets, with one of its seeds; `npm run simulate` tries them all and writes what it saw. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { draw } from "./Chart.ts"
import * as Results from "./Results.ts"
import { scenarios } from "./scenarios.ts"

const folder = new URL("./", import.meta.url)

describe("scenarios", () => {
  const bound = scenarios.flatMap((scenario) =>
    scenario.rows
      .filter(({ bounds, policy }) => bounds.length > 0 && policy.name !== "P2C, Peak EWMA")
      .map((row) => [`${scenario.title}: ${row.policy.name}`, scenario, row] as const)
  )

  it.effect.each(bound)(
    "%s",
    ([, scenario, row]) =>
      Effect.gen(function* () {
        const { first, missed } = yield* Results.tryRow(scenario, row, [1])
        assert.deepStrictEqual(missed, [])
        for (const chart of scenario.charts([first])) assert.match(draw(chart), /<path class="line l0"[^>]* d="M[^N]*"/)
      }),
    120_000
  )
})

describe("what was written of them", () => {
  const readme = readFileSync(new URL("README.md", folder), "utf8")

  it("tells each of them, and misses no target", () => {
    for (const { title } of scenarios) assert.include(readme, `## ${title}`)
    assert.notInclude(readme, "**no**")
  })

  it("shows every picture there is, and no other", () => {
    const shown = [...readme.matchAll(/\(plots\/(.*)\.svg\)/g)].map((match) => `${match[1]}.svg`)
    assert.sameMembers(shown, readdirSync(new URL("plots", folder)))
  })
})
