/**
 * The calls a server has under way, as its stop sees them: they may end by themselves for a while, and what is left is ended
 * with a status.
 */
import { Effect } from "effect"

/** A call that can be ended from outside, with `UNAVAILABLE`. */
interface Stoppable {
  readonly stop: () => void
}

/**
 * A set of calls that says when it is empty.
 *
 * @category models
 * @since 0.1.0
 */
export class OpenCalls<C extends Stoppable> {
  readonly #calls = new Set<C>()
  #whenEmpty: Array<() => void> = []

  get size(): number {
    return this.#calls.size
  }

  add(call: C): void {
    this.#calls.add(call)
  }

  delete(call: C): void {
    if (!this.#calls.delete(call) || this.#calls.size > 0) return
    const tell = this.#whenEmpty
    this.#whenEmpty = []
    for (const told of tell) told()
  }

  /** Completes when no call is under way. */
  readonly empty: Effect.Effect<void> = Effect.callback<void>((resume) => {
    if (this.#calls.size === 0) return resume(Effect.void)
    this.#whenEmpty.push(() => resume(Effect.void))
  })

  /** Ends every call. */
  stop(): void {
    for (const call of [...this.#calls]) call.stop()
  }
}
