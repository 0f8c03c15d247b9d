#!/usr/bin/env node
/**
 * The program `trunkline`: the command line, from the process's arguments to its exit status. A signal ends it in good order.
 */
import process from "node:process"
import { Effect, Exit, Fiber } from "effect"
import * as Trunkline from "./Trunkline.ts"

const fiber = Effect.runFork(Trunkline.run(process.argv.slice(2)))
const stop = () => void Effect.runFork(Fiber.interrupt(fiber))
process.once("SIGINT", stop)
process.once("SIGTERM", stop)
fiber.addObserver((exit) => {
  process.exitCode = Exit.isSuccess(exit) ? exit.value : 130
  process.removeListener("SIGINT", stop)
  process.removeListener("SIGTERM", stop)
})
