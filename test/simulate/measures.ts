/** Numbers that several scenarios ask for, and how numbers are written. */
import type { Simulation } from "trunkline/testing"
import type { Measure } from "./Scenario.ts"

export const percent =
  (digits: number) =>
  (part: number): string =>
    `${(part * 100).toFixed(digits)} %`

export const millis = (value: number): string => {
  if (value === Infinity) return "never"
  return value >= 10_000 ? `${(value / 1000).toFixed(0)} s` : `${value.toFixed(0)} ms`
}

export const times = (value: number): string => `${value.toFixed(2)}×`

export const count = (value: number): string => String(Math.round(value))

/** A percentile of latency, such as 0.99. */
export const percentile = (part: number): Measure => ({
  name: `p${String(part * 100)}`,
  of: (report) => report.percentile(part),
  show: millis
})

/** The same measure of a part of the time. */
export const during = (measure: Measure, from: number, to: number): Measure => ({
  ...measure,
  of: (report) => measure.of(report.between(from, to))
})

/** The most that any server got of its fair share within any such time, where so many servers share. */
export const busiest = (report: Simulation.Report, width: number, servers: number): number => {
  let most = 0
  for (const slice of report.every(width)) {
    for (const server of slice.servers) most = Math.max(most, slice.share(server) * servers)
  }
  return most
}
