/**
 * How long to sleep between attempts.
 *
 * A backoff is a `Schedule` whose output is its delay, and which knows its longest one. An envelope grows; a `Jitter`,
 * a value of its own, makes a delay of it. Chance comes from the context, so a seeded `Random` gives exact sequences.
 * Whatever goes in, what comes out is finite and not negative: growth that overflows stays at `max`, and the longest
 * delay of all is 104 days, the last that is exact to the nanosecond.
 *
 * The one thing a backoff reads of an error is the mark `Retry.retriable` leaves on it.
 */
import { Duration, Effect, Function, Predicate, Random, Schedule } from "effect"
import * as Jitter from "./Jitter.ts"
import { tuningOf } from "./Retriable.ts"

const TypeId = "~trunkline/retry/Backoff"

/**
 * A schedule without end whose output is its delay.
 *
 * @category models
 * @since 0.1.0
 */
export interface Backoff extends Schedule.Schedule<Duration.Duration> {
  readonly [TypeId]: typeof TypeId
  /** The longest envelope. Jitter around it may exceed it. */
  readonly max: Duration.Duration
}

/**
 * The envelope of an exponential backoff, and what chance makes of it.
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
  /** What becomes of an envelope. Default `Jitter.full`. */
  readonly jitter?: Jitter.Jitter | undefined
}

/** The longest delay whose nanoseconds are exact. */
const maxNanos = Number.MAX_SAFE_INTEGER

const within = (nanos: number): number => (nanos > 0 ? Math.min(nanos, maxNanos) : 0)

const toNanos = (input: Duration.Input | undefined): number =>
  input === undefined ? 0 : within(Duration.toMillis(input) * 1e6)

const fromNanos = (nanos: number): Duration.Duration => Duration.nanos(BigInt(Math.round(within(nanos))))

const nanosOr = (input: Duration.Input | undefined, otherwise: Duration.Input): number =>
  toNanos(input) || toNanos(otherwise)

const factorOr = (input: number | undefined, otherwise: number): number =>
  input !== undefined && input >= 1 ? input : otherwise

/** What one run has come to. */
interface Run {
  /** The first envelope, in nanoseconds. */
  readonly initial: number
  readonly multiplier: number
  readonly draw: number
  /** How many delays came before, and the last of them, in nanoseconds; 0 if there was none. */
  readonly index: number
  readonly previous: number
}

const make = (initial: number, max: number, multiplier: number, next: (run: Run) => number): Backoff =>
  Object.assign(
    Schedule.fromStep(
      Effect.map(Random.Random, (random) => {
        let index = 0
        let previous = 0
        return (_now: number, input: unknown) =>
          Effect.sync(() => {
            const tuning = tuningOf(input)
            previous = next({
              initial: Math.max(initial, toNanos(tuning?.delay)),
              multiplier: factorOr(tuning?.factor, multiplier),
              draw: random.nextDoubleUnsafe(),
              index: index++,
              previous
            })
            const delay = fromNanos(previous)
            return [delay, delay] as [Duration.Duration, Duration.Duration]
          })
      })
    ),
    { [TypeId]: TypeId, max: fromNanos(max) } as const
  )

/** An envelope that grows, and what the jitter makes of it. All times are in nanoseconds. */
const growing = (initial: number, max: number, multiplier: number, jitter: Jitter.Jitter): Backoff =>
  make(initial, max, multiplier, ({ draw, index, initial, multiplier }) =>
    jitter(index === 0 ? initial : Math.min(initial * multiplier ** index, max), draw, index)
  )

/**
 * Exponential backoff: the envelope starts at `initial`, grows by `multiplier` up to `max`, and the jitter makes a delay
 * of it. As gax does it unless told otherwise: delays are uniform between 1 ns and the envelope, and `max` does not cap
 * the first.
 *
 * @example
 * import { Backoff } from "trunkline"
 * import { Jitter } from "trunkline/extend"
 *
 * const backoff = Backoff.exponential({ initial: "100 millis", max: "5 seconds", jitter: Jitter.equal })
 *
 * @see https://google.aip.dev/client-libraries/4221
 * @category constructors
 * @since 0.1.0
 */
export const exponential = (options?: Exponential): Backoff =>
  growing(
    nanosOr(options?.initial, "1 second"),
    nanosOr(options?.max, "30 seconds"),
    factorOr(options?.multiplier, 2),
    options?.jitter ?? Jitter.full
  )

/**
 * Decorrelated jitter: each delay is uniform between `initial` and the delay before it times `multiplier`, up to `max`.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 * @category constructors
 * @since 0.1.0
 */
export const decorrelated = (options?: {
  /** The least delay. Default 1 second, also for zero. */
  readonly initial?: Duration.Input | undefined
  /** The longest delay. Default 30 seconds, also for zero. */
  readonly max?: Duration.Input | undefined
  /** Default 3, also for anything below 1. */
  readonly multiplier?: number | undefined
}): Backoff => {
  const max = nanosOr(options?.max, "30 seconds")
  return make(
    nanosOr(options?.initial, "1 second"),
    max,
    factorOr(options?.multiplier, 3),
    ({ draw, initial, multiplier, previous }) =>
      Math.min(max, initial + draw * (Math.max(previous, initial) * multiplier - initial))
  )
}

/**
 * As a gRPC service config asks: `min(initial * multiplier ^ n, max)`, the first too, ±20 %. Here a multiplier below 1 means
 * what it says: delays shrink.
 *
 * @see https://github.com/grpc/proposal/blob/master/A6-client-retries.md
 * @category constructors
 * @since 0.1.0
 */
export const serviceConfig = (options?: Exponential): Backoff => {
  const max = nanosOr(options?.max, "30 seconds")
  const { multiplier = 2 } = options ?? {}
  return growing(
    Math.min(nanosOr(options?.initial, "1 second"), max),
    max,
    multiplier > 0 ? multiplier : 2,
    options?.jitter ?? Jitter.proportional(0.2)
  )
}

/**
 * As goma does it: 10 ms, x1.6, 120 seconds by default, ±20 % except for the first delay, which `max` does not cap.
 *
 * @category constructors
 * @since 0.1.0
 */
export const goma = (options?: Exponential): Backoff =>
  exponential({
    initial: fromNanos(nanosOr(options?.initial, "10 millis")),
    max: fromNanos(nanosOr(options?.max, "2 minutes")),
    multiplier: factorOr(options?.multiplier, 1.6),
    jitter: options?.jitter ?? Jitter.exceptFirst(Jitter.proportional(0.2))
  })

/**
 * Lets chance change the delays of any schedule.
 *
 * @example
 * import { Schedule } from "effect"
 * import { Backoff } from "trunkline"
 * import { Jitter } from "trunkline/extend"
 *
 * const spread = Schedule.spaced("1 second").pipe(Backoff.jittered(Jitter.proportional(0.1)))
 *
 * @category combinators
 * @since 0.1.0
 */
export const jittered: {
  (jitter: Jitter.Jitter): <A, I, E, R>(self: Schedule.Schedule<A, I, E, R>) => Schedule.Schedule<A, I, E, R>
  <A, I, E, R>(self: Schedule.Schedule<A, I, E, R>, jitter: Jitter.Jitter): Schedule.Schedule<A, I, E, R>
} = Function.dual(2, <A, I, E, R>(self: Schedule.Schedule<A, I, E, R>, jitter: Jitter.Jitter) =>
  Schedule.modifyDelay(self, ({ attempt, duration }) =>
    Effect.map(Random.next, (draw) => fromNanos(jitter(toNanos(duration), draw, attempt - 1)))
  )
)

/**
 * Whether a schedule is a `Backoff`. What is composed of one, as with `Schedule.upTo`, is a plain schedule.
 *
 * @category guards
 * @since 0.1.0
 */
export const isBackoff = (u: unknown): u is Backoff => Predicate.hasProperty(u, TypeId)
