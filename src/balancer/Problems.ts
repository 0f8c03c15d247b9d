/**
 * What goes wrong in the parts of a pool that run by themselves: its discovery, its picker policy, its signals.
 *
 * They are values that users write, and they run where nobody waits for them, so a bug in one would stop it without a word.
 * Here it is logged as an error with its cause, shown with the pool until the part works again, and the part is started
 * anew, later each time.
 */
import { Cause, type Clock, Effect, Exit } from "effect"

/**
 * A part of a pool that does not work.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  /** Which part it is, such as `picker RoundRobin`. */
  readonly part: string
  readonly text: string
  /** When it was seen, in milliseconds of the wall clock. */
  readonly at: number
}

/** Milliseconds to the next start of a part that has failed so often in a row. */
const restartDelay = (failures: number): number => Math.min(100 * 2 ** failures, longest)
const longest = 30_000

/** A defect in words. */
export const describe = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return error instanceof Error ? error.message : String(error)
}

/** The problems of one pool. */
export class Problems {
  readonly #target: string
  readonly #clock: Clock.Clock
  readonly #byPart = new Map<string, Problem>()

  constructor(target: string, clock: Clock.Clock) {
    this.#target = target
    this.#clock = clock
  }

  /** The parts that do not work now. */
  get all(): ReadonlyArray<Problem> {
    return [...this.#byPart.values()]
  }

  /** A part has failed: it is shown from now on, and logged with its cause. */
  report(part: string, text: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#byPart.set(part, { part, text, at: this.#clock.currentTimeMillisUnsafe() })
      const message = `${part} of the pool of ${this.#target} does not work: ${text}`
      return cause === undefined ? Effect.logError(message) : Effect.logError(message, cause)
    })
  }

  /** A part works. */
  clear(part: string): void {
    this.#byPart.delete(part)
  }

  /**
   * Runs a part for ever. It says when it works; when it ends or dies, `stopped` is run and after a while it begins again,
   * as soon as at first if it had worked for long.
   */
  supervise<R>(
    part: string,
    run: (works: () => void) => Effect.Effect<void, never, R>,
    stopped: Effect.Effect<void> = Effect.void
  ): Effect.Effect<never, never, R> {
    return Effect.suspend(() => {
      let failures = 0
      const once = Effect.suspend(() => {
        const begun = this.#clock.currentTimeMillisUnsafe()
        // What a part throws before it is an Effect is its defect, too.
        const running = Effect.suspend(() => run(() => this.clear(part)))
        return Effect.flatMap(Effect.exit(running), (exit) => {
          if (this.#clock.currentTimeMillisUnsafe() - begun >= longest) failures = 0
          const report = Exit.isSuccess(exit)
            ? this.report(part, "it ended")
            : this.report(part, describe(exit.cause), exit.cause)
          return Effect.andThen(Effect.andThen(stopped, report), Effect.sleep(restartDelay(failures++)))
        })
      })
      return Effect.forever(once)
    })
  }
}
