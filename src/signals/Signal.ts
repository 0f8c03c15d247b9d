/**
 * What lowers the standing of a connected peer: its health, its failures, its newness.
 *
 * A signal says what it makes of the peers and never touches a picker; the pool merges what all of them say with the
 * peers' connectivity. So a new way of telling a bad peer changes nothing else. A signal can only lower: a peer that
 * none of them names is well.
 *
 * It has two ends. Attempts that finish are told to it in a plain function call, because they are many; its verdicts
 * come out as a Stream, because they change rarely.
 */
import { Effect, type Scope, Stream } from "effect"
import type { Outcome } from "../status/Outcome.ts"
import * as StateRef from "../transport/StateRef.ts"
import type { Peer } from "../peer/Peer.ts"
import * as TimedStream from "./TimedStream.ts"
import type * as HealthVerdict from "./HealthVerdict.ts"

/**
 * Those of whom there is something to say. Who is not in it is well.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdicts = ReadonlyMap<Peer, HealthVerdict.HealthVerdict>

/**
 * Is told how an attempt on a peer ended, and how long it took. It is called for every attempt, so it allocates nothing
 * and does not throw. A stream of messages that has begun is a success; that it broke later is told besides.
 *
 * @category models
 * @since 0.1.0
 */
export type Sink = (peer: Peer, outcome: Outcome, elapsedMillis: number, now: number) => void

/**
 * What all signals together make of a peer now.
 *
 * @category models
 * @since 0.1.0
 */
export type Standing = (peer: Peer) => HealthVerdict.Status

/**
 * A signal at work in one pool.
 *
 * @category models
 * @since 0.1.0
 */
export interface Detector {
  /** Fed with every finished attempt; `undefined` if the signal does not look at them. */
  readonly observe: Sink | undefined
  /**
   * Judges the pool's peers, all of them, since some are only bad in comparison. They come whenever one is added, leaves,
   * or changes its connectivity or its standing: what all signals together make of it. Each element replaces the one
   * before it.
   */
  readonly verdicts: (peers: Stream.Stream<ReadonlyArray<Peer>>, standing: Standing) => Stream.Stream<Verdicts>
}

/**
 * A way of judging peers. `make` is run once by each pool, in its scope, and makes the memory of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Signal {
  readonly name: string
  readonly make: Effect.Effect<Detector, never, Scope.Scope>
}

/**
 * Nothing to say of anybody.
 *
 * @category constants
 * @since 0.1.0
 */
export const noVerdicts: Verdicts = new Map()

/**
 * What holds at an instant, and when to look again if nothing happens before: milliseconds of the monotonic clock, or
 * `Infinity`.
 *
 * @category models
 * @since 0.1.0
 */
export interface View {
  readonly verdicts: Verdicts
  readonly next: number
}

/**
 * The verdicts of a machine that is told the peers and the time: looks at it when the peers change, when `woken` is set,
 * and at the instants it asks for itself. Times and interruption stay out of the machine.
 *
 * A machine that is woken by the end of a call is looked at before the next one chooses its peer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const driven =
  (
    at: (peers: ReadonlyArray<Peer>, now: number, standing: Standing) => View,
    woken: StateRef.Writable<void> = StateRef.make<void>(undefined)
  ): Detector["verdicts"] =>
  (peers, standing) =>
    Stream.unwrap(
      Effect.gen(function* () {
        let current: ReadonlyArray<Peer> | undefined
        yield* Stream.runForEach(peers, (next) =>
          Effect.sync(() => {
            current = next
            woken.set()
          })
        ).pipe(Effect.forkScoped({ startImmediately: true }))
        return TimedStream.make(woken, (now) =>
          Effect.sync(() => {
            if (current === undefined) return { value: noVerdicts, next: Infinity }
            const { next, verdicts } = at(current, now, standing)
            return { value: verdicts, next }
          })
        )
      })
    )
