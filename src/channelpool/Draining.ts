/**
 * The channels that are on their way out.
 *
 * One that is taken out of use carries its calls to their end, and stays for the keys that somebody holds there. Then it is
 * kept for a while, because a load that comes back would only open it again; wanted back, it is as good as new at once.
 */
import { Effect, Exit, Scope } from "effect"
import type { Channel } from "./Channel.ts"

/** Channels that take no new call. */
export class Drain {
  readonly channels: Set<Channel> = new Set()
  readonly #graceMillis: number
  readonly #scope: Scope.Scope

  constructor(graceMillis: number, scope: Scope.Scope) {
    this.#graceMillis = graceMillis
    this.#scope = scope
  }

  /** From now on; it is closed when it has been without calls and keys for the grace. */
  begin(channel: Channel): Effect.Effect<void> {
    this.channels.add(channel)
    channel.draining = true
    const drain = ++channel.drains
    const close = Effect.suspend((): Effect.Effect<void> => {
      if (channel.drains !== drain) return Effect.void
      if (channel.load > 0 || channel.keys > 0) return closeWhenIdle
      this.channels.delete(channel)
      return Scope.close(channel.tenant.scope, Exit.void)
    })
    const closeWhenIdle = channel.idle.pipe(Effect.andThen(Effect.sleep(this.#graceMillis)), Effect.andThen(close))
    return Effect.asVoid(Effect.forkIn(closeWhenIdle, this.#scope))
  }

  /** Up to so many that still work, which drain no more; the latest first to have gone. */
  takeBack(most: number): ReadonlyArray<Channel> {
    const back = most > 0 ? [...this.channels].filter((channel) => channel.isReady).slice(-most) : []
    for (const channel of back) {
      this.channels.delete(channel)
      channel.draining = false
      channel.drains++
    }
    return back
  }
}
