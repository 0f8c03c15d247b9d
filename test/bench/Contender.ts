/** What a way of calling must be able to do to be measured. */
import { Effect, type Scope } from "effect"

/**
 * Told how the last call went, with nothing if it was answered rightly and else with what went wrong; says whether to make
 * another.
 */
export type More = (problem?: unknown) => boolean

/**
 * Makes calls one after another for as long as there are more to make, the way a program in its idiom would: a callback
 * that makes the next call, a loop in a fiber.
 */
export type Worker = (more: More) => Effect.Effect<void>

/** A way of making a unary call. It runs in a process of its own, opened once and called many times. */
export interface Contender {
  readonly name: string
  /** What is under a call, for the reader of the table. */
  readonly about: string
  /** Opens it on servers that all answer alike, written `host:port`. It may use one of them or all. */
  readonly open: (targets: ReadonlyArray<string>) => Effect.Effect<Worker, unknown, Scope.Scope>
}

/** A worker of calls that end in a callback. */
export const callbacks =
  (call: (done: (problem?: unknown) => void) => void): Worker =>
  (more) =>
    Effect.callback((resume) => {
      const done = (problem?: unknown) => {
        if (more(problem)) call(done)
        else resume(Effect.void)
      }
      call(done)
    })
