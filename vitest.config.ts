import { existsSync, readFileSync } from "node:fs"
import { resolve } from "node:path"
import { configDefaults, defineConfig } from "vitest/config"

// Vitest 5 runs on Node 20 but reports failures with functions that came after it. They are added to the process that
// reports, not to the workers that run tests, so the library cannot come to need them.
const groupBy = <K, A>(items: Iterable<A>, keyOf: (item: A) => K): Map<K, Array<A>> => {
  const groups = new Map<K, Array<A>>()
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item])
  return groups
}
const withResolvers = () => {
  const resolvers = {} as Record<string, unknown>
  resolvers["promise"] = new Promise((resolve, reject) => Object.assign(resolvers, { resolve, reject }))
  return resolvers
}
const addMissing = (target: object, name: string, value: unknown) => {
  if (!(name in target)) Object.defineProperty(target, name, { value, configurable: true, writable: true })
}
addMissing(Map, "groupBy", groupBy)
addMissing(Object, "groupBy", (...args: Parameters<typeof groupBy>) => Object.fromEntries(groupBy(...args) as never))
addMissing(Promise, "withResolvers", withResolvers)

const { exports } = JSON.parse(readFileSync("package.json", "utf8")) as {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>
}

/** The source of a file of `dist`. */
const sourceOf = (built: string) => built.replace("./dist/", "src/").replace(/\.js$/, ".ts")

// These look at what is built before them.
const built = ["test/entries.test.ts", "test/package.test.ts"]

// These need Chromium, which not every machine has. They are a project of their own, which is there where the browser is,
// so that no test is ever skipped.
const browser = ["test/browser/**/*.test.ts"]
const hasBrowser =
  process.env["CHROMIUM"] === "required" || existsSync(process.env["CHROMIUM_PATH"] ?? "/usr/bin/chromium")

// `trunkline` means the sources, as it does for the type checker.
const sources = {
  alias: Object.entries(exports).flatMap(([entry, target]) =>
    typeof target === "string"
      ? []
      : [{ find: new RegExp(`^trunkline${entry.slice(1)}$`), replacement: resolve(sourceOf(target.default)) }]
  )
}

export default defineConfig({
  test: {
    projects: [
      {
        resolve: sources,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...built, ...browser],
          // Nothing in the library is global, so files can share modules; to load them for each takes longer than the tests do.
          isolate: false,
          // Some tests compute for seconds, and machines may be busy. What waits, waits on a clock of its own.
          testTimeout: 60_000
        }
      },
      {
        test: {
          name: "types",
          include: [],
          typecheck: {
            enabled: true,
            only: true,
            include: ["test/types/**/*.tst.ts"],
            tsconfig: "./tsconfig.json",
            // Errors elsewhere are the type checker's to report.
            ignoreSourceErrors: true
          }
        }
      },
      ...(hasBrowser ? [{ resolve: sources, test: { name: "browser", include: browser, testTimeout: 60_000 } }] : []),
      { test: { name: "package", include: built, globalSetup: "test/support/built.ts", testTimeout: 60_000 } }
    ]
  }
})
