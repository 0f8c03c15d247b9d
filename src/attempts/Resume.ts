/**
 * Going on with a stream that broke.
 *
 * A call that has delivered messages is not tried again by itself: nobody but the caller knows what the messages said and
 * how to ask for the rest. With a function from the request and the last message to the request for what comes after, a
 * stream goes on as if it had not broken.
 *
 * What is delivered is never asked for again, the next call is only made when the reader wants more, and one deadline
 * bounds all of them. A message is progress: after it the policy's delays and attempts start over, once. Calls that are
 * tried again before they begin, as a client does by itself, go on with the same run of the policy: no delay comes twice and
 * no attempt is counted anew. The total time of a policy (`Retry.totalTimeout`) counts from the beginning of the reading.
 */
import { Clock, Duration, Effect, Exit, type Pull, Scope, Stream } from "effect"
import { dual } from "effect/Function"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import * as MethodPolicy from "../policy/MethodPolicy.ts"
import { PolicyRun } from "./PolicyRun.ts"
import * as Retry from "../retry/Retry.ts"
import * as RetryBudget from "../retry/RetryBudget.ts"
import * as RetryLoop from "./RetryLoop.ts"
import * as RetryDecision from "./RetryDecision.ts"

/**
 * How to go on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<I, O> {
  /** The request for what comes after the last message; `undefined` if there is no way to ask for it. */
  readonly next: (request: I, last: O) => I | undefined
  /**
   * Whether and when, in place of the client's own policy. Default: the policy of the context; without one a broken stream
   * stays broken, and its call is tried again before it begins as its client does it.
   */
  readonly policy?: Retry.RetryPolicy | undefined
}

/**
 * What a client says of a method it made: the budget it pays from, and what others decided of the method.
 *
 * @internal
 */
export interface Origin {
  readonly budget: RetryBudget.RetryBudget
  readonly policy: MethodPolicy.MethodPolicy | undefined
}

/** Where a method has its origin. @internal */
export const origin: unique symbol = Symbol.for("trunkline/attempts/Resume/origin")

interface Source<in I, out O, out R> {
  (request: I): Stream.Stream<O, RpcError.RpcError, R>
  readonly [origin]?: Origin | undefined
}

type Chunk<O> = readonly [O, ...Array<O>]

/** What a reading keeps to, from its first call to its last. */
interface Terms<in out I, in out O, out R> {
  readonly source: Source<I, O, R>
  readonly next: Options<I, O>["next"]
  readonly clock: Clock.Clock
  readonly deadline: Deadline.Deadline
  readonly budget: RetryBudget.RetryBudget
  /** Whether a call that may have run can be made again as it was. */
  readonly repeatable: boolean
  /** Whether the reading has a policy, or leaves its calls to that of their client. */
  readonly own: boolean
  readonly run: PolicyRun
}

/** The call that is read now. */
interface Open<out O, out R> {
  readonly scope: Scope.Closeable
  readonly pull: Pull.Pull<Chunk<O>, RpcError.RpcError, void, R>
}

/** One reading of a stream, over as many calls as it takes. */
class Reading<in out I, in out O, out R> {
  readonly #terms: Terms<I, O, R>
  readonly #outer: Scope.Scope
  #asked: I
  #open: Open<O, R> | undefined
  /** The last message of the call that is read. */
  #last: { readonly message: O } | undefined
  #error: RpcError.RpcError | undefined
  #attempts: ReadonlyArray<RpcError.Attempt> = []

  constructor(terms: Terms<I, O, R>, outer: Scope.Scope, request: I) {
    this.#terms = terms
    this.#outer = outer
    this.#asked = request
  }

  readonly pull: Pull.Pull<Chunk<O>, RpcError.RpcError, void, R> = Effect.suspend(() =>
    Effect.catchTag(
      Effect.map(this.#open === undefined ? this.#begin() : this.#open.pull, (chunk) => {
        this.#last = { message: chunk.at(-1)! }
        this.#terms.run.startOver()
        return chunk
      }),
      "RpcError",
      (error) => Effect.andThen(this.#recover(error), this.pull)
    )
  )

  /** Makes the next call. Until it begins it goes on with the policy's run, and it ends with the one deadline. */
  #begin(): Pull.Pull<Chunk<O>, RpcError.RpcError, void, R> {
    const { deadline, own, run, source } = this.#terms
    const calls = Stream.provideService(source(this.#asked), Deadline.Current, deadline)
    const stream = own ? Stream.provideService(calls, Retry.Current, run.joined()) : calls
    return Effect.flatMap(Scope.fork(this.#outer), (scope) =>
      Effect.flatMap(Scope.provide(Stream.toPull(stream), scope), (pull) => {
        this.#open = { scope, pull }
        return pull
      })
    )
  }

  /** Leaves the call that failed, and waits until the next one is due. */
  readonly #recover = Effect.fnUntraced({ self: this }, function* (error: RpcError.RpcError) {
    const { clock, deadline } = this.#terms
    const open = this.#open
    this.#open = undefined
    if (open !== undefined) yield* Scope.close(open.scope, Exit.void)
    // That there was no time left to begin says less than what went wrong before.
    if (this.#error !== undefined && RetryLoop.neverTried(error)) return yield* this.#told(this.#error, "deadline")
    this.#error = error
    const verdict = yield* this.#decide(error)
    const delayMillis = typeof verdict === "string" ? 0 : verdict
    this.#attempts = [...this.#attempts, ...error.attempts]
    if (typeof verdict === "string") return yield* this.#told(error, verdict)
    this.#attempts = this.#attempts.map((attempt, i) =>
      i === this.#attempts.length - 1 ? { ...attempt, delayMillis } : attempt
    )
    yield* Effect.sleep(Duration.millis(verdict))
    // A sleep may end late.
    if (Deadline.nowUnsafe(clock) >= deadline) return yield* this.#told(error, "deadline")
  })

  #told(error: RpcError.RpcError, stopped: RpcError.Stopped): RpcError.RpcError {
    return RpcError.annotate(error, { attempts: this.#attempts, stopped })
  }

  /** Milliseconds to wait after an error, or why the stream ends with it. */
  readonly #decide = Effect.fnUntraced(
    { self: this },
    function* (error: RpcError.RpcError): Effect.fn.Return<RetryDecision.RetryDecision> {
      const { budget, clock, deadline, run } = this.#terms
      // A call that stopped before it began has asked the policy itself.
      if (error.stopped !== undefined && error.stopped !== "committed") return error.stopped
      if (error.progress === "dropped") return "not_retryable"
      const wall = clock.currentTimeMillisUnsafe()
      const delay = yield* run.step(wall, error)
      if (delay === undefined) return yield* RetryDecision.whyStopped(run.policy, error, wall)
      const refused = this.#goOn(error)
      if (refused !== undefined) return refused
      const now = Deadline.nowUnsafe(clock)
      if (now + delay >= deadline) return "deadline"
      return budget.withdraw(now) ? delay : "budget"
    }
  )

  /** Turns to what comes after the last message, or says why nothing can be asked for. */
  #goOn(error: RpcError.RpcError): RpcError.Stopped | undefined {
    const last = this.#last
    this.#last = undefined
    if (last === undefined) {
      return this.#terms.repeatable || !RetryDecision.mayHaveRun(error) ? undefined : "not_idempotent"
    }
    const rest = this.#terms.next(this.#asked, last.message)
    if (rest === undefined) return "committed"
    this.#asked = rest
    return undefined
  }
}

/** Begins a reading: its deadline, its policy and its budget are those of the place where it is run. */
const read = Effect.fnUntraced(function* <I, O, R>(source: Source<I, O, R>, options: Options<I, O>, request: I) {
  const clock = yield* Clock.Clock
  const from = source[origin]
  const { deadlineMillis, idempotent } = MethodPolicy.applyTo(yield* CallOptions.Current, from?.policy)
  const since = Deadline.nowUnsafe(clock)
  const policy = options.policy ?? (yield* Retry.Current)
  const terms: Terms<I, O, R> = {
    source,
    next: options.next,
    clock,
    deadline: Math.min(yield* Deadline.Current, since + deadlineMillis),
    budget: from?.budget ?? (yield* RetryBudget.Current) ?? RetryBudget.infinite,
    repeatable: idempotent !== false,
    own: policy !== undefined,
    run: new PolicyRun(policy ?? Retry.none, clock, since)
  }
  return Stream.fromPull(Effect.succeed(new Reading(terms, yield* Effect.scope, request).pull))
})

/**
 * Makes a method whose streams go on after they broke.
 *
 * The next request is made from the one before and the last message delivered; a call that broke before its first message is
 * made again as it was. A stream ends with its last error when the policy stops, the deadline cannot hold another call, or
 * the retry budget is used up.
 *
 * Of a method of a client the budget is the client's, and the deadline may be what a service config says of the method. A
 * function of one's own around it is not known to be a method; then the budget is that of the context, if it has one.
 *
 * @example
 * import { Stream } from "effect"
 * import { Backoff, Resume, Retry, RpcError } from "trunkline"
 *
 * // A source that breaks after every second number.
 * const numbers = (request: { readonly from: number }) =>
 *   Stream.concat(
 *     Stream.range(request.from, request.from + 1),
 *     Stream.fail(RpcError.make("UNAVAILABLE", "lost"))
 *   )
 * const unbroken = Resume.resumable(numbers, {
 *   next: (_, last: number) => ({ from: last + 1 }),
 *   policy: Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "1 milli" }))
 * })
 * const five = Stream.runCollect(Stream.take(unbroken({ from: 1 }), 5))
 *
 * @category combinators
 * @since 0.1.0
 */
export const resumable: {
  <I, O>(
    options: Options<I, O>
  ): <R>(
    self: (request: I) => Stream.Stream<O, RpcError.RpcError, R>
  ) => (request: I) => Stream.Stream<O, RpcError.RpcError, R>
  <I, O, R>(
    self: (request: I) => Stream.Stream<O, RpcError.RpcError, R>,
    options: Options<I, O>
  ): (request: I) => Stream.Stream<O, RpcError.RpcError, R>
} = dual(
  2,
  <I, O, R>(self: Source<I, O, R>, options: Options<I, O>) =>
    (request: I): Stream.Stream<O, RpcError.RpcError, R> =>
      Stream.unwrap(read(self, options, request))
)
