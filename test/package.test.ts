/**
 * The package as its users get it: what is published, what resolves, and that the examples run against it.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { execFile, spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Runs node here, where `trunkline` is this package by its own name, and returns what it printed. */
const node = async (...args: ReadonlyArray<string>): Promise<string> =>
  (await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 60_000 })).stdout

/** Runs npm here and returns what it printed; the compiler prints its errors too, so a failure carries it. */
const npm = (...args: ReadonlyArray<string>): string => {
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: root, encoding: "utf8" })
  if (status !== 0) throw new Error(`npm ${args.join(" ")}\n${stdout}${stderr}`)
  return stdout
}

const entries = Object.keys(
  (JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { readonly exports: object }).exports
)
  .filter((entry) => entry !== "./package.json")
  .map((entry) => `trunkline${entry.slice(1)}`)

describe("package", () => {
  for (const name of entries) {
    it(`${name} resolves and exports something`, async () => {
      const exported = await node("--input-type=module", "--eval", `console.log(Object.keys(await import("${name}")))`)
      assert.match(exported, /\w/)
    })
  }

  it("has everything in it that its exports and programs name, and nothing but sources and what was built from them", () => {
    const [pack] = JSON.parse(npm("pack", "--dry-run", "--json", "--ignore-scripts")) as [
      { readonly files: ReadonlyArray<{ readonly path: string }> }
    ]
    const files = pack.files.map((file) => file.path)
    const { bin, exports } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
      readonly bin: Readonly<Record<string, string>>
      readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
    }
    const named = [...Object.values(exports), ...Object.values(bin)].flatMap((target) =>
      typeof target === "string" ? target : Object.values(target)
    )

    assert.includeMembers(
      files,
      named.map((target) => target.replace("./", ""))
    )
    assert.deepStrictEqual(
      files.filter((file) => !/^(dist|src)\/.*\.(ts|js|map)$|^(package\.json|LICENSE|[A-Z]+\.md)$/.test(file)),
      []
    )
  })
})

describe("examples", () => {
  beforeAll(() => {
    npm("run", "-s", "build:programs")
  }, 120_000)

  // Every file of examples/ is a program that prints what its `// =>` comments say. The demo in its folder is for watching.
  const programs = readdirSync(`${root}/examples`).filter((file) => file.endsWith(".ts"))

  it("exist", () => assert.isNotEmpty(programs))

  it.each(programs)("%s prints what it says", { timeout: 60_000 }, async (file) => {
    const source = readFileSync(`${root}/examples/${file}`, "utf8")
    const said = [...source.matchAll(/\/\/ => (.*)$/gm)].map((match) => match[1])
    const printed = await node(`build/examples/${file.replace(/\.ts$/, ".js")}`)
    assert.isNotEmpty(said)
    assert.deepStrictEqual(printed.trimEnd().split("\n"), said)
  })
})
