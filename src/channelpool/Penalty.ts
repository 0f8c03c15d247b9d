/**
 * What a failed call adds to the load of its channel.
 *
 * A channel that fails fast never has calls under way, so by load alone it is the best there is and draws all traffic. Each
 * failure counts as some more calls for a while. For picks that weight fades linearly: one that ended from one moment to the
 * next would send every caller back at that moment. For scaling it counts in full until it ends, because what fades would
 * take channels away while the trouble lasts.
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
 * What a channel is charged with, and until when.
 *
 * @category models
 * @since 0.1.0
 */
export interface Penalty {
  readonly points: number
  readonly until: number
}

/**
 * No failure yet.
 *
 * @category constants
 * @since 0.1.0
 */
export const none: Penalty = { points: 0, until: -Infinity }

/**
 * After another failure. One that comes after the last has ended starts from one step.
 *
 * @category transitions
 * @since 0.1.0
 */
export const charge = (self: Penalty, { cap, millis, step }: Settings, now: number): Penalty => ({
  points: Math.min(cap, forScaling(self, now) + step),
  until: now + millis
})

/**
 * What it weighs when a channel is picked.
 *
 * @category getters
 * @since 0.1.0
 */
export const forPick = (self: Penalty, { millis }: Settings, now: number): number =>
  now < self.until ? Math.ceil((self.points * (self.until - now)) / millis) : 0

/**
 * What it weighs when channels are counted.
 *
 * @category getters
 * @since 0.1.0
 */
export const forScaling = (self: Penalty, now: number): number => (now < self.until ? self.points : 0)
