/** How the cases of a pair went, as its client says it. */
import type { CaseName } from "./catalogue.ts"

/** How a case went: `undefined` is well. */
export type Results = ReadonlyMap<CaseName, string | undefined>

/** Reads `ok` and `not ok` lines; a case without one did not get that far. */
export const read = (cases: ReadonlyArray<CaseName>, said: string): Results => {
  const lines = new Map(
    [...said.matchAll(/^(?:ok (\w+)|not ok (\w+): (.*))$/gm)].map(([, ok, failed, why]) => [ok ?? failed, why])
  )
  return new Map(cases.map((name) => [name, lines.has(name) ? lines.get(name) : `no answer; ${said.trim()}`]))
}
