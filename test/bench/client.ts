/**
 * One contender in a process of its own, so that its CPU is counted alone and no other's compiled code or garbage is in
 * its way. Runs as a child: `client.js <contender> <target>...`. Says when it is open, answers each round it is sent with
 * its measurement, and ends when its parent lets go.
 */
import { Cause, Effect, Exit } from "effect"
import { all } from "./contenders.ts"
import * as Round from "./Round.ts"

const [name, ...targets] = process.argv.slice(2)
const contender = all.find((contender) => contender.name === name)!

const send = (message: unknown) => Effect.sync(() => void process.send!(message))
const receive = Effect.callback<Round.Round>((resume) => {
  process.once("message", (round: Round.Round) => resume(Effect.succeed(round)))
})
const disconnected = Effect.callback<void>((resume) => void process.once("disconnect", () => resume(Effect.void)))

const serve = Effect.gen(function* () {
  const worker = yield* contender.open(targets)
  yield* send("open")
  while (true) yield* send(yield* Round.run(worker, yield* receive))
})

Effect.runFork(Effect.scoped(Effect.raceFirst(disconnected, serve))).addObserver((exit) => {
  if (Exit.isFailure(exit)) console.error(`${name}: ${Cause.pretty(exit.cause)}`)
  process.exit(Exit.isFailure(exit) ? 1 : 0)
})
