/**
 * Backends die, freeze and come back under load, and no call fails.
 *
 *   npm run demo -- --help
 */
import { Cause, Clock, Effect, Exit, Layer } from "effect"
import { CallOptions, Client, Deadline } from "trunkline"
import { Greeter as GreeterService } from "../../test/gen/greeter_pb.ts"
import * as Arguments from "./Arguments.ts"
import * as Backends from "./Backends.ts"
import { Journal } from "./Journal.ts"
import * as Pool from "./Pool.ts"
import * as Run from "./Run.ts"
import * as Screen from "./Screen.ts"
import * as Target from "./Target.ts"

class Greeter extends Client.Service<Greeter>()("demo/Greeter", GreeterService) {}

const begin = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  return { journal: new Journal(() => Deadline.nowUnsafe(clock)), screen: yield* Screen.make }
})

/** Three backends of the demo's own, and what goes wrong with two of them. */
const local = Effect.fnUntraced(function* ({ rate, seconds }: Arguments.Arguments) {
  const backends = yield* Backends.start(["alpha", "beta", "gamma"])
  const { journal, screen } = yield* begin
  const faults = { killed: backends[1]!, frozen: backends[2]!, listening: undefined }
  const where = backends.map(({ endpoint, name }) => `${name} :${endpoint.id.split(":").at(-1)}`)
  console.log(`${rate} calls a second to ${where.join(", ")} on this machine`)
  return yield* Effect.gen(function* () {
    const greeter = yield* Greeter
    const ask = greeter
      .sayHello({ name: "Ada" })
      .pipe(CallOptions.idempotent, CallOptions.withTimeout("500 millis"), Pool.withDeadline)
    return yield* Run.run({ journal, screen, seconds, rate, ask, backends, faults })
  }).pipe(
    Effect.provide(
      Layer.provideMerge(
        Greeter.layer,
        Pool.layer(
          backends.map(({ endpoint }) => endpoint),
          journal
        )
      )
    )
  )
})

/** Somebody else's backends, which are asked and not touched. */
const remote = Effect.fnUntraced(function* ({ rate, seconds, targets }: Arguments.Arguments) {
  const { journal, screen } = yield* begin
  return yield* Effect.gen(function* () {
    const { ask, name } = yield* Target.question(journal)
    console.log(
      `${rate} calls a second to ${targets.length === 1 ? "1 backend" : `${targets.length} backends`}: ${name}`
    )
    const backends = targets.map((endpoint) => ({ name: endpoint.id, endpoint }))
    return yield* Run.run({
      journal,
      screen,
      seconds,
      rate,
      // Two tries fit into the deadline and no third, so that a backend that is overloaded is not sent three times the load.
      ask: ask.pipe(CallOptions.withTimeout("2500 millis")),
      backends
    })
  }).pipe(Effect.provide(Pool.layer(targets, journal)))
})

const demo = Effect.gen(function* () {
  const args = yield* Arguments.parse(process.argv.slice(2))
  if (args.help) {
    console.log(Arguments.usage)
    return 0
  }
  // Whatever hangs, it ends.
  const run = Effect.timeout(
    Effect.scoped(args.targets.length === 0 ? local(args) : remote(args)),
    (args.seconds + 30) * 1000
  )
  return (yield* run) === 0 ? 0 : 1
}).pipe(
  Effect.catch((error) =>
    Effect.sync(() => {
      console.error(error.message)
      return 2
    })
  )
)

const fiber = Effect.runFork(demo)

/** Ends what runs, which ends the backends, and exits with the code. */
const stop = (code: number) => () => {
  process.exitCode = code
  fiber.interruptUnsafe()
}
process.once("SIGHUP", stop(129)).once("SIGINT", stop(130)).once("SIGTERM", stop(143))
// Nobody reads any more.
process.stdout.on("error", stop(141))

fiber.addObserver((exit) => {
  if (Exit.isSuccess(exit)) process.exitCode = exit.value
  else if (!Cause.hasInterruptsOnly(exit.cause)) {
    console.error(Cause.pretty(exit.cause))
    process.exitCode = 1
  }
  setTimeout(() => process.exit(), 1000).unref()
})
