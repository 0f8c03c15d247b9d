/**
 * Who is told what was decided about peers, so that it can be counted.
 *
 * A breaker that opens or a weight that is too old is seen where it happens and counted somewhere else, in a room that this
 * one does not know. Whoever decides takes the witness from the context it is made in; where nobody counts, it says nothing.
 * Witnesses are told of changes and not of calls.
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
 * Why an outlier was let be: by the dice, or because enough others are out.
 *
 * @category models
 * @since 0.1.0
 */
export type UnenforcedReason = "enforcement_percentage" | "max_ejection_overflow"

/**
 * What weights by report came to, when they were looked at.
 *
 * @category models
 * @since 0.1.0
 */
export interface Weighing {
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
 * Somebody who counts. Each function allocates little and does not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface MetricsRecorder {
  /** A breaker opened, for a reason of a bounded set. */
  readonly tripped: (reason: string) => void
  /** An outlier was taken out. */
  readonly ejected: (method: DetectionMethod) => void
  /** An outlier was let be. */
  readonly spared: (method: DetectionMethod, reason: UnenforcedReason) => void
  readonly weighed: (weighing: Weighing) => void
}

const nobody: MetricsRecorder = { tripped: () => {}, ejected: () => {}, spared: () => {}, weighed: () => {} }

/**
 * The witness of the pools made in this context. Default nobody.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<MetricsRecorder>("trunkline/signals/MetricsRecorder", {
  defaultValue: () => nobody
})
