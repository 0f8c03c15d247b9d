#!/usr/bin/env node
/**
 * The program `trunkline`. It exits with 0 if all went well, 1 if the call or the look failed, and 2 if what was asked for
 * is wrong; errors go to standard error and name what was wrong.
 */
import process from "node:process"
import { Console, Effect, Exit, Fiber } from "effect"
import { parse, usage } from "./Arguments.ts"
import * as CallCommand from "./CallCommand.ts"
import * as ExplainCommand from "./ExplainCommand.ts"
import { printable } from "./Terminal.ts"
import * as WatchCommand from "./WatchCommand.ts"

/** The errors of somebody else's making; all others are about what was asked for. */
const failures: ReadonlySet<string> = new Set(["RpcError", "WatchError"])

const program = Effect.gen(function* () {
  const command = yield* parse(process.argv.slice(2))
  switch (command._tag) {
    case "Help":
      return yield* Console.log(usage)
    case "Call":
      return yield* CallCommand.run(command)
    case "Watch":
      return yield* WatchCommand.run(command)
    case "Explain":
      return yield* ExplainCommand.run(command)
  }
}).pipe(
  Effect.as(0),
  Effect.catch((error) => {
    // Line breaks are ours; whatever else a server put into its message does not reach the terminal.
    const lines = error.message.split("\n").map(printable)
    return Effect.as(Console.error(`trunkline: ${lines.join("\n")}`), failures.has(error._tag) ? 1 : 2)
  })
)

const fiber = Effect.runFork(program)
const stop = () => void Effect.runFork(Fiber.interrupt(fiber))
process.once("SIGINT", stop)
process.once("SIGTERM", stop)
fiber.addObserver((exit) => {
  process.exitCode = Exit.isSuccess(exit) ? exit.value : 130
  process.removeListener("SIGINT", stop)
  process.removeListener("SIGTERM", stop)
})
