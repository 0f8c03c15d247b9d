/** One round of one contender: as many calls as fit into a time, so many at once, and the CPU they took. */
import { Effect } from "effect"
import type { Call } from "./Contender.ts"

export interface Round {
  readonly concurrency: number
  readonly millis: number
}

export interface Measurement {
  readonly calls: number
  /** CPU of this process, user and system, for each call. */
  readonly microsPerCall: number
}

/**
 * Keeps `concurrency` calls under way until the time is up and the last of them has ended. The CPU of the whole process
 * is counted, the compiler's and the collector's threads included; garbage of the round before is not.
 */
export const run = (call: Call, { concurrency, millis }: Round): Effect.Effect<Measurement, unknown> =>
  Effect.callback((resume) => {
    let calls = 0
    let underWay = concurrency
    let problem: unknown
    const end = performance.now() + millis
    const before = process.cpuUsage()

    const finish = () => {
      const { user, system } = process.cpuUsage(before)
      resume(
        problem === undefined ? Effect.succeed({ calls, microsPerCall: (user + system) / calls }) : Effect.fail(problem)
      )
    }
    const next = () => {
      if (problem === undefined && performance.now() < end) call(done)
      else if (--underWay === 0) finish()
    }
    const done = (found?: unknown) => {
      problem ??= found
      calls++
      next()
    }
    for (let i = 0; i < concurrency; i++) next()
  })
