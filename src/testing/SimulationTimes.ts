/**
 * How long things take, as a matter of chance.
 */
import { Duration } from "effect"

/**
 * A time in milliseconds. `chance` gives a number from 0 up to 1, another one each time.
 *
 * @category models
 * @since 0.1.0
 */
export type Times = (chance: () => number) => number

/**
 * The same each time.
 *
 * @category times
 * @since 0.1.0
 */
export const constant = (time: Duration.Input): Times => {
  const millis = Duration.toMillis(time)
  return () => millis
}

/**
 * Any time between two, each as likely.
 *
 * @category times
 * @since 0.1.0
 */
export const uniform = (least: Duration.Input, most: Duration.Input): Times => {
  const from = Duration.toMillis(least)
  const width = Duration.toMillis(most) - from
  return (chance) => from + width * chance()
}

/**
 * Times without memory: mostly short, sometimes long, with this mean.
 *
 * @category times
 * @since 0.1.0
 */
export const exponential = (mean: Duration.Input): Times => {
  const millis = Duration.toMillis(mean)
  return (chance) => -Math.log(1 - chance()) * millis
}

/**
 * Times around a mean, two of three within the deviation; never below nothing.
 *
 * @category times
 * @since 0.1.0
 */
export const normal = (mean: Duration.Input, deviation: Duration.Input): Times => {
  const millis = Duration.toMillis(mean)
  const spread = Duration.toMillis(deviation)
  return (chance) => {
    const radius = Math.sqrt(-2 * Math.log(1 - chance()))
    return Math.max(0, millis + spread * radius * Math.cos(2 * Math.PI * chance()))
  }
}

/** A time that was given as one, or as chances. */
export const from = (times: Duration.Input | Times): Times => (typeof times === "function" ? times : constant(times))
