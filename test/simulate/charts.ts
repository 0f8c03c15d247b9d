/** The pictures of scenarios: what is drawn of the courses of several policies. */
import type { Simulation } from "trunkline/testing"
import type { Axis, Chart, Span } from "./Chart.ts"
import { busiest } from "./measures.ts"
import type { Course } from "./Scenario.ts"

const powers = (from: number, to: number): ReadonlyArray<number> => {
  const exponents = [Math.ceil(Math.log10(from) - 1e-9), Math.floor(Math.log10(to) + 1e-9)] as const
  return Array.from({ length: exponents[1] - exponents[0] + 1 }, (_, i) => 10 ** (exponents[0] + i))
}

const duration = (millis: number): string => (millis >= 1000 ? `${millis / 1000} s` : `${millis} ms`)

/** Latencies grow by factors. */
const latencyAxis = (from: number, to: number): Axis => {
  const few = powers(from, to).length < 3
  const marks = powers(from / 10, to).flatMap((power) => (few ? [power, 2 * power, 5 * power] : [power]))
  return {
    label: "time from call to answer",
    from,
    to,
    log: true,
    marks: marks.filter((mark) => mark >= from && mark <= to).map((mark) => [mark, duration(mark)])
  }
}

const rounded = (value: number): string => String(Number(value.toPrecision(6)))

/** Steps of which there are about five. */
const steps = (to: number): ReadonlyArray<number> => {
  const rough = to / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999)!
  return Array.from({ length: Math.floor(to / step + 1e-9) + 1 }, (_, i) => i * step)
}

const timeAxis = (millis: number): Axis => ({
  label: "time (s)",
  from: 0,
  to: millis,
  marks: steps(millis / 1000).map((second) => [second * 1000, rounded(second)])
})

/** The part of the calls, in percent, that took longer, on a scale that shows the few. */
export const latency = (
  name: string,
  title: string,
  courses: ReadonlyArray<Course>,
  [from, to]: readonly [number, number]
): Chart => {
  const points = 240
  const at = (i: number): number => from * (to / from) ** (i / points)
  const longer = (report: Simulation.Report) =>
    Array.from({ length: points + 1 }, (_, i) => [at(i), (1 - report.within(at(i))) * 100] as const)
  return {
    name,
    title,
    x: latencyAxis(from, to),
    y: {
      label: "calls that took longer (%)",
      from: 0.01,
      to: 100,
      log: true,
      marks: powers(0.01, 100).map((mark) => [mark, rounded(mark)])
    },
    lines: courses.map(({ policy, report }) => ({ name: policy.name, points: longer(report) }))
  }
}

/** A number of each slice of time. */
const overTime = (
  name: string,
  title: string,
  label: string,
  courses: ReadonlyArray<Course>,
  width: number,
  of: (slice: Simulation.Report) => number,
  options: { readonly format: (value: number) => string; readonly span?: Span | undefined }
): Chart => {
  const lines = courses.map(({ policy, report }) => ({
    name: policy.name,
    points: report.every(width).map((slice) => [(slice.from + slice.to) / 2, of(slice)] as const)
  }))
  const top = 1.1 * Math.max(...lines.flatMap(({ points }) => points.map(([, y]) => y)))
  const { report } = courses[0]!
  return {
    name,
    title,
    x: timeAxis(report.to),
    y: { label, from: 0, to: top, marks: steps(top).map((mark) => [mark, options.format(mark)]) },
    lines,
    span: options.span
  }
}

/** How many of the calls one server gets, over time. */
export const share = (
  name: string,
  title: string,
  courses: ReadonlyArray<Course>,
  server: string,
  span?: Span
): Chart => {
  const width = courses[0]!.report.to / 60
  const of = (slice: Simulation.Report): number => slice.share(server) * 100
  return overTime(name, title, "share of all calls (%)", courses, width, of, { format: rounded, span })
}

const factor = (value: number): string => `${rounded(value)}×`

/** How many attempts there are, over time, as a multiple of so many in a second. */
export const offered = (
  name: string,
  title: string,
  courses: ReadonlyArray<Course>,
  perSecond: number,
  span?: Span
): Chart => {
  const of = (slice: Simulation.Report): number => slice.attempts() / perSecond
  return overTime(name, title, "attempts per call", courses, 1000, of, { format: factor, span })
}

/** What the busiest server has, over time, as a multiple of a fair share. */
export const fairness = (
  name: string,
  title: string,
  courses: ReadonlyArray<Course>,
  servers: number,
  span?: Span
): Chart => {
  const of = (slice: Simulation.Report): number => busiest(slice, slice.to - slice.from, servers)
  return overTime(name, title, "of a fair share", courses, 1000, of, { format: factor, span })
}
