/**
 * Which endpoints exist now.
 *
 * A discovery emits full sets, never differences, so a reader that missed one is right again with the next. It may fail, die
 * of a defect, or end: the pool that reads it keeps the last good set, subscribes again with backoff, and says so. It is told by a stream when
 * a peer has failed and a new look would help (gRPC's re-resolution request).
 */
import { Data, Effect, type Stream } from "effect"
import type { Endpoint } from "./Endpoint.ts"

/**
 * A look-up that failed, or a target that cannot be looked up.
 *
 * @category errors
 * @since 0.1.0
 */
export class DiscoveryError extends Data.TaggedError("DiscoveryError")<{
  /** What was to be discovered, as the user wrote it. */
  readonly target: string
  readonly problem: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return `discovery of ${JSON.stringify(this.target)}: ${this.problem}`
  }
}

/**
 * A source of endpoint sets.
 *
 * `subscribe` fails when the target itself is wrong, which no waiting cures; the stream fails when a look-up does.
 *
 * @category models
 * @since 0.1.0
 */
export interface Discovery<out R = never> {
  /** What is discovered, for messages and pages. */
  readonly target: string
  readonly subscribe: (
    refresh: Stream.Stream<void>
  ) => Effect.Effect<Stream.Stream<ReadonlyArray<Endpoint>, DiscoveryError, R>, DiscoveryError, R>
}

/**
 * A discovery of the user's own: any stream of endpoint sets.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <R>(
  target: string,
  endpoints: Stream.Stream<ReadonlyArray<Endpoint>, DiscoveryError, R>
): Discovery<R> => ({ target, subscribe: () => Effect.succeed(endpoints) })
