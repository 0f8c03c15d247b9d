/** Every example in a doc comment compiles against the library, runs, and answers what it says. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"

interface Example {
  readonly name: string
  readonly code: string
}

/** The code after each `@example` of a source file, up to the next tag or the end of the comment. */
const examplesIn = (source: string): ReadonlyArray<string> =>
  [...source.matchAll(/^ \* @example\n((?: \*(?! @)(?!\/).*\n)+)/gm)].map((match) => match[1]!.replace(/^ \* ?/gm, ""))

/** `value // => expected` becomes an assertion. */
const withAssertions = (code: string): string =>
  `import { assert as __assert } from "@effect/vitest"\n${code.replace(
    /^(.*\S) \/\/ => (.*)$/gm,
    "__assert.deepStrictEqual($1, $2)"
  )}export {}\n`

const folder = "build/docs"
const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"))

const examples: ReadonlyArray<Example> = sources.flatMap((path) =>
  examplesIn(readFileSync(join("src", path), "utf8")).map((code, i) => ({
    name: `${basename(path, ".ts")}${i + 1}`,
    code
  }))
)

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
for (const { code, name } of examples) writeFileSync(join(folder, `${name}.ts`), withAssertions(code))

describe("doc examples", () => {
  it("are found, and an answer becomes an assertion", () => {
    assert.isAtLeast(examples.length, 15)
    assert.deepStrictEqual(examplesIn("/**\n * One.\n *\n * @example\n * f(1) // => 2\n *\n * @since 1\n */\n"), [
      "f(1) // => 2\n\n"
    ])
    assert.include(withAssertions("f(1) // => 2\n"), "__assert.deepStrictEqual(f(1), 2)")
  })

  it("compile", { timeout: 60_000 }, () => {
    execFileSync("node_modules/.bin/tsc", ["--noEmit", "-p", ".config/tsconfig.docs.json"], { encoding: "utf8" })
  })

  it.each(examples.map((example) => example.name))("%s runs", async (name) => {
    await import(/* @vite-ignore */ resolve(folder, `${name}.ts`))
  })
})

describe("README", () => {
  const programs = readdirSync("examples").filter((file) => file.endsWith(".ts"))
  const excerpts = [...readFileSync("README.md", "utf8").matchAll(/```ts\n([\s\S]*?)```/g)].map((match) => match[1]!)

  it("quotes the examples and has no code of its own", () => {
    const code = programs.map((file) => readFileSync(join("examples", file), "utf8"))
    assert.isNotEmpty(excerpts)
    for (const excerpt of excerpts) {
      assert.isTrue(
        code.some((text) => text.includes(excerpt.trim())),
        excerpt
      )
    }
  })
})
