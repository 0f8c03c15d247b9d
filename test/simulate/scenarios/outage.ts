import { Effect } from "effect"
import { Backoff, CallOptions, Retry, RetryBudget } from "trunkline"
import { Simulation } from "trunkline/testing"
import * as Charts from "../charts.ts"
import { percent, times } from "../measures.ts"
import * as policies from "../policies.ts"
import { copies, type Measure, type Policy, type Scenario } from "../Scenario.ts"

const [from, to, end] = [20_000, 30_000, 45_000]
const [clients, callsPerSecond] = [4, 300]
const usual = clients * callsPerSecond

/** The most attempts of any second, as a multiple of the calls. */
const spike = (report: Simulation.Report): number =>
  Math.max(...report.every("1 second").map((second) => second.attempts())) / usual

const recovery: Measure = {
  name: "busiest second after it",
  of: (report) => spike(report.between(to, end)),
  show: times
}
const onset: Measure = {
  name: "busiest second in it",
  of: (report) => spike(report.between(from, to)),
  show: times
}
const onAverage: Measure = {
  name: "attempts per call in it",
  of: (report) => report.between(from, to).attempts() / report.between(from, to).calls,
  show: times
}
const well: Measure = {
  name: "success after it",
  of: (report) => report.between(to, end).successRate,
  show: percent(2)
}

const retry = Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", max: "1 second" }))

/** Four clients that try a call up to four times. */
const options = (fault: Simulation.Fault, { balancer, calls = [] }: Policy): Simulation.Options => ({
  duration: end,
  servers: copies(10, () => ({ takes: Simulation.exponential("20 millis"), faults: [fault] })),
  clients: copies(clients, () => ({
    callsPerSecond,
    balancer,
    calls: [CallOptions.withDeadline("1 second"), Retry.withPolicy(Retry.maxAttempts(4)(retry)), ...calls]
  }))
})

const noBudget: Policy = {
  ...policies.byDefault,
  name: "default, no budget",
  calls: [Effect.provideService(RetryBudget.Current, RetryBudget.infinite)]
}

export const outage: Scenario = {
  name: "outage",
  title: "Everybody fails, and is well again",
  story:
    "4 clients, each with 300 calls a second, a deadline of 1 s, up to four attempts and the default retry budget, over 10 " +
    "servers that take 20 ms. From 20 s to 30 s all of them answer `UNAVAILABLE`. The second in which that begins spends what " +
    "the budget has saved in the ten before it, which is there for the calls of a backend that dies; then next to nothing is " +
    "tried again. When the servers are well nothing has piled up.",
  rows: [
    { policy: policies.byDefault, bounds: [{ measure: recovery, most: 1.2 }] },
    { policy: noBudget, bounds: [] }
  ],
  measures: [recovery, onset, onAverage, well],
  options: (policy) => options(Simulation.failing({ from, to }), policy),
  charts: (courses) => [
    Charts.offered("outage-load", "Attempts, as a multiple of the calls", courses, usual, { from, to, label: "outage" })
  ]
}

const waiting: Policy = {
  ...policies.byDefault,
  name: "default, wait for ready",
  calls: [CallOptions.waitForReady]
}

export const restart: Scenario = {
  name: "restart",
  title: "Everybody is killed, and started again",
  story:
    "The same clients, and from 20 s to 30 s no server can be connected to. A call fails at once when every peer is known to " +
    "be down, so nothing piles up. Calls that wait for ready (`CallOptions.waitForReady`) do so as long as their deadline " +
    "allows, and the first second that has a peer also carries the calls of the second before.",
  rows: [
    { policy: policies.byDefault, bounds: [{ measure: recovery, most: 1.2 }] },
    { policy: waiting, bounds: [] }
  ],
  measures: [recovery, well],
  options: (policy) => options(Simulation.down({ from, to }), policy),
  charts: (courses) => [
    Charts.offered("restart-load", "Attempts, as a multiple of the calls", courses, usual, { from, to, label: "down" })
  ]
}
