/** What the soak cases are asked for, and when they have failed. */

export interface Soak {
  readonly iterations: number
  readonly threads: number
  readonly maxFailures: number
  /** A call that takes longer has failed, even if it succeeds. */
  readonly maxLatencyMillis: number
  readonly overallTimeoutMillis: number
  readonly minMillisBetweenCalls: number
  readonly requestSize: number
  readonly responseSize: number
}

/** One call of a soak: how long it took and, if it failed, why. */
export interface Iteration {
  readonly millis: number
  readonly problem: string | undefined
}

const problemOf = (soak: Soak, { millis, problem }: Iteration): string | undefined =>
  problem ?? (millis > soak.maxLatencyMillis ? `took ${Math.round(millis)} ms` : undefined)

/** Why the soak has failed, if it has. */
export const verdict = (soak: Soak, iterations: ReadonlyArray<Iteration>): string | undefined => {
  const problems = iterations.flatMap((iteration) => problemOf(soak, iteration) ?? [])
  return problems.length > soak.maxFailures
    ? `${problems.length} of ${iterations.length} calls failed, ${soak.maxFailures} may; the first: ${problems[0]}`
    : undefined
}
