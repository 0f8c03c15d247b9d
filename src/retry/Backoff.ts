/**
 * How long to sleep between attempts.
 *
 * A backoff is a `Schedule` whose output is its delay; chance comes from the context, so a seeded `Random` gives exact
 * sequences.
 */
import { Duration, Effect, Random, Schedule } from "effect"

/**
 * The envelope of an exponential backoff.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exponential {
  /** The first envelope. Default 1 second, also for zero. */
  readonly initial?: Duration.Input | undefined
  /** The largest later envelope. Default 30 seconds, also for zero. */
  readonly max?: Duration.Input | undefined
  /** How the envelope grows. Default 2, also for anything below 1. */
  readonly multiplier?: number | undefined
}

const nanosOr = (input: Duration.Input | undefined, otherwise: Duration.Input): number => {
  const nanos = input === undefined ? 0 : Duration.toMillis(input) * 1e6
  return nanos > 0 ? nanos : Duration.toMillis(otherwise) * 1e6
}

/**
 * Exponential backoff with full jitter, as gax does it: each delay is uniform between 1 ns and an envelope that starts
 * at `initial` and grows by `multiplier` up to `max`.
 *
 * @see https://google.aip.dev/client-libraries/4221
 * @category constructors
 * @since 0.1.0
 */
export const exponential = (options?: Exponential): Schedule.Schedule<Duration.Duration> => {
  const initial = nanosOr(options?.initial, "1 second")
  const max = nanosOr(options?.max, "30 seconds")
  const multiplier = options?.multiplier !== undefined && options.multiplier >= 1 ? options.multiplier : 2
  return Schedule.fromStep(
    Effect.map(Random.Random, (random) => {
      let envelope = initial
      return () =>
        Effect.sync(() => {
          const delay = Duration.nanos(BigInt(1 + Math.floor(random.nextDoubleUnsafe() * envelope)))
          envelope = Math.min(envelope * multiplier, max)
          return [delay, delay]
        })
    })
  )
}
