/**
 * The draining channels of a group.
 *
 * A channel that was taken out of use completes its calls and stays open for the keys that are held on it. It is then kept
 * for a grace period: if the load returns, restoring it is faster than opening another.
 */
import { Effect, Exit, Scope } from "effect"
import type { Channel } from "./Channel.ts"

/** Channels that take no new call. */
export class Draining {
  readonly channels: Set<Channel> = new Set()
  readonly #graceMillis: number
  readonly #scope: Scope.Scope

  constructor(graceMillis: number, scope: Scope.Scope) {
    this.#graceMillis = graceMillis
    this.#scope = scope
  }

  /** Starts to drain a channel. It closes after the grace period without calls and keys. */
  begin(channel: Channel): Effect.Effect<void> {
    this.channels.add(channel)
    channel.draining = true
    const drain = ++channel.drains
    const close = Effect.suspend((): Effect.Effect<void> => {
      if (channel.drains !== drain) return Effect.void
      if (channel.load > 0 || channel.keys > 0) return closeWhenIdle
      this.channels.delete(channel)
      return Scope.close(channel.current.scope, Exit.void)
    })
    const closeWhenIdle = channel.idle.pipe(Effect.andThen(Effect.sleep(this.#graceMillis)), Effect.andThen(close))
    return Effect.asVoid(Effect.forkIn(closeWhenIdle, this.#scope))
  }

  /** Stops draining up to `max` channels that still work, the last ones that began to drain. */
  restore(max: number): ReadonlyArray<Channel> {
    const restored = max > 0 ? [...this.channels].filter((channel) => channel.isReady).slice(-max) : []
    for (const channel of restored) {
      this.channels.delete(channel)
      channel.draining = false
      channel.drains++
    }
    return restored
  }
}
