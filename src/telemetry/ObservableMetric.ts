/**
 * Numbers that somebody keeps anyway, read when they are exported.
 *
 * A pool counts its pickers and a budget knows its balance whether metrics are on or not. Reporting every change of them
 * would cost each call; reading them when somebody looks costs nothing in between.
 */
import { Effect, Metric, type Scope } from "effect"

const register = <State>(
  metric: Metric.Metric<number, State>,
  get: () => State
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) =>
        Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} })
      ),
      (registration) => Effect.sync(() => registration.remove())
    )
  )

/**
 * Reports a number that goes up and down, until the scope closes.
 *
 * @category registration
 * @since 0.1.0
 */
export const gauge = (metric: Metric.Gauge<number>, read: () => number): Effect.Effect<void, never, Scope.Scope> =>
  register(metric, () => ({ value: read() }))

/**
 * Reports a count that only grows, until the scope closes.
 *
 * @category registration
 * @since 0.1.0
 */
export const counter = (metric: Metric.Counter<number>, read: () => number): Effect.Effect<void, never, Scope.Scope> =>
  register(metric, () => ({ count: read(), incremental: true }))
