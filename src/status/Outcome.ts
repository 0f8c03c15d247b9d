/**
 * What the end of an attempt means for the peer that served it.
 *
 * This is the only place that reads a code for that question: load, health and budgets all ask here, so they cannot
 * disagree about what a failure is.
 */
import type { Code } from "./Code.ts"

/**
 * - `success`: the peer did its work, even if the answer is an error about the request itself.
 * - `failure`: the peer, or the way to it, is at fault.
 * - `rejected`: the peer is alive and asks for less.
 * - `ignorable`: says nothing about the peer (the caller left).
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = "success" | "failure" | "rejected" | "ignorable"

const outcomes: Readonly<Record<Code, Outcome>> = {
  CANCELLED: "ignorable",
  UNKNOWN: "failure",
  INVALID_ARGUMENT: "success",
  DEADLINE_EXCEEDED: "failure",
  NOT_FOUND: "success",
  ALREADY_EXISTS: "success",
  PERMISSION_DENIED: "success",
  RESOURCE_EXHAUSTED: "rejected",
  FAILED_PRECONDITION: "success",
  ABORTED: "success",
  OUT_OF_RANGE: "success",
  UNIMPLEMENTED: "success",
  INTERNAL: "failure",
  UNAVAILABLE: "failure",
  DATA_LOSS: "failure",
  UNAUTHENTICATED: "success"
}

/**
 * What a failing code says about the peer.
 *
 * @category classifiers
 * @since 0.1.0
 */
export const fromCode = (code: Code): Outcome => outcomes[code]
