/** What is said of a few paired measurements: the middle and the ends. */

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export const spread = (values: ReadonlyArray<number>): Spread => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return {
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    min: sorted[0]!,
    max: sorted.at(-1)!
  }
}

/** Each value over its partner of the same round: what both suffered alike falls out. */
export const ratios = (values: ReadonlyArray<number>, partners: ReadonlyArray<number>): Spread =>
  spread(values.map((value, round) => value / partners[round]!))
