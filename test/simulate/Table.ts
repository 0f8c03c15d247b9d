/** What scenarios came to, as Markdown. */
import type { RowResult } from "./Results.ts"
import { type Bound, type Measure, sayBound, type Scenario } from "./Scenario.ts"

const line = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

/** The median of the seeds, and where something must be kept, all there was. */
const cell = (measure: Measure, values: ReadonlyArray<number>, bounds: ReadonlyArray<Bound>): string => {
  const { show } = measure
  const middle = show(median(values))
  if (!bounds.some((bound) => bound.measure === measure)) return middle
  const [least, most] = [show(Math.min(...values)), show(Math.max(...values))]
  return least === most ? `**${middle}**` : `**${middle}** (${least} to ${most})`
}

const target = ({ missed, row }: RowResult): string => {
  if (row.bounds.length === 0) return ""
  const said = row.bounds.map((bound) => `${bound.measure.name} ${sayBound(bound)}`).join(", ")
  return `${said}: ${missed.length === 0 ? "yes" : "**no**"}`
}

/** The table of one scenario. */
export const render = (scenario: Scenario, results: ReadonlyArray<RowResult>): string =>
  [
    line(["policy", ...scenario.measures.map(({ name }) => name), "target"]),
    line(["---", ...scenario.measures.map(() => "---:"), "---"]),
    ...results.map((result) =>
      line([
        result.row.policy.name,
        ...scenario.measures.map((measure) => cell(measure, result.values.get(measure)!, result.row.bounds)),
        target(result)
      ])
    )
  ].join("\n")
