/**
 * Every scenario, with five seeds for each policy.
 *
 *   npm run -s simulate                 runs, prints the tables, and writes README.md and the plots
 *   npm run -s simulate -- stall keys   runs only these, and writes nothing
 *   npm run -s simulate -- --check      writes nothing, and says no if a target is missed
 */
import { Console, Effect } from "effect"
import { parseArgs } from "node:util"
import * as Readme from "./Readme.ts"
import * as Results from "./Results.ts"
import { seeds } from "./Scenario.ts"
import { scenarios } from "./scenarios.ts"
import * as Table from "./Table.ts"

const { positionals, values: options } = parseArgs({
  allowPositionals: true,
  options: { check: { type: "boolean", default: false } }
})

const chosen = scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
const writes = !options.check && positionals.length === 0

const program = Effect.gen(function* () {
  const sections: Array<string> = []
  const missed: Array<string> = []
  for (const scenario of chosen) {
    const results = yield* Effect.forEach(scenario.rows, (row) => Results.tryRow(scenario, row, seeds))
    const table = Table.render(scenario, results)
    yield* Console.log(`## ${scenario.title}\n\n${table}\n`)
    missed.push(...results.flatMap((result) => result.missed))
    if (!writes) continue
    const pictures = scenario.charts(results.map(({ first }) => first)).map(Readme.picture)
    sections.push([`## ${scenario.title}`, scenario.story, table, ...pictures].join("\n\n"))
  }
  if (writes) {
    Readme.write(sections.join("\n\n"))
    yield* Console.log("wrote test/simulate/README.md and its plots")
  }
  for (const problem of missed) yield* Console.error(problem)
  return options.check ? missed.length : 0
})

process.exitCode = (await Effect.runPromise(program)) === 0 ? 0 : 1
