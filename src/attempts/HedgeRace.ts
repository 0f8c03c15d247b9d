/**
 * The copies of one hedged call.
 *
 * The caller's fiber decides; each copy runs in a fiber of its own on a call of its own. The caller wakes when a copy ends or
 * when the next copy is due. The race ends with the first success or the first fatal error. The copies that still run are
 * then cancelled, down to the wire, before the caller goes on.
 */
import { Duration, Effect, Exit, Latch, Option, Scope } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type * as RpcError from "../status/RpcError.ts"
import type { Commitment } from "./Commitment.ts"
import { TransparentRetries } from "./TransparentRetry.ts"
import type { Hedge } from "../retry/Hedge.ts"
import type { LatencyWindow } from "./LatencyWindow.ts"
import type { RetryBudget } from "../retry/RetryBudget.ts"
import * as Pushback from "../retry/Pushback.ts"
import * as RetryLoop from "./RetryLoop.ts"
import * as RetryDecision from "./RetryDecision.ts"

/** What a race runs. */
export interface Attempts<A, R> {
  /** Runs one copy on its own call. */
  readonly run: (copy: Call) => Effect.Effect<A, RpcError.RpcError, R>
  /** Closes a successful result that lost the race. */
  readonly discard: (result: A) => Effect.Effect<void>
  readonly commitment: Commitment
}

/** How a call is hedged. */
export interface Options {
  readonly hedge: Hedge
  readonly budget: RetryBudget
  /** The latencies of the method, if the delay depends on them. */
  readonly latencies: LatencyWindow | undefined
}

interface Ended<A> {
  readonly copy: Call
  readonly exit: Exit.Exit<A, RpcError.RpcError>
}

type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Runs a copy and its transparent retries. The exit is returned also if the copy is interrupted. */
const runCopy = Effect.fnUntraced(function* <A, R>(attempts: Attempts<A, R>, copy: Call, restore: Restore) {
  const transparent = new TransparentRetries()
  while (true) {
    const exit = yield* Effect.exit(restore(attempts.run(copy)))
    if (Exit.isSuccess(exit)) return exit
    const error = Exit.findErrorOption(exit)
    const now = Deadline.nowUnsafe(copy.clock)
    if (Option.isNone(error) || now >= copy.deadline || !transparent.allows(error.value, copy)) return exit
    yield* Effect.yieldNow
    copy.repeatAttempt(now)
  }
})

/** The delay to the next copy by the latencies so far; infinite while there are too few of them. */
const delayOf = ({ hedge, latencies }: Options, now: number): number =>
  typeof hedge.after === "number"
    ? hedge.after
    : (latencies?.percentile(hedge.after.percentile, hedge.after.minSamples, now) ?? Infinity)

/** The copies of one call, and whether more may be sent. */
class Race<A, R> {
  readonly sent: Array<Call> = []
  readonly ended: Array<Ended<A>> = []
  readonly wakeup: Latch.Latch = Latch.makeUnsafe(false)
  /** When the next copy is due, in milliseconds of the monotonic clock. */
  due = Infinity
  /** Why no more copies are sent. */
  closed: RpcError.Stopped | undefined
  #live = 0
  readonly #attempts: Attempts<A, R>
  readonly #call: Call
  readonly #hedge: Hedge
  readonly #budget: RetryBudget
  readonly #delay: number
  /** Holds the fibers of the copies. */
  readonly scope: Scope.Closeable = Scope.makeUnsafe()

  constructor(attempts: Attempts<A, R>, call: Call, options: Options) {
    this.#attempts = attempts
    this.#call = call
    this.#hedge = options.hedge
    this.#budget = options.budget
    this.#delay = delayOf(options, call.start)
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
        Effect.map(runCopy(this.#attempts, copy, restore), (exit) => {
          this.ended.push({ copy, exit })
          this.wakeup.openUnsafe()
        })
      )
      return Effect.asVoid(Effect.forkIn(run, this.scope, { startImmediately: true }))
    })
  }

  /** Sends one more copy, if the budget allows it. */
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

  /** Records the failure of a copy. Returns whether it ends the race. */
  onFailure(copy: Call, error: RpcError.RpcError, now: number): Effect.Effect<boolean, never, R> {
    return Effect.suspend(() => {
      this.#live--
      const attempt = { peer: error.peer, code: error.code, elapsedMillis: now - copy.attemptStart, delayMillis: 0 }
      this.#call.failedAttempts = [...this.#call.failedAttempts, attempt]
      const pushback = Pushback.of(error)
      const committed = this.#attempts.commitment(error)
      const nonFatal = this.#hedge.nonFatalCodes.has(error.code) && !committed && error.progress !== "dropped"
      this.#budget.observe(nonFatal || pushback._tag === "Stop" ? RetryDecision.outcomeOf(error) : "ignorable", now)
      if (!nonFatal) {
        this.closed = pushback._tag === "Stop" ? "pushback" : committed ? "committed" : "not_retryable"
        return Effect.succeed(true)
      }
      if (pushback._tag === "Stop") this.close("pushback")
      else if (pushback._tag === "Delay" && this.closed === undefined)
        this.due = now + Duration.toMillis(pushback.delay)
      else return Effect.as(this.sendMore(now), false)
      return Effect.succeed(false)
    })
  }

  /** Waits until a copy ends or the next is due. */
  get nextEvent(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.due >= this.#call.deadline) {
        if (this.due !== Infinity) this.close("deadline")
        return this.over ? Effect.void : this.wakeup.await
      }
      const wait = this.due - Deadline.nowUnsafe(this.#call.clock)
      return wait <= 0 ? Effect.void : Effect.asVoid(Effect.timeoutOption(this.wakeup.await, wait))
    })
  }
}

/** Runs the race to its one result. The copies that still run are the caller's to end. */
const decide = Effect.fnUntraced(function* <A, R>(
  race: Race<A, R>,
  call: Call,
  { budget, latencies }: Options
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
      if (last !== undefined && RetryLoop.timedOutUnsent(error.value))
        return yield* RetryLoop.withHistory(call, last, "deadline")
      last = error.value
      if (yield* race.onFailure(copy, last, now)) return yield* RetryLoop.withHistory(call, last, race.closed!)
    }
    race.wakeup.closeUnsafe()
    if (race.over) return yield* RetryLoop.withHistory(call, last!, race.closed ?? "attempts")
    yield* race.nextEvent
    const now = Deadline.nowUnsafe(call.clock)
    if (race.due <= now && read === race.ended.length) yield* race.sendMore(now)
  }
})

/** Runs a call as the copies that the policy asks for and the budget allows. The call takes over the state of the winner. */
export const run = <A, R>(
  attempts: Attempts<A, R>,
  call: Call,
  options: Options
): Effect.Effect<A, RpcError.RpcError, R> =>
  Effect.suspend(() => {
    const race = new Race(attempts, call, options)
    /** Discards the results that lost, also those that arrived during the cancellation. */
    const discardOthers = (result: A | undefined) =>
      Effect.suspend(() =>
        Effect.forEach(
          race.ended,
          ({ exit }) => (Exit.isSuccess(exit) && exit.value !== result ? attempts.discard(exit.value) : Effect.void),
          { discard: true }
        )
      )
    return Effect.onExit(decide(race, call, options), (exit) =>
      Effect.andThen(Scope.close(race.scope, Exit.void), discardOthers(Exit.isSuccess(exit) ? exit.value : undefined))
    )
  })
