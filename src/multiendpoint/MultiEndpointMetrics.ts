/**
 * Multi-endpoints as numbers.
 *
 * A list has one series for each of its endpoints and states, so what is reported changes with the lists: whoever replaces
 * them reports anew. Endpoints that have one label are counted together.
 */
import { Effect, type Scope } from "effect"
import * as MetricDefinitions from "../telemetry/MetricDefinitions.ts"
import * as Metrics from "../telemetry/Metrics.ts"
import * as ObservableMetric from "../telemetry/ObservableMetric.ts"
import type { Driver } from "./Driver.ts"
import type { Availability, EndpointState, Reason } from "./MultiEndpointState.ts"

const reasons: ReadonlyArray<Reason> = ["fallback", "recover", "replace"]

/** One that is left for its error rate is failing, whatever its connections say. */
const states: ReadonlyArray<Availability | "Failing"> = ["Available", "Recovering", "Unavailable", "Failing"]

const stateOf = ({ availability, failing }: EndpointState): Availability | "Failing" =>
  failing === undefined ? availability : "Failing"

/** The endpoints of a list by label. */
const byLabel = ({ state }: Driver, metrics: Metrics.Options): ReadonlyMap<string, ReadonlySet<string>> => {
  const labels = new Map<string, Set<string>>()
  for (const id of state.endpoints.keys()) {
    const label = Metrics.targetLabel(metrics, id)
    labels.set(label, (labels.get(label) ?? new Set()).add(id))
  }
  return labels
}

const reportEndpoints = (
  list: Driver,
  label: string,
  ids: ReadonlySet<string>
): Effect.Effect<void, never, Scope.Scope> => {
  const labels = { "trunkline.multi_endpoint": list.name, "trunkline.endpoint": label }
  const inState = (state: Availability | "Failing") => () =>
    [...list.state.endpoints].filter(([id, endpoint]) => ids.has(id) && stateOf(endpoint) === state).length
  return Effect.all(
    [
      ObservableMetric.gauge(MetricDefinitions.currentEndpoint(labels), () => (ids.has(list.state.current) ? 1 : 0)),
      ...states.map((state) =>
        ObservableMetric.gauge(
          MetricDefinitions.endpointStates({ ...labels, "trunkline.state": state }),
          inState(state)
        )
      )
    ],
    { discard: true }
  )
}

/** Reports lists as they are written now until the scope closes, if metrics are on. */
export const report = Effect.fnUntraced(function* (
  lists: Iterable<Driver>
): Effect.fn.Return<void, never, Scope.Scope> {
  const metrics = yield* Metrics.Current
  if (metrics === undefined) return
  for (const list of lists) {
    for (const reason of reasons) {
      const labels = { "trunkline.multi_endpoint": list.name, "trunkline.reason": reason }
      yield* ObservableMetric.counter(MetricDefinitions.switches(labels), () => list.state.switches[reason])
    }
    for (const [label, ids] of byLabel(list, metrics)) yield* reportEndpoints(list, label, ids)
  }
})
