import { CallOptions } from "trunkline"
import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { count, percent } from "../measures.ts"
import * as policies from "../policies.ts"
import type { Bound, Measure, Scenario } from "../Scenario.ts"

const takes = Simulation.exponential("5 millis")
const heavy = "server-0:1"
/** The first is the one that something happens to. */
const weights = [3, 1, 1]
const part = 3 / 5

const [from, to] = [3000, 9000]

const before: Measure = {
  name: "share of the heavy one before",
  of: (report) => report.between(0, from).share(heavy),
  show: percent(1)
}
const errors: Measure = {
  name: "errors while frozen",
  of: (report) => 1 - report.between(from, to).successRate,
  show: percent(2)
}

/** Who is sent more calls meets more peaks, which Peak EWMA remembers. */
const shares: ReadonlyArray<Bound> = [
  { measure: before, most: 1.2 * part },
  { measure: before, least: part / 1.5 }
]
/** As many of its calls as when one of three equal backends freezes, which has a third of all. */
const few: Bound = { measure: errors, most: 0.002 * 3 * part }

export const weightedFrozen: Scenario = {
  name: "frozen-weights",
  title: "The heaviest of three backends freezes",
  story:
    "450 calls a second, each with a deadline of 1 s, over 3 backends that take 5 ms, of which the first has the weight 3 and " +
    "the others 1, so that it has 60.0 % of the calls as long as all do equally well. From 3 s to 9 s it does nothing.",
  rows: [
    { policy: policies.byDefault, bounds: [...shares, few] },
    { policy: policies.peakEwma, bounds: [...shares, few] },
    { policy: policies.pending, bounds: shares },
    { policy: policies.weighted, bounds: shares }
  ],
  measures: [before, errors],
  options: ({ balancer }) => ({
    duration: "12 seconds",
    servers: weights.map((weight, i) => ({
      takes,
      weight,
      ...(i === 0 ? { faults: [Simulation.frozen({ from, to })] } : undefined)
    })),
    clients: [{ callsPerSecond: 450, balancer, calls: [CallOptions.withDeadline("1 second")] }]
  }),
  charts: (courses) => [
    Charts.share("frozen-weights-share", "Calls that the frozen backend got", courses, heavy, {
      from,
      to,
      label: "frozen"
    })
  ]
}

const [begin, end] = [10_000, 60_000]
/** It must be found out somehow. */
const excused = 5

const wasted: Measure = {
  name: "share after 5 failures",
  of: (report) => {
    const fault = report.between(begin, end)
    return Math.max(0, fault.attempts(heavy) - excused) / fault.attempts()
  },
  show: percent(3)
}
const failed: Measure = { name: "failed calls", of: (report) => report.calls - report.succeeded, show: count }
const bounds: ReadonlyArray<Bound> = [{ measure: wasted, most: 0.001 }]

export const weightedFailing: Scenario = {
  name: "failing-weights",
  title: "The heavier of two backends fails fast",
  story:
    "300 calls a second over 2 backends that take 5 ms, of which the first has ten times the weight of the other. From 10 s on " +
    "it answers `UNAVAILABLE` in 1 ms. Of two samples by weight it would be both for 83 % of the calls.",
  rows: [
    { policy: policies.byDefault, bounds },
    { policy: policies.peakEwma, bounds },
    { policy: policies.pending, bounds: [] },
    { policy: policies.weighted, bounds: [] }
  ],
  measures: [wasted, failed],
  options: ({ balancer }) => ({
    duration: end,
    servers: [
      { takes, weight: 10, faults: [Simulation.failing({ from: begin })] },
      { takes, weight: 1 }
    ],
    clients: [{ callsPerSecond: 300, balancer }]
  }),
  charts: (courses) => [
    Charts.share("failing-weights-share", "Calls that the failing backend got", courses, heavy, {
      from: begin,
      to: end,
      label: "failing"
    })
  ]
}
