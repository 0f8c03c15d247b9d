/**
 * What a unary call costs its client, ours against grpc-js's own.
 *
 * Every contender has a process of its own and all of them call the same servers. They take turns in short rounds, one
 * at a time, and each round is compared with the baseline's next to it, so that a machine that is busy for a while is
 * busy for both. See README.md.
 *
 *   npm run bench -- [--quick] [--check] [--threshold 1] [--rounds 13] [--millis 1000] [--concurrency 64]
 *                    [--profile <contender>]
 */
import { Cause, Effect, Exit } from "effect"
import { parseArgs } from "node:util"
import * as Child from "./Child.ts"
import { all, baseline, promised } from "./contenders.ts"
import * as Report from "./Report.ts"
import type { Measurement, Round } from "./Round.ts"
import * as Statistics from "./Statistics.ts"

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
    threshold: { type: "string", default: "1" },
    rounds: { type: "string" },
    millis: { type: "string" },
    concurrency: { type: "string", default: "64" },
    profile: { type: "string" }
  }
})

const rounds = Number(options.rounds ?? (options.quick ? 7 : 13))
const round: Round = {
  concurrency: Number(options.concurrency),
  millis: Number(options.millis ?? (options.quick ? 300 : 1000))
}
/** Long enough for the optimizing compiler to have seen everything. */
const warmUp: Round = { ...round, millis: options.quick ? 1000 : 3000 }

/** No run takes longer than this, whatever hangs. */
const limit = "3 minutes"

const profiling = ["--cpu-prof", "--cpu-prof-dir=build/profiles"]

const measure = Effect.gen(function* () {
  const [, targets] = yield* Child.start(new URL("server.js", import.meta.url))
  const clients = yield* Effect.forEach(
    all,
    Effect.fnUntraced(function* (contender) {
      const [child] = yield* Child.start(
        new URL("client.js", import.meta.url),
        [contender.name, ...(targets as ReadonlyArray<string>)],
        contender.name === options.profile ? profiling : []
      )
      const run = (round: Round) => child.ask(round as never) as Effect.Effect<Measurement, Child.ChildError>
      return { contender, run, micros: [] as Array<number> }
    })
  )
  for (const client of clients) yield* client.run(warmUp)
  for (let i = 0; i < rounds; i++) {
    for (const client of i % 2 === 0 ? clients : clients.toReversed()) {
      client.micros.push((yield* client.run(round)).microsPerCall)
    }
  }
  return clients
}).pipe(Effect.scoped, Effect.timeout(limit))

const main = Effect.gen(function* () {
  const results: ReadonlyArray<Report.Result> = yield* measure
  const of = (name: string) => results.find(({ contender }) => contender.name === name)!
  const others = results.filter(({ contender }) => contender !== baseline)
  console.log(Report.render(of(baseline.name), others, round))
  const { median } = Statistics.ratios(of(promised.name).micros, of(baseline.name).micros)
  if (options.check && median > Number(options.threshold)) {
    console.error(`\n${promised.name} costs ${median.toFixed(2)} of ${baseline.name}, more than ${options.threshold}`)
    process.exitCode = 1
  }
})

Effect.runFork(main).addObserver((exit) => {
  if (Exit.isSuccess(exit)) return
  console.error(Cause.pretty(exit.cause))
  process.exitCode = 1
})
