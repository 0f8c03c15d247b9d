/** The table in README.md, between its two marks. */
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** The source beside the program that was built from it: build/test/interop is three folders down. */
const file = fileURLToPath(new URL("../../../test/interop/README.md", import.meta.url))

const marks = /(<!-- table -->\n)[^]*?(\n<!-- end of table -->)/

/** Writes the table; says whether it was another. */
export const update = (table: string): boolean => {
  const old = readFileSync(file, "utf8")
  const text = old.replace(marks, (_, start: string, end: string) => start + table + end)
  if (text !== old) writeFileSync(file, text)
  return text !== old
}

/** Whether the table is what the file says. */
export const isCurrent = (table: string): boolean => readFileSync(file, "utf8").includes(`\n${table}\n`)
