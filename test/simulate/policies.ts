/** The ways of balancing that scenarios compare. */
import {
  FailureAccrual,
  LeastPending,
  Maglev,
  PeakEwma,
  PowerOfTwo,
  Random,
  Rendezvous,
  RingHash,
  RoundRobin,
  Weighted
} from "trunkline"
import type { Policy } from "./Scenario.ts"

/** What `Balancer.layer({ discovery })` does: Peak EWMA, failure accrual and panic. */
export const byDefault: Policy = { name: "default", balancer: {} }

export const peakEwma: Policy = {
  name: "P2C, Peak EWMA",
  balancer: { picker: PowerOfTwo.make({ load: PeakEwma.make() }) }
}

export const pending: Policy = { name: "P2C, pending", balancer: { picker: PowerOfTwo.make() } }

export const least: Policy = { name: "least pending", balancer: { picker: LeastPending.make() } }

export const roundRobin: Policy = { name: "round robin", balancer: { picker: RoundRobin.make() } }

export const weighted: Policy = { name: "turns by weight", balancer: { picker: Weighted.make() } }

export const accrual: Policy = {
  name: "round robin, accrual",
  balancer: { picker: RoundRobin.make(), signals: [FailureAccrual.make()] }
}

export const random: Policy = { name: "random", balancer: { picker: Random.make() } }

export const ring: Policy = { name: "ring hash", balancer: { picker: RingHash.make() } }

export const rendezvous: Policy = { name: "rendezvous", balancer: { picker: Rendezvous.make() } }

export const maglev: Policy = { name: "Maglev", balancer: { picker: Maglev.make() } }
