/**
 * A value that can be read now and watched.
 *
 * States of connections and peers change in callbacks of the wire and are read by each call, so both must be plain
 * function calls; watchers only need the latest state. `SubscriptionRef` queues every value for each subscriber and sets
 * through an Effect; this keeps one value, and a slow watcher sees the newest instead of all.
 */
import { Effect, Option, Stream } from "effect"

/**
 * A value that can be read now and watched. The stream begins with the current value and conflates.
 *
 * @category models
 * @since 0.1.0
 */
export interface StateRef<out A> {
  readonly current: () => A
  readonly changes: Stream.Stream<A>
}

/**
 * A watched value that its owner can set.
 *
 * @category models
 * @since 0.1.0
 */
export interface Writable<in out A> extends StateRef<A> {
  readonly set: (value: A) => void
}

/** There is one for every peer, and most of the time nobody is waiting: what watchers need is made when they come. */
class Cell<A> implements Writable<A> {
  #value: A
  #version = 0
  #waiting: Set<() => void> | undefined = undefined

  constructor(value: A) {
    this.#value = value
  }

  current(): A {
    return this.#value
  }

  set(value: A): void {
    this.#value = value
    this.#version++
    const woken = this.#waiting
    if (woken === undefined) return
    this.#waiting = undefined
    for (const wake of woken) wake()
  }

  get changes(): Stream.Stream<A> {
    return Stream.fromPull(Effect.sync(() => this.#reader()))
  }

  #reader(): Effect.Effect<readonly [A]> {
    let seen = -1
    const take = Effect.sync(() => {
      seen = this.#version
      return [this.#value] as const
    })
    const wait = Effect.callback<void>((resume) => {
      // It may have been set between the reader's look and its wait.
      if (seen !== this.#version) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.#waiting ??= new Set()
      this.#waiting.add(wake)
      return Effect.sync(() => this.#waiting?.delete(wake))
    })
    return Effect.suspend(() => (seen === this.#version ? Effect.andThen(wait, take) : take))
  }
}

/**
 * Makes a watched value.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(initial: A): Writable<A> => new Cell(initial)

/**
 * Waits for the first value that passes, the current one included.
 *
 * @category combinators
 * @since 0.1.0
 */
export const until = <A>(self: StateRef<A>, predicate: (value: A) => boolean): Effect.Effect<A> =>
  self.changes.pipe(
    Stream.filter(predicate),
    Stream.runHead,
    Effect.flatMap(Option.match({ onNone: () => Effect.never, onSome: Effect.succeed }))
  )

/**
 * A value's changes, at most one per tick of the scheduler: the first at once, and what else happens in that tick after
 * it, as one. Setters wake their watchers inline, so a watcher whose work is large in comparison should use this.
 *
 * @category combinators
 * @since 0.1.0
 */
export const oncePerTick = <A>({ changes }: StateRef<A>): Stream.Stream<A> =>
  Stream.flatMap(changes, (value) => Stream.concat(Stream.succeed(value), Stream.fromEffectDrain(Effect.yieldNow)))
