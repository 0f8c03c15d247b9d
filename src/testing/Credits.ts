/**
 * Permission to send: what a receiver's demand is to a sender in the same process.
 */
import { Effect } from "effect"

/** Counts how many messages may be sent, and holds back one sender while there are none. */
export class SendCredits {
  #available = 0
  #wake: (() => void) | undefined

  /** The receiver has room for more. */
  add(messages: number): void {
    this.#available += messages
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  /** Takes permission for one message, waiting for it if need be. */
  readonly take: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#available > 0) {
      this.#available--
      return Effect.void
    }
    return Effect.andThen(
      Effect.callback<void>((resume) => {
        // The receiver may have made room between the sender's look and its wait.
        if (this.#available > 0) return resume(Effect.void)
        this.#wake = () => resume(Effect.void)
        return Effect.sync(() => {
          this.#wake = undefined
        })
      }),
      this.take
    )
  })
}
