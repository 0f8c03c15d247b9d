/** One round of one contender: as many calls as fit into a time, so many at once, and the CPU they took. */
import { Effect } from "effect"
import type { Worker } from "./Contender.ts"

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
export const run = (worker: Worker, { concurrency, millis }: Round): Effect.Effect<Measurement, unknown> =>
  Effect.suspend(() => {
    let calls = 0
    let problem: unknown
    const end = performance.now() + millis
    const before = process.cpuUsage()
    const more = (found?: unknown) => {
      problem ??= found
      calls++
      return problem === undefined && performance.now() < end
    }
    const workers = Array.from({ length: concurrency }, () => worker(more))
    return Effect.flatMap(Effect.all(workers, { concurrency: "unbounded", discard: true }), () => {
      const { system, user } = process.cpuUsage(before)
      return problem === undefined
        ? Effect.succeed({ calls, microsPerCall: (user + system) / calls })
        : Effect.fail(problem)
    })
  })
