/**
 * What measures one client: its calls, their attempts and the budget that pays for them.
 */
import { Clock, Effect, Option, Scope } from "effect"
import * as Deadline from "../call/Deadline.ts"
import * as Interceptor from "../call/Interceptor.ts"
import type { Service } from "../call/Service.ts"
import * as MetricDefinitions from "../telemetry/MetricDefinitions.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as ObservableMetric from "../telemetry/ObservableMetric.ts"
import type { RetryBudget, State } from "../retry/RetryBudget.ts"

const off: Metrics.ForClient = { calls: Interceptor.identity, attempts: Interceptor.identity }

/** Reports a budget for as long as its client lives, if that has an end. */
const reportBudget = Effect.fnUntraced(function* (name: string, budget: RetryBudget) {
  const scope = yield* Effect.serviceOption(Scope.Scope)
  if (Option.isNone(scope)) return
  const clock = yield* Clock.Clock
  const labels = { "trunkline.client": name }
  const read = (f: (state: State) => number) => () => f(budget.state(Deadline.nowUnsafe(clock)))
  yield* Effect.all([
    ObservableMetric.gauge(
      MetricDefinitions.budgetBalance(labels),
      read(({ balance }) => balance)
    ),
    ObservableMetric.counter(
      MetricDefinitions.budgetWithdrawals(labels),
      read(({ withdrawals }) => withdrawals)
    ),
    ObservableMetric.counter(
      MetricDefinitions.budgetExhaustions(labels),
      read(({ exhaustions }) => exhaustions)
    )
  ]).pipe(Scope.provide(scope.value))
})

/** What measures a client of a service; nothing, unless metrics are on. */
export const make = Effect.fnUntraced(function* (
  service: Service,
  target: string | undefined,
  budget: RetryBudget
): Effect.fn.Return<Metrics.ForClient> {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return off
  const methods = Object.values(service.methods)
  yield* reportBudget(methods[0]?.service ?? "other", budget)
  return yield* Metrics.client(methods, Metrics.targetLabel(metrics, target))
})
