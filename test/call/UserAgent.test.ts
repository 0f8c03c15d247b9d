import { readFileSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import * as UserAgent from "../../src/call/UserAgent.ts"

it("the version on the wire is the version of the package", () => {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    readonly version: string
  }
  assert.strictEqual(UserAgent.version, manifest.version)
  assert.strictEqual(UserAgent.userAgent, `grpc-node-trunkline/${manifest.version}`)
})
