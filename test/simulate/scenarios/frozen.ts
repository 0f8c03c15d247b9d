import { CallOptions } from "trunkline"
import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { count, percent } from "../measures.ts"
import * as policies from "../policies.ts"
import type { Bound, Measure, Scenario } from "../Scenario.ts"

const [from, to] = [3000, 9000]
const takes = Simulation.exponential("5 millis")
const victim = "server-0:1"

const errors: Measure = {
  name: "errors while frozen",
  of: (report) => 1 - report.between(from, to).successRate,
  show: percent(2)
}
const got: Measure = { name: "calls it got", of: (report) => report.between(from, to).attempts(victim), show: count }
const bounds: ReadonlyArray<Bound> = [{ measure: errors, most: 0.002 }]

export const frozen: Scenario = {
  name: "frozen",
  title: "One of three backends freezes",
  story:
    "450 calls a second, each with a deadline of 1 s, over 3 backends that take 5 ms. From 3 s to 9 s one of them does " +
    "nothing, as under SIGSTOP: no connection breaks.",
  rows: [
    { policy: policies.byDefault, bounds },
    { policy: policies.peakEwma, bounds },
    { policy: policies.pending, bounds: [] },
    { policy: policies.accrual, bounds: [] },
    { policy: policies.roundRobin, bounds: [] }
  ],
  measures: [errors, got],
  options: ({ balancer }) => ({
    duration: "12 seconds",
    servers: [{ takes, faults: [Simulation.frozen({ from, to })] }, { takes }, { takes }],
    clients: [{ callsPerSecond: 450, balancer, calls: [CallOptions.withDeadline("1 second")] }]
  }),
  charts: (courses) => [
    Charts.share("frozen-share", "Calls that the frozen backend got", courses, victim, { from, to, label: "frozen" })
  ]
}
