import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { millis, percent, percentile } from "../measures.ts"
import * as policies from "../policies.ts"
import { copies, type Measure, type Scenario } from "../Scenario.ts"

const slow = "server-0:1"
const [servers, clients, callsPerSecond] = [20, 200, 4.75]

const tail = percentile(0.99)
const mean: Measure = { name: "mean", of: (report) => report.mean, show: millis }
const share: Measure = { name: "share of the slow one", of: (report) => report.share(slow), show: percent(2) }

export const lowRate: Scenario = {
  name: "low-rate",
  title: "Two hundred clients that call seldom",
  story:
    "200 clients, each with 4.75 calls a second, over 20 servers that take 10 ms and serve one call at a time; one of them " +
    "takes 100 ms. A client meets each server every four seconds: one that forgets sooner tries the slow one again and " +
    "again, and 10 calls a second are all it can serve.",
  rows: [
    { policy: policies.byDefault, bounds: [{ measure: tail, most: 200 }] },
    { policy: policies.pending, bounds: [] },
    { policy: policies.random, bounds: [] }
  ],
  measures: [tail, mean, share],
  options: ({ balancer }) => ({
    duration: "100 seconds",
    servers: copies(servers, (i) => ({ takes: Simulation.exponential(i === 0 ? 100 : 10), atOnce: 1 })),
    clients: copies(clients, () => ({ callsPerSecond, balancer }))
  }),
  charts: (courses) => [
    Charts.latency("low-rate-latency", "Calls that took longer, one of twenty servers slow", courses, [1, 600_000]),
    Charts.share("low-rate-share", "Calls that the slow server got", courses, slow)
  ]
}
