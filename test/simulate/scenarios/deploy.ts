import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { busiest, count, times } from "../measures.ts"
import * as policies from "../policies.ts"
import { copies, type Measure, type Scenario } from "../Scenario.ts"

const servers = 20
const [begin, end] = [4000, 16_000]
/** Two of twenty in a second. */
const pace = 500
const takes = Simulation.exponential("20 millis")

const most: Measure = {
  name: "most of a fair share, in any second",
  of: (report) => busiest(report.between(begin - 2000, end), 1000, servers),
  show: times
}
const failed: Measure = { name: "failed calls", of: (report) => report.calls - report.succeeded, show: count }

export const deploy: Scenario = {
  name: "deploy",
  title: "A rolling deploy",
  story:
    "10 clients with 4,000 calls a second in all over 20 servers that take 20 ms. From 4 s on every half second one of the " +
    "old servers leaves and a new one comes, which nobody knows anything of yet.",
  rows: [
    {
      policy: policies.byDefault,
      bounds: [
        { measure: most, most: 2 },
        { measure: failed, most: 0 }
      ]
    },
    { policy: policies.pending, bounds: [] },
    { policy: policies.least, bounds: [] },
    { policy: policies.roundRobin, bounds: [] }
  ],
  measures: [most, failed],
  options: ({ balancer }) => ({
    duration: end,
    servers: [
      ...copies(servers, (i) => ({ takes, leaves: begin + i * pace })),
      ...copies(servers, (i) => ({ takes, joins: begin + i * pace }))
    ],
    clients: copies(10, () => ({ callsPerSecond: 400, balancer }))
  }),
  charts: (courses) => [
    Charts.fairness("deploy-share", "The busiest server, as a multiple of a fair share", courses, servers, {
      from: begin,
      to: begin + servers * pace,
      label: "deploy"
    })
  ]
}
