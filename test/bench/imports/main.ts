/**
 * What an import costs: bytes in a bundle, and CPU when a program starts.
 *
 *   npm run bench:imports
 */
import { buildSync } from "esbuild"
import { spawnSync } from "node:child_process"
import { gzipSync } from "node:zlib"
import { spread } from "../Statistics.ts"
import { clients, effect, entries, outside, type Subject } from "./subjects.ts"

const rounds = 9

/** Kilobytes of a minified bundle, and of that compressed. */
const sizeOf = ({ imports }: Subject): readonly [number, number] => {
  const contents = imports.map((name, i) => `import * as a${i} from "${name}"; console.log(a${i})`).join("\n")
  const { outputFiles } = buildSync({
    stdin: { contents, resolveDir: process.cwd() },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "node",
    external: [...outside]
  })
  const bytes = outputFiles[0]!.contents
  return [bytes.length / 1024, gzipSync(bytes).length / 1024]
}

/** Milliseconds of CPU, user and system, that a process has used when the imports are there. */
const cpuOf = ({ imports }: Subject): number => {
  const program = `${imports.map((name) => `await import("${name}")`).join("\n")}
    const { user, system } = process.cpuUsage()
    console.log((user + system) / 1000)`
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], { encoding: "utf8" })
  return Number(stdout)
}

const subjects = [{ name: "nothing", imports: [] }, effect, ...clients]
const samples = new Map(subjects.map(({ name }) => [name, new Array<number>()]))
for (let round = 0; round < rounds; round++) {
  for (const subject of round % 2 === 0 ? subjects : [...subjects].reverse())
    samples.get(subject.name)!.push(cpuOf(subject))
}

/** The median, over the rounds, of how much more a subject costs than another in the same round. */
const beyond = (name: string, base: string): number =>
  spread(samples.get(name)!.map((cpu, i) => cpu - samples.get(base)![i]!)).median

const connect = beyond("connect-node", "nothing")

console.log(`bundle, kilobytes: minified by esbuild, without effect, grpc-js and protobuf-es\n`)
console.log(`${"entry point".padEnd(22)}${"minified".padStart(10)}${"gzip".padStart(8)}`)
for (const entry of entries) {
  const [minified, gzip] = sizeOf(entry)
  console.log(`${entry.name.padEnd(22)}${minified.toFixed(0).padStart(10)}${gzip.toFixed(0).padStart(8)}`)
}

console.log(`\nCPU of an import, milliseconds (user + system), median of ${rounds} processes each, by turns\n`)
console.log(`${"client".padEnd(22)}${"all".padStart(8)}${"of its own".padStart(12)}${"ratio".padStart(8)}`)
for (const { name } of [effect, ...clients]) {
  // What effect costs by itself is paid once by a program that uses it.
  const own = beyond(name, name.startsWith("trunkline") ? "effect" : "nothing")
  const all = beyond(name, "nothing")
  console.log(
    `${name.padEnd(22)}${all.toFixed(0).padStart(8)}${own.toFixed(0).padStart(12)}${(own / connect).toFixed(2).padStart(8)}`
  )
}
console.log(`\nof its own: beyond an empty process, and for trunkline beyond effect; ratio: to connect-node's`)
