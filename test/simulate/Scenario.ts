/** A bad day: what happens, who is tried, what is measured, and what must come of it. */
import type { Simulation } from "trunkline/testing"
import type { Chart } from "./Chart.ts"

/** A way of balancing that has a name. */
export interface Policy {
  readonly name: string
  readonly balancer: Simulation.Client["balancer"]
  /** What its calls are made with besides. */
  readonly calls?: ReadonlyArray<Simulation.Setting>
}

/** A number of a report. */
export interface Measure {
  readonly name: string
  readonly of: (report: Simulation.Report) => number
  readonly show: (value: number) => string
}

/** What a measure must not exceed, or fall below, for any seed. */
export type Bound = { readonly measure: Measure } & ({ readonly most: number } | { readonly least: number })

/** A policy that is tried. One without bounds is there to compare with. */
export interface Row {
  readonly policy: Policy
  readonly bounds: ReadonlyArray<Bound>
}

/** One course of events of a row. */
export interface Course {
  readonly policy: Policy
  readonly report: Simulation.Report
}

export interface Scenario {
  /** The name of its pictures. */
  readonly name: string
  readonly title: string
  readonly story: string
  readonly rows: ReadonlyArray<Row>
  readonly measures: ReadonlyArray<Measure>
  /** What is simulated, but for the seed. */
  readonly options: (policy: Policy) => Simulation.Options
  /** Drawn of the first course of each row. */
  readonly charts: (courses: ReadonlyArray<Course>) => ReadonlyArray<Chart>
}

/** Five courses of events. */
export const seeds = [1, 2, 3, 4, 5]

export const isKept = (bound: Bound, value: number): boolean =>
  "most" in bound ? value <= bound.most : value >= bound.least

export const sayBound = (bound: Bound): string => {
  const { show } = bound.measure
  return "most" in bound ? `≤ ${show(bound.most)}` : `≥ ${show(bound.least)}`
}

/** The same n times, as a list. */
export const copies = <A>(n: number, make: (i: number) => A): ReadonlyArray<A> =>
  Array.from({ length: n }, (_, i) => make(i))
