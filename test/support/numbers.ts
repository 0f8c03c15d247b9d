/** What metrics say, for tests. */
import { Effect, Layer, Metric } from "effect"
import { Metrics } from "trunkline"

/** Metrics on, in a registry of the test's own. */
export const measured = (options?: Metrics.Options): Layer.Layer<never> =>
  Layer.merge(
    Metrics.layer(options),
    Layer.fresh(
      Layer.effect(
        Metric.MetricRegistry,
        Effect.sync(() => new Map())
      )
    )
  )

type Labels = Readonly<Record<string, string>>

/** A number for each series: its value, or how many times something was recorded. */
export const numbers = Effect.map(Metric.snapshot, (snapshot) =>
  snapshot.map((metric) => ({
    id: metric.id,
    labels: metric.attributes ?? {},
    number:
      metric.type === "Counter"
        ? Number(metric.state.count)
        : metric.type === "Gauge"
          ? Number(metric.state.value)
          : metric.type === "Histogram"
            ? metric.state.count
            : Number.NaN,
    sum: metric.type === "Histogram" ? metric.state.sum : undefined
  }))
)

const matching = (id: string, labels: Labels) =>
  Effect.map(numbers, (all) =>
    all.filter((one) => one.id === id && Object.entries(labels).every(([key, value]) => one.labels[key] === value))
  )

/** The total of all series of a name that have these labels. */
export const total = (id: string, labels: Labels = {}): Effect.Effect<number> =>
  Effect.map(matching(id, labels), (all) => all.reduce((sum, { number }) => sum + number, 0))

/** The sum of what was recorded in all series of a name that have these labels. */
export const sumOf = (id: string, labels: Labels = {}): Effect.Effect<number> =>
  Effect.map(matching(id, labels), (all) => all.reduce((sum, one) => sum + (one.sum ?? 0), 0))
