// The published code: one file for each entry point, and what several of them share in chunks. A program that imports an entry
// point then reads a few files in place of two hundred, which halves what the import costs (npm run bench:imports).
import { build } from "esbuild"
import { readFileSync } from "node:fs"

const { bin, exports } = JSON.parse(readFileSync("package.json", "utf8"))
const built = [...Object.values(exports).map((target) => target.default), ...Object.values(bin)]

await build({
  entryPoints: built.flatMap((file) =>
    file === undefined ? [] : [file.replace(/^(\.\/)?dist\//, "src/").replace(/\.js$/, ".ts")]
  ),
  outbase: "src",
  outdir: process.env.OUT ?? "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node20",
  packages: "external",
  sourcemap: true,
  logLevel: "warning"
})
