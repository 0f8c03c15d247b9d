/**
 * A backend of the demo: `backend.js <name> [port]`. Says where it listens, serves until its parent is gone, and takes 1
 * to 5 ms for each greeting.
 */
import { Effect, Random } from "effect"
import { Handlers } from "trunkline"
import { GrpcJsServer } from "trunkline/grpc-js"
import { Greeter } from "../../test/gen/greeter_pb.ts"

const [backend = "backend", port = "0"] = process.argv.slice(2)

const greeter = Handlers.make(Greeter, {
  sayHello: ({ name }) =>
    Random.nextBetween(1, 5).pipe(Effect.flatMap(Effect.sleep), Effect.as({ message: `Hello, ${name}`, backend }))
})

/** A stopped process cannot see its parent go, so its siblings know of it and wake it. */
let stopped = 0
process.on("message", (pid: number) => (stopped = pid))
process.on("disconnect", () => {
  if (stopped !== 0) process.kill(stopped, "SIGCONT")
  process.exit()
})
// Ctrl-C reaches every process of the terminal; the parent ends this one in its own time.
process.on("SIGINT", () => {})

const serve = Effect.gen(function* () {
  const { address } = yield* GrpcJsServer.make({ port: Number(port), handlers: [greeter] })
  process.send!(address)
  return yield* Effect.never
})

Effect.runFork(Effect.scoped(serve)).addObserver((exit) => {
  console.error(`backend ${backend}:`, exit)
  process.exit(1)
})
