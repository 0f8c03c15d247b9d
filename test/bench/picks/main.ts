/**
 * What a pick costs: time, memory, and the time to a new picker when the set changes. See README.md.
 *
 *   npm run bench:pick -- [--only <picker>] [--sizes 10,1000,10000] [--runs 3]
 */
import { execFileSync } from "node:child_process"
import * as os from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import * as Statistics from "../Statistics.ts"
import type { Measurement } from "./contender.ts"
import { names } from "./contenders.ts"

const { values: options } = parseArgs({
  options: {
    only: { type: "string" },
    sizes: { type: "string", default: "10,1000,10000" },
    runs: { type: "string", default: "3" }
  }
})

const sizes = options.sizes.split(",").map(Number)
const contender = fileURLToPath(new URL("contender.js", import.meta.url))

const measure = (name: string, size: number): Measurement =>
  // A young generation that holds all that a million picks might allocate, so that nothing is collected meanwhile.
  JSON.parse(
    execFileSync(
      process.execPath,
      ["--max-semi-space-size=256", "--min-semi-space-size=256", contender, name, `${size}`],
      {
        encoding: "utf8"
      }
    )
  )

/** Of so many processes the one the machine left most in peace. */
const quietest = (name: string, size: number): Measurement =>
  Array.from({ length: Number(options.runs) }, () => measure(name, size)).reduce((best, next) =>
    Statistics.spread(next.nanos).median < Statistics.spread(best.nanos).median ? next : best
  )

const row = (cells: ReadonlyArray<string>): string =>
  cells.map((cell, i) => (i === 0 ? cell.padEnd(22) : cell.padStart(i % 5 === 2 ? 14 : 10))).join("")

console.log(
  `node ${process.version}, ${os.cpus().length} x ${os.cpus()[0]?.model.trim()}, load ${os.loadavg()[0]!.toFixed(1)}`
)
for (const size of sizes) {
  console.log(`\n${size} peers`)
  console.log(row(["", "ns", "min-max", "bytes", "first ms", "change ms"]))
  for (const name of names.filter((name) => options.only === undefined || name === options.only)) {
    const { bytes, changeMillis, firstMillis, nanos } = quietest(name, size)
    const { max, median, min } = Statistics.spread(nanos)
    const change = Statistics.spread(changeMillis)
    console.log(
      row([
        name,
        median.toFixed(0),
        `${min.toFixed(0)}-${max.toFixed(0)}`,
        Math.max(0, bytes).toFixed(2),
        firstMillis.toFixed(2),
        change.median.toFixed(2)
      ])
    )
  }
}
