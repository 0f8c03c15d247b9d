/**
 * What a pool hears from discovery.
 *
 * A stream of endpoint sets is never over: one that fails, dies of a defect or ends is subscribed to again, with backoff, and
 * the last good set stays meanwhile. What it complained of is kept for whoever asks, and a defect is logged with its cause.
 */
import { Cause, type Clock, Effect, Schedule, Stream } from "effect"
import { DiscoveryError } from "../discovery/Discovery.ts"
import { type Endpoint, merge } from "../discovery/Endpoint.ts"
import * as Problems from "./Problems.ts"

/** What is known of discovery: when it last spoke, in milliseconds of the wall clock, and what went wrong since. */
export class Discovering {
  updatedAt: number | undefined = undefined
  error: DiscoveryError | undefined = undefined
  readonly #target: string
  readonly #clock: Clock.Clock
  /** How often its stream has ended. */
  #ends = 0

  constructor(target: string, clock: Clock.Clock) {
    this.#target = target
    this.#clock = clock
  }

  /** Hands every set to `update`, until the schedule of new subscriptions ends; `failed` is told of each failure. */
  run<R>(
    endpoints: Stream.Stream<ReadonlyArray<Endpoint>, DiscoveryError, R>,
    schedule: Schedule.Schedule<unknown, DiscoveryError> | undefined,
    update: (endpoints: ReadonlyArray<Endpoint>) => Effect.Effect<void>,
    failed: () => void
  ): Effect.Effect<void, never, R> {
    const heard = (found: ReadonlyArray<Endpoint>) =>
      Effect.suspend(() => {
        const { endpoints, refused } = merge(found)
        const problem = refused.map(({ message }) => message).join("; ")
        this.error = problem === "" ? undefined : this.#failure(problem, refused)
        this.updatedAt = this.#clock.currentTimeMillisUnsafe()
        const told = this.error === undefined ? Effect.void : Effect.logWarning(this.error.message)
        return Effect.andThen(update(endpoints), told)
      })
    return endpoints.pipe(
      Stream.mapEffect(heard),
      Stream.concat(Stream.fromEffectDrain(this.#ended(failed))),
      Stream.catchCause((cause) => (Cause.hasDies(cause) ? this.#died(cause) : Stream.failCause(cause))),
      Stream.tapError((error) => Effect.sync(() => this.#failed(error, failed))),
      Stream.retry(schedule ?? backoff),
      Stream.runDrain,
      Effect.catch((error) => Effect.logError(`${error.message}; it is asked no more`, error))
    )
  }

  #failed(error: DiscoveryError, failed: () => void): void {
    this.error = error
    failed()
  }

  /** Seen at once, and asked again later each time: a stream that ends does so every time. */
  #ended(failed: () => void): Effect.Effect<never, DiscoveryError> {
    return Effect.suspend(() => {
      const error = this.#failure("its stream has ended", undefined)
      this.#failed(error, failed)
      const delay = Math.min(1000 * 2 ** this.#ends, 30_000)
      const told = this.#ends++ === 0 ? Effect.logWarning(`${error.message}; it is asked again`) : Effect.void
      return told.pipe(Effect.andThen(Effect.sleep(delay)), Effect.andThen(error))
    })
  }

  #failure(problem: string, cause: unknown): DiscoveryError {
    return new DiscoveryError({ target: this.#target, problem, ...(cause === undefined ? undefined : { cause }) })
  }

  #died(cause: Cause.Cause<unknown>): Stream.Stream<never, DiscoveryError> {
    const text = Problems.describe(cause)
    return Stream.fromEffect(
      Effect.andThen(
        Effect.logError(`discovery of ${JSON.stringify(this.#target)} died of a defect and is asked again`, cause),
        this.#failure(`a defect: ${text}`, Cause.squash(cause))
      )
    )
  }
}

const backoff: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("1 second", 1.6),
  Schedule.spaced("30 seconds")
]).pipe(Schedule.jittered)
