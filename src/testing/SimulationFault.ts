/**
 * What goes wrong with a simulated server, and when.
 */
import { Duration } from "effect"
import type { Code } from "../status/Code.ts"
import * as Times from "./SimulationTimes.ts"

/**
 * When a fault begins and ends, counted from the beginning of the simulation. Default: from the beginning, for good.
 *
 * @category models
 * @since 0.1.0
 */
export interface Span {
  readonly from?: Duration.Input | undefined
  readonly to?: Duration.Input | undefined
}

/**
 * A fault. `from` and `to` are milliseconds since the beginning.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = { readonly from: number; readonly to: number } & (
  | { readonly _tag: "Frozen" }
  | { readonly _tag: "Down" }
  | { readonly _tag: "Slow"; readonly work: (usual: Times.Times) => Times.Times }
  | { readonly _tag: "Failing"; readonly code: Code; readonly share: number; readonly takes: Times.Times }
)

const within = ({ from, to }: Span) => ({
  from: Duration.toMillis(from ?? 0),
  to: to === undefined ? Infinity : Duration.toMillis(to)
})

/**
 * Does nothing, and breaks no connection, as under SIGSTOP. Afterwards it goes on where it was.
 *
 * @category faults
 * @since 0.1.0
 */
export const frozen = (span: Span): Fault => ({ _tag: "Frozen", ...within(span) })

/**
 * Is not there: its connections break, the calls on them fail as `UNAVAILABLE`, and new ones are refused.
 *
 * @category faults
 * @since 0.1.0
 */
export const down = (span: Span): Fault => ({ _tag: "Down", ...within(span) })

/**
 * Takes so many times as long for what it begins.
 *
 * @category faults
 * @since 0.1.0
 */
export const slower = (factor: number, span: Span): Fault => ({
  _tag: "Slow",
  work: (usual) => (chance) => factor * usual(chance),
  ...within(span)
})

/**
 * Takes another time for what it begins.
 *
 * @category faults
 * @since 0.1.0
 */
export const taking = (times: Duration.Input | Times.Times, span: Span): Fault => ({
  _tag: "Slow",
  work: () => Times.from(times),
  ...within(span)
})

/**
 * Answers calls with an error, without a wait in the line: all of them or a `share`, from 0 to 1. The code is
 * `UNAVAILABLE` and the answer takes 1 millisecond, unless said otherwise.
 *
 * @category faults
 * @since 0.1.0
 */
export const failing = (
  span: Span & {
    readonly code?: Code | undefined
    readonly share?: number | undefined
    readonly takes?: Duration.Input | Times.Times | undefined
  }
): Fault => ({
  _tag: "Failing",
  code: span.code ?? "UNAVAILABLE",
  share: span.share ?? 1,
  takes: Times.from(span.takes ?? 1),
  ...within(span)
})
