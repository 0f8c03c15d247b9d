/**
 * The picker of a pool, kept up to date.
 *
 * What happens to peers becomes peer sets, at most one per tick, and the policy turns sets into pickers. That goes on while
 * the pool is awake: from the first call that wants a peer until there has been none for the idle timeout.
 */
import { type Clock, Effect, Latch, Stream } from "effect"
import * as Deadline from "../call/Deadline.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Picker from "../picker/Picker.ts"
import * as StateRef from "../transport/StateRef.ts"
import type { PoolStats } from "./PoolStats.ts"
import type { Problems } from "./Problems.ts"

/** What pickers are made from, and for whom. */
export interface Source {
  readonly policy: Picker.PickerPolicy
  /** The set of peers as it is now. */
  readonly snapshot: () => Picker.PeerSet
  readonly peers: () => ReadonlyArray<Peer>
  readonly stats: PoolStats
  readonly problems: Problems
  readonly clock: Clock.Clock
  readonly eager: boolean
  /** Milliseconds without a call until the pool sleeps. */
  readonly idleTimeout: number
  /** Calls that wait for a peer. */
  readonly waiting: () => number
  /** There is another picker, or a change that will bring one. */
  readonly news: () => void
}

/** The picker now, and how it comes to be. */
export class Publishing {
  /** The picker now: what each call reads. */
  picker = Picker.empty
  readonly #source: Source
  readonly #wanted: Latch.Latch
  readonly #changed: StateRef.Writable<void> = StateRef.make<void>(undefined)
  /** How often the set of peers has changed, and how often it had when the policy was last given one. */
  #version = 0
  #given = -1
  /** The version that the picker is made of. */
  #madeOf = -1

  constructor(source: Source) {
    this.#source = source
    this.#wanted = Latch.makeUnsafe(source.eager)
  }

  /** Whether the picker knows of everything that has happened. */
  get settled(): boolean {
    return this.#madeOf === this.#version
  }

  /** The set of peers now and whenever something about it is new, conflated. */
  get changes(): Stream.Stream<Picker.PeerSet> {
    return Stream.map(StateRef.oncePerTick(this.#changed), this.#source.snapshot)
  }

  /** Something about the peers is new. */
  touch(): void {
    this.#version++
    this.#changed.set()
    this.#source.news()
  }

  /** A call wants a peer. */
  wake(): void {
    this.#wanted.openUnsafe()
  }

  /** No call finds a peer until there is another picker. */
  withdraw(): void {
    this.#publish(Picker.empty, -1)
  }

  #publish(next: Picker.Picker, version: number): void {
    this.picker = next
    this.#madeOf = version
    this.#source.news()
  }

  /** Makes pickers, and connects, while the pool is awake. */
  get run(): Effect.Effect<never> {
    const { clock, idleTimeout, peers } = this.#source
    const awake = Effect.gen({ self: this }, function* () {
      yield* this.#wanted.await
      yield* idleTimeout === Infinity
        ? this.#picking
        : Effect.raceFirst(this.#picking, this.#untilIdle(Deadline.nowUnsafe(clock)))
      this.#wanted.closeUnsafe()
      this.withdraw()
      for (const peer of peers()) peer.requestDisconnect()
    })
    return Effect.forever(awake)
  }

  /** A policy that dies leaves its last picker, which is better than none, until it is at work again. */
  get #picking(): Effect.Effect<never> {
    const { policy, problems, stats } = this.#source
    const name = policy.name === undefined ? "picker" : `picker ${policy.name}`
    return problems.supervise(name, (works) => {
      const sets = Stream.tap(this.changes, () => Effect.sync(() => void (this.#given = this.#version)))
      return Stream.runForEach(policy.pickers(sets), (next) =>
        Effect.sync(() => {
          stats.rebuilds++
          works()
          this.#publish(next, this.#given)
        })
      )
    })
  }

  /** Waits until there has been no call, and nobody waiting for a peer, for the idle timeout. */
  #untilIdle(since: number): Effect.Effect<void> {
    const { clock, idleTimeout, peers, waiting } = this.#source
    return Effect.suspend(() => {
      const all = peers()
      const busy = waiting() > 0 || all.some((peer) => peer.stats.pending > 0)
      const used = Math.max(since, ...all.map((peer) => peer.stats.used))
      const left = busy ? idleTimeout : used + idleTimeout - Deadline.nowUnsafe(clock)
      return left <= 0 ? Effect.void : Effect.andThen(Effect.sleep(left), this.#untilIdle(since))
    })
  }
}
