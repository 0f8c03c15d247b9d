/**
 * What is measured, as a function of its labels.
 */
import { Metric } from "effect"

/**
 * A metric by its labels.
 *
 * @category models
 * @since 0.1.0
 */
export type Instrument<M, Label extends string> = (labels: Readonly<Record<Label, string>>) => M

/** Exporters read the unit from a label of this name. */
const settings = (unit: string, description: string, labels: Readonly<Record<string, string>>) => ({
  description,
  attributes: { unit, ...labels }
})

/** A count that only grows. */
export const counter =
  <Label extends string>(name: string, unit: string, text: string): Instrument<Metric.Counter<number>, Label> =>
  (labels) =>
    Metric.counter(name, { ...settings(unit, text, labels), incremental: true })

/** A number that goes up and down. */
export const gauge =
  <Label extends string>(name: string, unit: string, text: string): Instrument<Metric.Gauge<number>, Label> =>
  (labels) =>
    Metric.gauge(name, settings(unit, text, labels))

/** How often a number was between which bounds. */
export const histogram =
  <Label extends string>(
    name: string,
    unit: string,
    text: string,
    boundaries: ReadonlyArray<number>
  ): Instrument<Metric.Histogram<number>, Label> =>
  (labels) =>
    Metric.histogram(name, { ...settings(unit, text, labels), boundaries })

/** Bounds of times, in seconds. */
// oxfmt-ignore
export const latencies = [
  0, 0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.01, 0.013, 0.016,
  0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 2, 5, 10, 20, 50, 100
]

/** Bounds of small counts. */
export const few = [1, 2, 3, 4, 5]
