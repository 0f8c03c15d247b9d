/**
 * A value that can be read now and watched.
 *
 * States of connections and peers change in callbacks of the wire and are read by each call, so both must be plain
 * function calls; watchers only need the latest state. `SubscriptionRef` queues every value for each subscriber and sets
 * through an Effect; this keeps one value, and a slow watcher sees the newest instead of all.
 */
import { Effect, Stream } from "effect"

/**
 * A value that can be read now and watched. The stream begins with the current value and conflates.
 *
 * @category models
 * @since 0.1.0
 */
export interface Watched<out A> {
  readonly current: () => A
  readonly changes: Stream.Stream<A>
}

/**
 * A watched value that its owner can set.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writable<in out A> extends Watched<A> {
  readonly set: (value: A) => void
}

/**
 * Makes a watched value.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(initial: A): Writable<A> => {
  let value = initial
  let version = 0
  const waiting = new Set<() => void>()

  const changes = Stream.fromPull(
    Effect.sync(() => {
      let seen = -1
      const take = Effect.sync(() => {
        seen = version
        return [value] as const
      })
      const wait = Effect.callback<void>((resume) => {
        // It may have been set between the reader's look and its wait.
        if (seen !== version) return resume(Effect.void)
        const wake = () => resume(Effect.void)
        waiting.add(wake)
        return Effect.sync(() => waiting.delete(wake))
      })
      return Effect.suspend(() => (seen === version ? Effect.andThen(wait, take) : take))
    })
  )

  return {
    current: () => value,
    changes,
    set(next) {
      value = next
      version++
      const woken = [...waiting]
      waiting.clear()
      for (const wake of woken) wake()
    }
  }
}

/**
 * A value's changes, at most one per tick of the scheduler: the first at once, and what else happens in that tick after
 * it, as one. Setters wake their watchers inline, so a watcher whose work is large in comparison should use this.
 *
 * @category combinators
 * @since 0.1.0
 */
export const oncePerTick = <A>({ changes }: Watched<A>): Stream.Stream<A> =>
  Stream.flatMap(changes, (value) => Stream.concat(Stream.succeed(value), Stream.fromEffectDrain(Effect.yieldNow)))
