/**
 * How chance changes a delay.
 *
 * Callers that failed together must not come back together, so a delay is spread. How far is a value of its own: a
 * `Backoff` says how delays grow, a jitter says what becomes of one. A jitter is a pure function of one draw, and one
 * delay takes one draw whatever the jitter, so a seed gives the same sequence of draws to each of them.
 *
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */

/**
 * From a delay (nanoseconds), a draw that is uniform in [0, 1), and how many delays came before, to the delay to sleep
 * (nanoseconds).
 *
 * @category models
 * @since 0.1.0
 */
export interface Jitter {
  (nanos: number, draw: number, index: number): number
}

/**
 * Uniform between 1 ns and the delay, as gax-go does it. Spreads most.
 *
 * @category jitters
 * @since 0.1.0
 */
export const full: Jitter = (nanos, draw) => 1 + Math.floor(draw * nanos)

/**
 * Uniform between half of the delay and the whole.
 *
 * @category jitters
 * @since 0.1.0
 */
export const equal: Jitter = (nanos, draw) => nanos / 2 + (draw * nanos) / 2

/**
 * No chance: the delay as it is.
 *
 * @category jitters
 * @since 0.1.0
 */
export const none: Jitter = (nanos) => nanos

/**
 * Uniform around the delay, by so great a part of it to either side: 0.2 is ±20 %. The part is held to [0, 1].
 *
 * @example
 * import { Jitter } from "trunkline/extend"
 *
 * const jitter = Jitter.proportional(0.25)
 * jitter(1000, 0, 0) // => 750
 * jitter(1000, 0.5, 0) // => 1000
 *
 * @category jitters
 * @since 0.1.0
 */
export const proportional = (part: number): Jitter => {
  const held = Math.min(1, Math.max(0, part))
  return (nanos, draw) => nanos * (1 - held + 2 * held * draw)
}

/**
 * Leaves the first delay as it is.
 *
 * @category combinators
 * @since 0.1.0
 */
export const exceptFirst =
  (jitter: Jitter): Jitter =>
  (nanos, draw, index) =>
    index === 0 ? nanos : jitter(nanos, draw, index)
