/** README.md, between its two marks, and the pictures beside it. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { type Chart, draw } from "./Chart.ts"

/** The source beside the program that was built from it: build/test/simulate is three folders down. */
const folder = fileURLToPath(new URL("../../../test/simulate/", import.meta.url))

const marks = /(<!-- results -->\n)[^]*?(\n<!-- end of results -->)/

/** Writes the results. */
export const write = (results: string): void => {
  const file = `${folder}README.md`
  const text = readFileSync(file, "utf8")
  writeFileSync(
    file,
    text.replace(marks, (_, start: string, end: string) => start + results + end)
  )
}

/** Draws a chart beside the text, and says how the text shows it. */
export const picture = (chart: Chart): string => {
  mkdirSync(`${folder}plots`, { recursive: true })
  writeFileSync(`${folder}plots/${chart.name}.svg`, draw(chart))
  return `![${chart.title}](plots/${chart.name}.svg)`
}
