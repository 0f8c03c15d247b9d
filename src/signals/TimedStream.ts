/**
 * What a machine says over time.
 *
 * A machine that is told events and the time knows what holds now and when it wants to look again. This looks at it when it
 * is woken and at those instants, so that machines hold no timers, and what wakes one is heard before anything else happens.
 */
import { Clock, Effect, FiberHandle, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type * as StateRef from "../transport/StateRef.ts"

/** What holds, and until when if nothing happens before: milliseconds of the monotonic clock, or `Infinity`. */
export interface Look<out A> {
  readonly value: A
  readonly next: number
}

/** The values of a machine, one for each look at it. It is looked at once in the beginning. */
export const make = <A>(
  woken: StateRef.Writable<void>,
  look: (now: number) => Effect.Effect<Look<A>>
): Stream.Stream<A> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const timer = yield* FiberHandle.make<void>()
      const wake = Effect.sync(() => woken.set())
      return Stream.mapEffect(
        woken.changes,
        Effect.fnUntraced(function* () {
          const now = Deadline.nowUnsafe(clock)
          const { next, value } = yield* look(now)
          if (next === Infinity) yield* FiberHandle.clear(timer)
          else yield* FiberHandle.run(timer, Effect.andThen(Effect.sleep(Math.ceil(next - now)), wake))
          return value
        })
      )
    })
  )
