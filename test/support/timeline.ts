/** What a policy does, measured from outside: `Effect.retry` on a test clock, and dice that fall as told. */
import { Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import type { Retry, RpcError } from "trunkline"

/** A random source that always answers the same. */
export const always = (draw: number) =>
  Effect.provideService(Random.Random, { nextIntUnsafe: () => draw, nextDoubleUnsafe: () => draw })

/** The highest draw there is. */
export const highest = always(1 - 2 ** -53)

/** What one run did: the sleeps between its attempts in milliseconds, and whether it succeeded in the end. */
export interface Timeline {
  readonly sleeps: ReadonlyArray<number>
  readonly attempts: number
  readonly succeeded: boolean
}

/** Fails with the errors in order and then succeeds, each attempt taking so long (milliseconds). */
export const timeline = Effect.fnUntraced(function* (
  policy: Retry.RetryPolicy,
  errors: ReadonlyArray<RpcError.RpcError>,
  attemptMillis = 0
) {
  const ends: Array<number> = []
  const sleeps: Array<number> = []
  const attempt = Effect.gen(function* () {
    const start = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    if (ends.length > 0) sleeps.push(start - ends.at(-1)!)
    if (attemptMillis > 0) yield* Effect.sleep(attemptMillis)
    ends.push(start + attemptMillis)
    const error = errors[ends.length - 1]
    if (error !== undefined) return yield* Effect.fail(error)
  })
  const fiber = yield* Effect.forkChild(Effect.exit(Effect.retry(attempt, policy)), { startImmediately: true })
  for (let i = 0; i < 2 * errors.length + 2 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("1 hour")
  const exit = fiber.pollUnsafe()
  if (exit === undefined) return yield* Effect.die("the run did not end")
  // To the nanosecond: sums of fractions depend on where they start.
  const nanos = sleeps.map((millis) => Math.round(millis * 1e6) / 1e6)
  return { sleeps: nanos, attempts: ends.length, succeeded: ends.length > errors.length } satisfies Timeline
})
