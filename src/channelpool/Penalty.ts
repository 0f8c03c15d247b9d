/**
 * What a failed call adds to the load of its channel.
 *
 * A channel that fails fast has few calls in flight, so a pick by load alone would send it all traffic. Each failure counts
 * as additional calls for a while. For picks the penalty fades linearly; a step would send every caller back to the channel
 * at the same moment. For scaling it counts in full until it expires, so that no channel is removed during an outage.
 */

/**
 * How much a failure weighs: `step` calls, together at most `cap`, for `millis` after the last failure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly step: number
  readonly cap: number
  readonly millis: number
}

/**
 * The penalty of a channel, and the instant at which it expires.
 *
 * @category models
 * @since 0.1.0
 */
export interface Penalty {
  readonly points: number
  readonly until: number
}

/**
 * The penalty of a channel without failures.
 *
 * @category constants
 * @since 0.1.0
 */
export const none: Penalty = { points: 0, until: -Infinity }

/**
 * Adds a failure. After the last penalty has expired it starts again from one step.
 *
 * @category transitions
 * @since 0.1.0
 */
export const charge = (self: Penalty, { cap, millis, step }: Settings, now: number): Penalty => ({
  points: Math.min(cap, forScaling(self, now) + step),
  until: now + millis
})

/**
 * The calls it counts as in a pick.
 *
 * @category getters
 * @since 0.1.0
 */
export const forPick = (self: Penalty, { millis }: Settings, now: number): number =>
  now < self.until ? Math.ceil((self.points * (self.until - now)) / millis) : 0

/**
 * The calls it counts as in scaling.
 *
 * @category getters
 * @since 0.1.0
 */
export const forScaling = (self: Penalty, now: number): number => (now < self.until ? self.points : 0)
