/**
 * A test's clock that moves when everything has come to rest.
 *
 * `TestClock.adjust` runs sleeps in order, and after each waits for the fibers it woke. But it begins as soon as it is
 * called: a fiber that would connect, pick and send now, in some turns of the scheduler, finds that its deadline is over
 * before it came to its first sleep. How many turns that takes is nobody's business. So this clock waits first until no
 * fiber has anything to do, and only then lets time pass; what takes no time is done at the instant at which it began.
 *
 * A fiber has something to do as long as it is in the line of its scheduler, so that is where they are counted.
 */
import { Clock, Context, Effect, Scheduler } from "effect"
import type { TestClock } from "effect/testing"

/** Turns in a row in which nobody had anything to do: promises, and fibers with a scheduler of their own, need a few. */
const quietTurns = 16

/** Turns after which a fiber that never waits for anything is let go on beside the clock. */
const mostTurns = 100_000

/** A scheduler that knows how many tasks are waiting in its lines. */
class CountingScheduler implements Scheduler.Scheduler {
  waiting = 0
  readonly #parent: Scheduler.Scheduler

  constructor(parent: Scheduler.Scheduler) {
    this.#parent = parent
  }

  get executionMode(): "sync" | "async" {
    return this.#parent.executionMode
  }

  shouldYield(fiber: Parameters<Scheduler.Scheduler["shouldYield"]>[0]): boolean {
    return this.#parent.shouldYield(fiber)
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.#parent.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        this.waiting++
        dispatcher.scheduleTask(() => {
          this.waiting--
          task()
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }
}

/** Waits until nobody has anything to do. */
const settled = (scheduler: CountingScheduler): Effect.Effect<void> =>
  Effect.gen(function* () {
    let quiet = 0
    for (let turn = 0; quiet < quietTurns && turn < mostTurns; turn++) {
      yield* Effect.yieldNow
      quiet = scheduler.waiting === 0 ? quiet + 1 : 0
    }
  })

const isTestClock = (clock: Clock.Clock): clock is TestClock.TestClock => "adjust" in clock && "setTime" in clock

/**
 * The clock and the scheduler of this context, so that the clock waits for the scheduler's fibers; nothing if its clock is
 * not one of tests.
 */
export const context: Effect.Effect<Context.Context<never>> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  if (!isTestClock(clock)) return Context.empty()
  const scheduler = new CountingScheduler(yield* Scheduler.Scheduler)
  const first = settled(scheduler)
  const settling: TestClock.TestClock = {
    ...clock,
    adjust: (duration) => Effect.andThen(first, clock.adjust(duration)),
    setTime: (timestamp) => Effect.andThen(first, clock.setTime(timestamp))
  }
  return Context.make(Clock.Clock, settling).pipe(Context.add(Scheduler.Scheduler, scheduler))
})
