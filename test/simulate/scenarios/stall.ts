import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { count, percent, percentile } from "../measures.ts"
import * as policies from "../policies.ts"
import { type Bound, copies, type Measure, type Scenario } from "../Scenario.ts"

const [from, to] = [15_000, 45_000]
const takes = Simulation.normal("167 millis", "5 millis")
const stalled = "server-0:1"

const within: Measure = { name: "within 1 s", of: (report) => report.within(1000), show: percent(2) }
const got: Measure = { name: "calls it got", of: (report) => report.between(from, to).attempts(stalled), show: count }
const bounds: ReadonlyArray<Bound> = [{ measure: within, least: 0.999 }]

export const stall: Scenario = {
  name: "stall",
  title: "One of eleven backends stalls",
  story:
    "1,000 calls a second over 11 backends that take 167 ± 5 ms. From 15 s to 45 s one of them takes 2 s. It is the " +
    "experiment of linkerd's [Beyond Round Robin](https://linkerd.io/2016/03/16/beyond-round-robin-load-balancing-for-latency/); " +
    "95.45 % is what round robin must come to.",
  rows: [
    { policy: policies.byDefault, bounds },
    { policy: policies.peakEwma, bounds },
    { policy: policies.pending, bounds: [] },
    { policy: policies.least, bounds: [] },
    { policy: policies.roundRobin, bounds: [] },
    { policy: policies.random, bounds: [] }
  ],
  measures: [within, percentile(0.99), percentile(0.999), got],
  options: ({ balancer }) => ({
    duration: "1 minute",
    servers: [{ takes, faults: [Simulation.taking("2 seconds", { from, to })] }, ...copies(10, () => ({ takes }))],
    clients: [{ callsPerSecond: 1000, balancer }]
  }),
  charts: (courses) => [
    Charts.latency("stall-latency", "Calls that took longer, one of eleven backends stalling", courses, [100, 3000]),
    Charts.share("stall-share", "Calls that the stalled backend got", courses, stalled, {
      from,
      to,
      label: "takes 2 s"
    })
  ]
}
