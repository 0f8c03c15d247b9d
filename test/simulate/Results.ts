/** Scenarios, run. */
import { Effect } from "effect"
import { Simulation } from "trunkline/testing"
import { type Course, isKept, type Measure, type Row, sayBound, type Scenario } from "./Scenario.ts"

/** What the seeds came to, in each measure. */
export interface RowResult {
  readonly row: Row
  readonly values: ReadonlyMap<Measure, ReadonlyArray<number>>
  /** What was missed, in words. */
  readonly missed: ReadonlyArray<string>
  readonly first: Course
}

const simulate = (scenario: Scenario, { policy }: Row, seed: number): Effect.Effect<Course> =>
  Effect.map(Effect.orDie(Simulation.run({ ...scenario.options(policy), seed })), (report) => ({ policy, report }))

/** Tries a policy with each seed. */
export const tryRow = Effect.fnUntraced(function* (scenario: Scenario, row: Row, seeds: ReadonlyArray<number>) {
  const measures = new Set([...scenario.measures, ...row.bounds.map(({ measure }) => measure)])
  const values = new Map([...measures].map((measure) => [measure, [] as Array<number>]))
  const missed: Array<string> = []
  let first: Course | undefined
  for (const seed of seeds) {
    const course = yield* simulate(scenario, row, seed)
    first ??= course
    for (const [measure, known] of values) known.push(measure.of(course.report))
    for (const bound of row.bounds) {
      const value = values.get(bound.measure)!.at(-1)!
      if (isKept(bound, value)) continue
      const { name, show } = bound.measure
      missed.push(
        `${scenario.title}, ${row.policy.name}, seed ${seed}: ${name} is ${show(value)}, must be ${sayBound(bound)}`
      )
    }
  }
  return { row, values, missed, first: first! } satisfies RowResult
})
