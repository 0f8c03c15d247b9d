/**
 * Records the decisions of signals and pickers about peers, for metrics.
 *
 * Signals and pickers may not import metrics. They take the recorder from the context they are made in, and report to it
 * when a breaker opens, an outlier is ejected, or weights are read. The default recorder does nothing. A recorder is called
 * for decisions, and not for each call.
 */
import { Context } from "effect"

/**
 * How an outlier was found.
 *
 * @category models
 * @since 0.1.0
 */
export type DetectionMethod = "success_rate" | "failure_percentage"

/**
 * Why an outlier was not ejected: by chance (its comparison has an `enforcement` below 1), or because enough others are.
 *
 * @category models
 * @since 0.1.0
 */
export type UnenforcedReason = "enforcement_percentage" | "max_ejection_overflow"

/**
 * The weights that load reports gave, when a picker read them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReportedWeights {
  /** A weight for each peer, 0 where it cannot be used. */
  readonly weights: ReadonlyArray<number>
  /** Peers that have not reported for long enough. */
  readonly notYetUsable: number
  /** Peers whose last report is too old. */
  readonly stale: number
  /** Whether there are too few weights, so that peers take turns as if there were none. */
  readonly fallback: boolean
}

/**
 * Counts decisions. Its functions allocate little and do not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface MetricsRecorder {
  /** A breaker opened. The reason is one of a bounded set. */
  readonly breakerOpened: (reason: string) => void
  /** An outlier was ejected. */
  readonly ejected: (method: DetectionMethod) => void
  /** An outlier was found and not ejected. */
  readonly unenforced: (method: DetectionMethod, reason: UnenforcedReason) => void
  /** A picker has read the weights of its peers. */
  readonly weighted: (weights: ReportedWeights) => void
}

const noop: MetricsRecorder = { breakerOpened: () => {}, ejected: () => {}, unenforced: () => {}, weighted: () => {} }

/**
 * The recorder of the pools made in this context. The default does nothing.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<MetricsRecorder>("trunkline/signals/MetricsRecorder", {
  defaultValue: () => noop
})
