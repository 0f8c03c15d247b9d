/**
 * Calls that start when they are due.
 *
 * Callers out in the world do not wait for each other, so a slow backend must not slow the load down: each call starts
 * on schedule, however many are still under way, and its latency counts from when it was due.
 */
import { Effect, FiberSet } from "effect"

export interface Options {
  /** Calls a second. */
  readonly rate: number
  readonly seconds: number
  /** Milliseconds since the first call was due. */
  readonly now: () => number
}

/** Makes `rate` calls a second for so many seconds, and waits for the last of them to end. */
export const run = Effect.fnUntraced(function* <R>(
  call: (due: number) => Effect.Effect<void, never, R>,
  options: Options
) {
  const calls = yield* FiberSet.make()
  for (let i = 0; i < options.rate * options.seconds; i++) {
    const due = (i * 1000) / options.rate
    const early = due - options.now()
    if (early > 0) yield* Effect.sleep(early)
    yield* FiberSet.run(calls, call(due))
  }
  yield* FiberSet.awaitEmpty(calls)
}, Effect.scoped)
