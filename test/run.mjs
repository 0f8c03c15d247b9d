// The one command that says yes: every check there is, cheapest first, until one says no.
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import { performance } from "node:perf_hooks"

const chromium = process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium"
const hasBrowser = existsSync(chromium) || process.env["CHROMIUM"] === "required"

const stages = [
  ["format", "oxfmt --check"],
  ["lint", "oxlint"],
  ["types", "npm run -s check"],
  ["type tests", "vitest run --project types"],
  ["generated code", "npm run -s check:generated"],
  ["tests", "vitest run --project unit"],
  ...(hasBrowser ? [["tests in a browser", "vitest run --project browser"]] : []),
  ["package and examples", "vitest run --project package"],
  ["interop", "npm run -s interop:check"]
]

const times = []
for (const [name, command] of stages) {
  console.log(`\n── ${name}: ${command}`)
  const start = performance.now()
  const { status } = spawnSync(command, { shell: true, stdio: "inherit" })
  times.push(`${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${name}`)
  if (status !== 0) {
    console.error(`\n${times.join("\n")}  <- failed`)
    process.exit(1)
  }
}
if (!hasBrowser) console.log(`\nthe debug page was not tried in a browser: there is no ${chromium}`)
console.log(`\n${times.join("\n")}\nall good`)
