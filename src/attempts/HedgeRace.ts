/**
 * The copies of one hedged call.
 *
 * One fiber, the caller's, decides; each copy runs in a fiber of its own on a call of its own. The caller wakes when a copy
 * ends or when the next is due. The first success ends the race, and so does an error that is final; whoever still runs is
 * then cancelled, down to the wire, before the caller goes on.
 */
import { Duration, Effect, Exit, Latch, Option, Scope } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type * as RpcError from "../status/RpcError.ts"
import type { Commitment } from "./Commitment.ts"
import { FreeTries } from "./TransparentRetry.ts"
import type { Hedge } from "../retry/Hedge.ts"
import type { LatencyWindow } from "./LatencyWindow.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"
import * as Pushback from "../retry/Pushback.ts"
import * as RetryLoop from "./RetryLoop.ts"
import * as RetryDecision from "./RetryDecision.ts"

/** What is raced. */
export interface Racer<A, R> {
  /** Runs one copy on its own call. */
  readonly attempt: (copy: Call) => Effect.Effect<A, RpcError.RpcError, R>
  /** Lets go of a success that came second. */
  readonly leave: (second: A) => Effect.Effect<void>
  /** Whether a copy that ended so was the call's last. */
  readonly committed: Commitment
}

interface Ended<A> {
  readonly copy: Call
  readonly exit: Exit.Exit<A, RpcError.RpcError>
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/**
 * Runs a copy to its end, which is known whatever interrupts it meanwhile. A copy that no handler can have seen is sent
 * again at no cost.
 */
const freely = Effect.fnUntraced(function* <A, R>(racer: Racer<A, R>, copy: Call, restore: Restore) {
  const free = new FreeTries()
  while (true) {
    const exit = yield* Effect.exit(restore(racer.attempt(copy)))
    if (Exit.isSuccess(exit)) return exit
    const error = Exit.findErrorOption(exit)
    const now = Deadline.nowUnsafe(copy.clock)
    if (Option.isNone(error) || now >= copy.deadline || !free.allows(error.value, copy)) return exit
    yield* Effect.yieldNow
    copy.repeatAttempt(now)
  }
})

/** The delay to the next copy as latencies are now; never when too little is known. */
const delayOf = (hedge: Hedge, latencies: LatencyWindow | undefined, now: number): number =>
  typeof hedge.after === "number"
    ? hedge.after
    : (latencies?.percentile(hedge.after.percentile, hedge.after.minSamples, now) ?? Infinity)

/** The copies of one call, and what may still be sent. */
class Race<A, R> {
  readonly sent: Array<Call> = []
  readonly ended: Array<Ended<A>> = []
  readonly bell: Latch.Latch = Latch.makeUnsafe(false)
  /** When the next copy is due, in milliseconds of the monotonic clock. */
  due = Infinity
  /** Why no more copies are sent. */
  closed: RpcError.Stopped | undefined
  #live = 0
  readonly #racer: Racer<A, R>
  readonly #call: Call
  readonly #hedge: Hedge
  readonly #budget: RetryBudget
  readonly #delay: number
  readonly #scope: Scope.Scope

  constructor(racer: Racer<A, R>, call: Call, hedge: Hedge, budget: RetryBudget, delay: number, scope: Scope.Scope) {
    this.#racer = racer
    this.#call = call
    this.#hedge = hedge
    this.#budget = budget
    this.#delay = delay
    this.#scope = scope
  }

  get over(): boolean {
    return this.#live === 0 && this.due === Infinity
  }

  /** Sends a copy. */
  send(now: number): Effect.Effect<void, never, R> {
    return Effect.suspend(() => {
      const copy = this.#call.fork(this.sent.length + 1, now, this.sent)
      this.sent.push(copy)
      this.#live++
      const full = this.sent.length >= this.#hedge.maxAttempts
      if (full) this.closed ??= "attempts"
      this.due = full ? Infinity : now + this.#delay
      const run = Effect.uninterruptibleMask((restore) =>
        Effect.map(freely(this.#racer, copy, restore), (exit) => {
          this.ended.push({ copy, exit })
          this.bell.openUnsafe()
        })
      )
      return Effect.asVoid(Effect.forkIn(run, this.#scope, { startImmediately: true }))
    })
  }

  /** Sends one more copy, if the budget has one. */
  sendMore(now: number): Effect.Effect<void, never, R> {
    return Effect.suspend(() => {
      if (this.closed !== undefined) return Effect.void
      if (this.#budget.withdraw(now)) return this.send(now)
      this.close("budget")
      return Effect.void
    })
  }

  close(why: RpcError.Stopped): void {
    this.closed ??= why
    this.due = Infinity
  }

  /** A copy has failed; whether that is final. */
  failed(copy: Call, error: RpcError.RpcError, now: number): Effect.Effect<boolean, never, R> {
    return Effect.suspend(() => {
      this.#live--
      const attempt = { peer: error.peer, code: error.code, elapsedMillis: now - copy.attemptStart, delayMillis: 0 }
      this.#call.failedAttempts = [...this.#call.failedAttempts, attempt]
      const wish = Pushback.of(error)
      const committed = this.#racer.committed(error)
      const nonFatal = this.#hedge.nonFatalCodes.has(error.code) && !committed && error.progress !== "dropped"
      this.#budget.observe(nonFatal || wish._tag === "Stop" ? RetryDecision.outcomeOf(error) : "ignorable", now)
      if (!nonFatal) {
        this.closed = wish._tag === "Stop" ? "pushback" : committed ? "committed" : "not_retryable"
        return Effect.succeed(true)
      }
      if (wish._tag === "Stop") this.close("pushback")
      else if (wish._tag === "Delay" && this.closed === undefined) this.due = now + Duration.toMillis(wish.delay)
      else return Effect.as(this.sendMore(now), false)
      return Effect.succeed(false)
    })
  }

  /** Waits until a copy ends or the next is due. */
  get news(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.due >= this.#call.deadline) {
        if (this.due !== Infinity) this.close("deadline")
        return this.over ? Effect.void : this.bell.await
      }
      const left = this.due - Deadline.nowUnsafe(this.#call.clock)
      return left <= 0 ? Effect.void : Effect.asVoid(Effect.timeoutOption(this.bell.await, left))
    })
  }
}

/** Runs the race to its one result, in a scope that ends the copies that are left. */
const decide = Effect.fnUntraced(function* <A, R>(
  race: Race<A, R>,
  call: Call,
  budget: RetryBudget,
  latencies: LatencyWindow | undefined
): Effect.fn.Return<A, RpcError.RpcError, R> {
  let last: RpcError.RpcError | undefined
  let read = 0
  yield* race.send(call.start)
  while (true) {
    for (; read < race.ended.length; read++) {
      const { copy, exit } = race.ended[read]!
      call.join(copy)
      const now = Deadline.nowUnsafe(call.clock)
      if (Exit.isSuccess(exit)) {
        latencies?.add(now - copy.attemptStart, now)
        budget.observe("success", now)
        return exit.value
      }
      const error = Exit.findErrorOption(exit)
      if (Option.isNone(error)) return yield* exit
      // Time that ran out before a peer was found says less than the error before it.
      if (last !== undefined && RetryLoop.neverTried(error.value)) return yield* RetryLoop.told(call, last, "deadline")
      last = error.value
      if (yield* race.failed(copy, last, now)) return yield* RetryLoop.told(call, last, race.closed!)
    }
    race.bell.closeUnsafe()
    if (race.over) return yield* RetryLoop.told(call, last!, race.closed ?? "attempts")
    yield* race.news
    const now = Deadline.nowUnsafe(call.clock)
    if (race.due <= now && read === race.ended.length) yield* race.sendMore(now)
  }
})

/**
 * Runs a call as so many copies as the policy wants and the budget allows. The call it was given learns of the winner.
 */
export const run = <A, R>(
  racer: Racer<A, R>,
  call: Call,
  hedge: Hedge,
  budget: RetryBudget,
  latencies: LatencyWindow | undefined
): Effect.Effect<A, RpcError.RpcError, R> =>
  Effect.flatMap(Scope.make(), (scope) => {
    const race = new Race(racer, call, hedge, budget, delayOf(hedge, latencies, call.start), scope)
    /** Lets go of what came second, some of it while it was being cancelled. */
    const leaveOthers = (result: A | undefined) =>
      Effect.suspend(() =>
        Effect.forEach(
          race.ended,
          ({ exit }) => (Exit.isSuccess(exit) && exit.value !== result ? racer.leave(exit.value) : Effect.void),
          { discard: true }
        )
      )
    return Effect.onExit(decide(race, call, budget, latencies), (exit) =>
      Effect.andThen(Scope.close(scope, Exit.void), leaveOthers(Exit.isSuccess(exit) ? exit.value : undefined))
    )
  })
