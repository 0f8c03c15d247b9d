import type { Simulation } from "trunkline/testing"
import { percent } from "../measures.ts"
import * as policies from "../policies.ts"
import { copies, type Measure, type Scenario } from "../Scenario.ts"

const keys = 5000
const [servers, leaves] = [10, 1000]
const removed = "server-3:1"

/** Who has each key before a server leaves, and after: every key is called once in each second. */
const owners = (report: Simulation.Report): ReadonlyArray<readonly [string | undefined, string | undefined]> => {
  const calls = [...report.log()].map(({ server }) => server)
  return copies(keys, (key) => [calls[key], calls[keys + key]] as const)
}

const moved: Measure = {
  name: "keys that moved",
  of: (report) => owners(report).filter(([before, after]) => before !== after).length / keys,
  show: percent(2)
}
const needless: Measure = {
  name: "of them needlessly",
  of: (report) => owners(report).filter(([before, after]) => before !== after && before !== removed).length / keys,
  show: percent(2)
}

export const keysStay: Scenario = {
  name: "keys",
  title: "One of ten owners of keys leaves",
  story:
    "5,000 keys over 10 servers, one of which leaves. Its keys, a tenth, must move; every other that moves does so needlessly.",
  rows: [
    { policy: policies.ring, bounds: [{ measure: needless, most: 0 }] },
    { policy: policies.rendezvous, bounds: [{ measure: needless, most: 0 }] },
    { policy: policies.maglev, bounds: [{ measure: needless, most: 0.01 }] }
  ],
  measures: [moved, needless],
  options: ({ balancer }) => ({
    duration: 2 * leaves,
    servers: copies(servers, (i) => ({ takes: 0.1, ...(`server-${i}:1` === removed ? { leaves } : {}) })),
    clients: [{ callsPerSecond: keys, arrivals: "even", balancer, key: (n) => `key-${n % keys}` }]
  }),
  charts: () => []
}
