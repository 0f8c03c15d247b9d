/**
 * Keeps calls from a peer whose calls fail.
 *
 * A peer can be connected and still fail everything, and quickly, which to a load balancer looks like being idle. When a
 * peer has failed too much it gets no call for a while, then one; if that goes well it is back, and if not, the while is
 * twice as long. Delays are random, because clients that eject together must not come back together.
 *
 * What counts as too much is a policy: so many failures in a row find a dead peer at once, a share of failures over a
 * window finds one that is half dead. The window is exact buckets: a moving average gives a burst too little weight.
 *
 * @see https://github.com/twitter/finagle/blob/develop/finagle-core/src/main/scala/com/twitter/finagle/liveness/FailureAccrualFactory.scala
 * @see https://linkerd.io/2-edge/reference/circuit-breaking/
 */
import { Duration, Effect, Function, Random } from "effect"
import * as StateRef from "../transport/StateRef.ts"
import { Breaker, type Counter, type Delays } from "./Breaker.ts"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import type { Peer } from "../peer/Peer.ts"
import * as Signal from "./Signal.ts"
import type { HealthVerdict } from "./HealthVerdict.ts"
import * as MetricsRecorder from "./MetricsRecorder.ts"

/**
 * What counts the failures of a peer.
 *
 * @category models
 * @since 0.1.0
 */
export type { Counter } from "./Breaker.ts"

/**
 * When a peer has failed too much, and why; reasons are few, because openings are counted by them. A rejection (`RESOURCE_EXHAUSTED`) comes from a peer that lives, so it counts in a
 * share and not in a row; a call that its caller left counts in neither.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly counter: () => Counter
}

/**
 * So many failures with no success between them.
 *
 * @category policies
 * @since 0.1.0
 */
export const consecutive = (failures: number): Policy => ({
  counter() {
    const cause = `${failures} failures in a row`
    let failed = 0
    return {
      count(outcome) {
        if (outcome === "success") failed = 0
        return outcome === "failure" && ++failed >= failures ? cause : undefined
      },
      reset() {
        failed = 0
      }
    }
  }
})

const buckets = 10

/**
 * Fewer successes than a share of the calls in a window: below `threshold` (default 0.8) over `window` (default
 * 10 seconds), if it had at least `minimum` calls (default 5).
 *
 * @category policies
 * @since 0.1.0
 */
export const successRate = (options?: {
  readonly threshold?: number | undefined
  readonly window?: Duration.Input | undefined
  readonly minimum?: number | undefined
}): Policy => ({
  counter() {
    const threshold = options?.threshold ?? 0.8
    const window = options?.window ?? "10 seconds"
    const minimum = options?.minimum ?? 5
    const width = Duration.toMillis(window) / buckets
    const cause = `less than ${threshold * 100} % of calls succeeded in ${Duration.format(Duration.fromInputUnsafe(window))}`
    const good = new Float64Array(buckets)
    const bad = new Float64Array(buckets)
    let last = 0

    /** Empties the buckets that time has passed since. */
    const turn = (now: number): number => {
      const current = Math.floor(now / width)
      for (let i = Math.max(last + 1, current - buckets + 1); i <= current; i++)
        good[i % buckets] = bad[i % buckets] = 0
      last = Math.max(last, current)
      return last % buckets
    }
    const sum = (counts: Float64Array): number => {
      let total = 0
      for (let i = 0; i < buckets; i++) total += counts[i]!
      return total
    }

    return {
      count(outcome, now) {
        if (outcome === "ignorable") return undefined
        const counts = outcome === "success" ? good : bad
        counts[turn(now)]!++
        if (outcome === "success") return undefined
        const succeeded = sum(good)
        const calls = succeeded + sum(bad)
        return calls >= minimum && succeeded < threshold * calls ? cause : undefined
      },
      reset() {
        good.fill(0)
        bad.fill(0)
      }
    }
  }
})

/**
 * Either of two policies.
 *
 * @example
 * import { FailureAccrual } from "trunkline"
 *
 * const strict = FailureAccrual.orElse(FailureAccrual.consecutive(5), FailureAccrual.successRate())
 *
 * @category combinators
 * @since 0.1.0
 */
export const orElse: {
  (that: Policy): (self: Policy) => Policy
  (self: Policy, that: Policy): Policy
} = Function.dual(2, (self: Policy, that: Policy): Policy => ({
  counter() {
    const [one, other] = [self.counter(), that.counter()]
    return {
      count(outcome, now) {
        const cause = one.count(outcome, now)
        return other.count(outcome, now) ?? cause
      },
      reset() {
        one.reset()
        other.reset()
      }
    }
  }
}))

/** A peer's breaker, and the connection it counts on. */
interface Watch {
  readonly breaker: Breaker
  connection: ActiveConnection | undefined
}

/**
 * Ejects a peer by a policy (default 5 failures in a row), for a random time between `delay` (default 5 seconds) and
 * twice that, doubled after each failed try up to `maxDelay` (default 5 minutes). Then one call decides.
 *
 * @example
 * import { Balancer, FailureAccrual, Panic, RoundRobin, StaticDiscovery } from "trunkline"
 *
 * const Backends = Balancer.layer({
 *   discovery: StaticDiscovery.make(["a:50051", "b:50051"]),
 *   picker: Panic.below(RoundRobin.make(), 0.5),
 *   signals: [FailureAccrual.make({ policy: FailureAccrual.consecutive(3) })]
 * })
 *
 * @category signals
 * @since 0.1.0
 */
export const make = (options?: {
  readonly policy?: Policy | undefined
  readonly delay?: Duration.Input | undefined
  readonly maxDelay?: Duration.Input | undefined
}): Signal.Signal => {
  const policy = options?.policy ?? consecutive(5)
  const first = Duration.toMillis(options?.delay ?? "5 seconds")
  const delays: Delays = { first, max: Math.max(2 * first, Duration.toMillis(options?.maxDelay ?? "5 minutes")) }
  return {
    name: "failure accrual",
    make: Effect.map(Effect.all([Random.Random, MetricsRecorder.Current]), ([random, recorder]) => {
      let watches = new Map<Peer, Watch>()
      const phaseChanged = StateRef.make<void>(undefined)
      const chance = () => random.nextDoubleUnsafe()

      /** The watch over a peer, a new one if there is none yet. */
      const watchOf = (peer: Peer, now: number): Watch => {
        const watch = watches.get(peer) ?? {
          breaker: new Breaker(policy.counter(), delays),
          connection: peer.connection
        }
        if (peer.connection !== undefined && peer.connection !== watch.connection) {
          watch.connection = peer.connection
          watch.breaker.reconnected(now)
        }
        watch.breaker.advance(now)
        return watch
      }

      return {
        observe(peer, outcome, elapsed, now) {
          const breaker = watches.get(peer)?.breaker
          if (breaker?.observe(outcome, now - elapsed, now, chance) !== true) return
          if (breaker.phase === "open") recorder.breakerOpened(breaker.cause)
          phaseChanged.set()
        },
        verdicts: Signal.driven((peers, now) => {
          watches = new Map(peers.map((peer) => [peer, watchOf(peer, now)]))
          const verdicts = new Map<Peer, HealthVerdict>()
          let next = Infinity
          for (const [peer, { breaker }] of watches) {
            if (breaker.verdict !== undefined) verdicts.set(peer, breaker.verdict)
            next = Math.min(next, breaker.until)
          }
          return { verdicts, next }
        }, phaseChanged)
      }
    })
  }
}
