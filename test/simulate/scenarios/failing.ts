import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { count, percent } from "../measures.ts"
import * as policies from "../policies.ts"
import { type Bound, copies, type Measure, type Scenario } from "../Scenario.ts"

const [from, to] = [10_000, 60_000]
const takes = Simulation.constant("50 millis")
const hole = "server-0:1"

/** It must be found out somehow. */
const excused = 5

const share: Measure = {
  name: "share after 5 failures",
  of: (report) => {
    const fault = report.between(from, to)
    return Math.max(0, fault.attempts(hole) - excused) / fault.attempts()
  },
  show: percent(3)
}
const failed: Measure = { name: "failed calls", of: (report) => report.calls - report.succeeded, show: count }
const bounds: ReadonlyArray<Bound> = [{ measure: share, most: 0.001 }]

export const failing: Scenario = {
  name: "failing",
  title: "One of ten backends fails fast",
  story:
    "1,000 calls a second over 10 backends that take 50 ms. From 10 s on one of them answers `UNAVAILABLE` in 1 ms, which " +
    "makes it look idle and quick. Of 50,000 calls a fair share would be 5,000.",
  rows: [
    { policy: policies.byDefault, bounds },
    { policy: policies.peakEwma, bounds },
    { policy: policies.accrual, bounds },
    { policy: policies.pending, bounds: [] },
    { policy: policies.least, bounds: [] },
    { policy: policies.roundRobin, bounds: [] }
  ],
  measures: [share, failed],
  options: ({ balancer }) => ({
    duration: to,
    servers: [{ takes, faults: [Simulation.failing({ from })] }, ...copies(9, () => ({ takes }))],
    clients: [{ callsPerSecond: 1000, balancer }]
  }),
  charts: (courses) => [
    Charts.share("failing-share", "Calls that the failing backend got", courses, hole, { from, to, label: "fails" })
  ]
}
