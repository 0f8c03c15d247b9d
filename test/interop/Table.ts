/** The table of cases by pairs, as Markdown. */
import { type CaseName, caseNames } from "./catalogue.ts"
import type { Pair } from "./Pair.ts"
import type { Results } from "./Results.ts"

/** Why a cell says neither pass nor fail. */
const reasons: Readonly<Record<string, string>> = {
  "grpc-js compression":
    "grpc-js compresses every request of a channel or none, and no response; it tells neither side which message came compressed.",
  "grpc-js reports": "grpc-js gives load reports to its own balancers and to nobody else.",
  "grpc-js memory": "grpc-js's server cannot say how much of its memory is in use.",
  scaling: "One connection to a backend is all this client, or this server, knows of (gRFC A105 wants a second).",
  "ruby client": "Ruby's client does not have this case.",
  "ruby compression": "Ruby's server does not look at how a request came, and compresses no response.",
  "ruby reports": "Ruby's server does not report its load.",
  "ruby limit": "Ruby's server reads 4 MiB and cannot be told to read more.",
  "ruby threads": "Ruby's server has thirty threads and refuses the calls they cannot take.",
  "ruby id": "Ruby's server does not say which server it is."
}

/** How a pair went, in plain text and with TLS. */
export interface Column {
  readonly pair: Pair
  readonly plain: Results
  readonly tls: Results
}

const footnote = (reason: string): string => `[^${Object.keys(reasons).indexOf(reason) + 1}]`

const verdict = (results: Results, name: CaseName): string => (results.get(name) === undefined ? "pass" : "fail")

const cell = ({ pair, plain, tls }: Column, name: CaseName): string => {
  const reason = pair.without(name)
  if (reason !== undefined) return `n/a${footnote(reason)}`
  if (pair.missing !== undefined) return "skipped"
  const verdicts = [verdict(plain, name), verdict(tls, name)]
  return verdicts[0] === verdicts[1] ? verdicts[0]! : verdicts.join(" / ")
}

const row = (cells: ReadonlyArray<string>): string => `| ${cells.join(" | ")} |`

/** The table and its footnotes. Plain text and TLS share a cell, which says both where they differ. */
export const render = (columns: ReadonlyArray<Column>): string =>
  [
    row(["case", ...columns.map(({ pair }) => pair.name)]),
    row(["---", ...columns.map(() => "---")]),
    ...caseNames.map((name) => row([name, ...columns.map((column) => cell(column, name))])),
    "",
    ...Object.entries(reasons).map(([reason, text]) => `${footnote(reason)}: ${text}`)
  ].join("\n")

/** What failed, a line each. */
export const problems = ({ pair, plain, tls }: Column): ReadonlyArray<string> =>
  [
    ["plain", plain],
    ["TLS", tls]
  ].flatMap(([security, results]) =>
    [...(results as Results)].flatMap(([name, problem]) =>
      problem === undefined ? [] : [`${pair.name}, ${security as string}, ${name}: ${problem}`]
    )
  )
