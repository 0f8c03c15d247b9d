/** What a way of calling must be able to do to be measured. */
import type { Effect, Scope } from "effect"

/** Makes one call and says when it has ended: with nothing if it was answered rightly, else with what went wrong. */
export type Call = (done: (problem?: unknown) => void) => void

/**
 * A way of making a unary call. It runs in a process of its own, opened once, called many times and closed with the
 * scope. `call` is a callback because every idiom can be turned into one and none is favoured by it.
 */
export interface Contender {
  readonly name: string
  /** What is under a call, for the reader of the table. */
  readonly about: string
  /** Opens it on servers that all answer alike, written `host:port`. It may use one of them or all. */
  readonly open: (targets: ReadonlyArray<string>) => Effect.Effect<Call, unknown, Scope.Scope>
}
