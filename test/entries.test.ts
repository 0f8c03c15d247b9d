/** The entry points as their users get them: what each loads, and that every type they show has a name. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))

const read = (path: string): string => readFileSync(`${root}/${path}`, "utf8")

const { exports } = JSON.parse(read("package.json")) as {
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>
}

/** The entry points that are code, and their declarations by their place in `dist`. */
const entries = Object.entries(exports).flatMap(([name, target]) =>
  typeof target === "string" ? [] : [{ name: `trunkline${name.slice(1)}`, types: target.types.replace("./dist/", "") }]
)

/** How many files of a package are loaded by importing some entry points. */
const loaded = (packageName: string, ...names: ReadonlyArray<string>): number => {
  const program = `
    import { createRequire } from "node:module"
    for (const name of ${JSON.stringify(names)}) await import(name)
    console.log(Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes("/${packageName}/")).length)
  `
  const printed = execFileSync(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root,
    encoding: "utf8"
  })
  return Number(printed)
}

/** A name of another module of the package, as `module#name`. */
const named = (path: string, from: string, name: string): string =>
  `${posix.join(posix.dirname(path), from)}#${name
    .replace("type ", "")
    .replace(/ as .*/, "")
    .trim()}`

/** The names of other modules that a declaration shows. */
const shownBy = (path: string): ReadonlyArray<string> => {
  const text = read(`dist/${path}.d.ts`)
  const listed = [...text.matchAll(/import (?:type )?\{([^}]*)\} from "(\.[^"]+)\.ts"/g)].flatMap(([, names, from]) =>
    names!.split(",").map((name) => named(path, from!, name))
  )
  const members = [...text.matchAll(/import (?:type )?\* as (\w+) from "(\.[^"]+)\.ts"/g)].flatMap(([, space, from]) =>
    [...text.matchAll(new RegExp(`\\b${space}\\.(?!ts\\b)(\\w+)`, "g"))].map((match) => named(path, from!, match[1]!))
  )
  const inline = [...text.matchAll(/import\("(\.[^"]+)\.ts"\)\.(\w+)/g)].map(([, from, name]) =>
    named(path, from!, name!)
  )
  return [...new Set([...listed, ...members, ...inline])]
}

/** The names that a declaration exports again from other modules. */
const exportedAgainBy = (path: string): ReadonlyArray<string> =>
  [...read(`dist/${path}.d.ts`).matchAll(/export (?:type )?\{([^}]*)\} from "(\.[^"]+)\.ts"/g)].flatMap(
    ([, names, from]) => names!.split(",").map((name) => named(path, from!, name))
  )

/** The modules that entry points export as namespaces. */
const namespaces = (): ReadonlySet<string> =>
  new Set(
    entries.flatMap(({ types }) =>
      [...read(`dist/${types}`).matchAll(/export \* as \w+ from "(\.[^"]+)\.ts"/g)].map((match) =>
        posix.join(posix.dirname(types), match[1]!)
      )
    )
  )

describe("an entry point", () => {
  it("loads no adapter but its own", () => {
    assert.strictEqual(
      loaded("@grpc/grpc-js", "trunkline", "trunkline/http2", "trunkline/extend", "trunkline/testing"),
      0
    )
    assert.isAbove(loaded("@grpc/grpc-js", "trunkline/grpc-js"), 0)
  })

  it("exports namespaces and nothing else, each from one entry point", () => {
    const names = entries.flatMap(({ types }) => {
      const text = read(`dist/${types}`)
      assert.notMatch(text.replace(/export \* as \w+ from "[^"]+"/g, ""), /export (?!\{\})/, types)
      return [...text.matchAll(/export \* as (\w+)/g)].map((match) => match[1]!)
    })
    assert.deepStrictEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      []
    )
  })

  it("shows no type that a user cannot name", () => {
    const known = namespaces()
    const again = new Set([...known].flatMap(exportedAgainBy))
    const isNamed = (name: string): boolean =>
      known.has(name.split("#")[0]!) || name.includes("/gen/") || again.has(name)
    const unnamed = [...known].flatMap((path) =>
      shownBy(path)
        .filter((name) => !isNamed(name))
        .map((name) => `${path} shows ${name}`)
    )
    assert.deepStrictEqual(unnamed, [])
  })
})
