/** The table. */
import * as os from "node:os"
import type { Contender } from "./Contender.ts"
import * as Statistics from "./Statistics.ts"

/** A contender and its microseconds per call, round by round. */
export interface Result {
  readonly contender: Contender
  readonly micros: ReadonlyArray<number>
}

const machine = (): string => {
  const cpus = os.cpus()
  const [load] = os.loadavg()
  return `node ${process.version}, ${process.platform} ${process.arch}, ${cpus.length} x ${cpus[0]?.model.trim()}, load ${load!.toFixed(1)}`
}

const columns = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows
    .map((row) =>
      row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join("  ")
    )
    .join("\n")
}

const number = ({ max, median, min }: Statistics.Spread, digits: number): ReadonlyArray<string> => [
  median.toFixed(digits),
  `${min.toFixed(digits)}-${max.toFixed(digits)}`
]

/** What was measured, on what, and how everybody compares with the baseline. */
export const render = (
  baseline: Result,
  others: ReadonlyArray<Result>,
  setting: { readonly concurrency: number; readonly millis: number }
): string =>
  [
    "client CPU per unary call, microseconds (user + system), and its ratio to the baseline's in the same round",
    `${baseline.micros.length} rounds of ${setting.millis / 1000} s each, order alternating, concurrency ${setting.concurrency}`,
    machine(),
    "",
    columns([
      ["contender", "us/call", "min-max", "ratio", "min-max"],
      [baseline.contender.name, ...number(Statistics.spread(baseline.micros), 1), "1", ""],
      ...others.map(({ contender, micros }) => [
        contender.name,
        ...number(Statistics.spread(micros), 1),
        ...number(Statistics.ratios(micros, baseline.micros), 2)
      ])
    ]),
    "",
    ...[baseline, ...others].map(({ contender }) => `${contender.name}: ${contender.about}`)
  ].join("\n")
