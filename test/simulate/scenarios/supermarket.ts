import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { during, times } from "../measures.ts"
import * as policies from "../policies.ts"
import { copies, type Measure, type Scenario } from "../Scenario.ts"

/** The queues need some time to fill, and a mean at such a load needs many calls. */
const [warm, end] = [100_000, 3_100_000]
const service = 1000
const servers = 100

const inServiceTimes = (millis: number): string => times(millis / service)
const mean = during({ name: "mean", of: (report) => report.mean, show: inServiceTimes }, warm, end)
const tail: Measure = during({ name: "p99", of: (report) => report.percentile(0.99), show: inServiceTimes }, warm, end)

/** Mitzenmacher's mean for two choices and infinitely many servers, in service times. */
const expected = 2.61

export const supermarket: Scenario = {
  name: "supermarket",
  title: "A hundred queues at a load of 0.9",
  story:
    "One client over 100 servers, each of which serves one call at a time and has a queue: arrivals and service are " +
    "exponential. The numbers are service times from call to answer. Theory says 10 for random, and 2.61 for the better of " +
    "two by length of queue.",
  rows: [
    {
      policy: policies.pending,
      bounds: [
        { measure: mean, most: expected * 1.05 * service },
        { measure: mean, least: expected * 0.95 * service }
      ]
    },
    { policy: policies.byDefault, bounds: [] },
    { policy: policies.least, bounds: [] },
    { policy: policies.roundRobin, bounds: [] },
    { policy: policies.random, bounds: [] }
  ],
  measures: [mean, tail],
  options: ({ balancer }) => ({
    duration: end,
    servers: copies(servers, () => ({ takes: Simulation.exponential(service), atOnce: 1 })),
    clients: [{ callsPerSecond: 0.9 * servers, balancer }]
  }),
  charts: (courses) => [
    Charts.latency(
      "supermarket-latency",
      "Calls that took longer, at a load of 0.9 (service takes 1 s)",
      courses,
      [100, 60_000]
    )
  ]
}
