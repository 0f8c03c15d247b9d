/**
 * Every interop case between every pair of client and server, plain and with TLS.
 *
 *   npm run -s interop             runs and writes the table into README.md
 *   npm run -s interop:check       runs, and says no if README.md has another table
 *
 * Pairs with Ruby need `ruby-grpc`; without it they are skipped, the table is left alone, and with INTEROP_FOREIGN=required
 * in the environment that is a failure.
 */
import { Cause, Console, Effect, Exit, Fiber } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { caseNames } from "./catalogue.ts"
import { type Files, make as makeCertificate } from "./certificates.ts"
import * as Limits from "./limits.ts"
import * as NodeParty from "./NodeParty.ts"
import * as Pair from "./Pair.ts"
import * as Readme from "./Readme.ts"
import type { Results } from "./Results.ts"
import * as RubyParty from "./RubyParty.ts"
import * as Table from "./Table.ts"

/** No run takes longer than this, whatever hangs; a minute is usual. */
const limit = "4 minutes"

const { values: options } = parseArgs({ options: { check: { type: "boolean", default: false } } })

const certificate = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "trunkline-interop-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
).pipe(Effect.flatMap((folder) => Effect.promise(() => makeCertificate(folder))))

/** A pair that could not be tried failed every case for the one reason. */
const tried = (pair: Pair.Pair, tls: Files | undefined): Effect.Effect<Results> =>
  pair.missing === undefined
    ? Effect.catch(pair.run(tls), (error) =>
        Effect.succeed(new Map(caseNames.filter((name) => !pair.without(name)).map((name) => [name, error.message])))
      )
    : Effect.succeed(new Map())

const column = Effect.fnUntraced(function* (pair: Pair.Pair, tls: Files) {
  const results = { pair, plain: yield* tried(pair, undefined), tls: yield* tried(pair, tls) }
  const failed = Table.problems(results)
  const outcome = pair.missing === undefined ? (failed.length === 0 ? "ok" : `${failed.length} failed`) : "skipped"
  yield* Console.log(`${pair.name}: ${outcome}`)
  return results
})

/** Two programs of a pair do not keep two processors busy. */
const pairsAtOnce = 2

const program = Effect.gen(function* () {
  const ours = NodeParty.make("ours", {
    client: ["client.js", "--connector", "http2"],
    server: ["server.js", "--adapter", "http2"]
  })
  const onGrpcJs = NodeParty.make(
    "ours/grpc-js",
    { client: ["client.js", "--connector", "grpcjs"], server: ["server.js", "--adapter", "grpcjs"] },
    { notAsked: Limits.onGrpcJs, notServed: Limits.onGrpcJs }
  )
  const grpcJs = NodeParty.make(
    "grpc-js",
    { client: ["grpcjs-client.js"], server: ["grpcjs-server.js"] },
    { notAsked: Limits.grpcJsClient, notServed: Limits.grpcJsServer }
  )
  const ruby = RubyParty.make(caseNames)
  const tls = yield* certificate
  const columns = yield* Effect.forEach(
    [
      [ours, ours],
      [ours, grpcJs],
      [grpcJs, ours],
      [ours, ruby],
      [ruby, ours],
      [onGrpcJs, onGrpcJs],
      [onGrpcJs, grpcJs],
      [grpcJs, onGrpcJs],
      [onGrpcJs, ruby],
      [ruby, onGrpcJs]
    ] as const,
    ([client, server]) => column(Pair.make(client, server), tls),
    { concurrency: pairsAtOnce }
  )
  const table = Table.render(columns)
  yield* Console.log(`\n${table}`)

  const problems = columns.flatMap(Table.problems)
  const missing = columns.find(({ pair }) => pair.missing !== undefined)?.pair.missing
  if (missing !== undefined) {
    yield* Console.log(`\nskipped the pairs with ruby; to run them: ${missing}`)
    if (process.env["INTEROP_FOREIGN"] === "required") problems.push("the pairs with ruby must not be skipped here")
  } else if (!options.check) {
    if (Readme.update(table)) yield* Console.log("\nwrote the table into test/interop/README.md")
  } else if (!Readme.isCurrent(table)) problems.push("test/interop/README.md has another table: npm run interop")
  for (const problem of problems) yield* Console.error(problem)
  return problems.length === 0
}).pipe(Effect.scoped, Effect.timeout(limit))

const fiber = Effect.runFork(program)
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => Effect.runFork(Fiber.interrupt(fiber)))
}
fiber.addObserver((exit) => {
  if (Exit.isFailure(exit)) process.stderr.write(`${Cause.squash(exit.cause)}\n`)
  process.exitCode = Exit.isSuccess(exit) && exit.value ? 0 : 1
})
