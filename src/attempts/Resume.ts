/**
 * Resuming a server stream that broke.
 *
 * A call that has delivered messages is not retried by itself: only the caller knows how to request the rest. Given a
 * function from the request and the last message to the next request, a stream continues as if it had not broken.
 *
 * Delivered messages are not requested again, the next call is made only when the reader pulls, and one deadline bounds all
 * calls. A message is progress: the policy's delays and attempts restart after it. The retries that the client itself makes
 * before a call begins continue the same run of the policy, so no delay is repeated and no attempt is counted twice. A total
 * timeout (`Retry.totalTimeout`) counts from the first call.
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
 * How to resume.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<I, O> {
  /** The request for the messages after the last one; `undefined` if there is none. */
  readonly next: (request: I, last: O) => I | undefined
  /**
   * Whether and when to resume, instead of the client's own policy. Default: the policy of the context. Without one a
   * broken stream fails, and only the client's retries before the first message remain.
   */
  readonly policy?: Retry.RetryPolicy | undefined
}

/**
 * What a client attaches to its methods: its retry budget, and the policy of the method.
 *
 * @internal
 */
export interface Origin {
  readonly budget: RetryBudget.RetryBudget
  readonly policy: MethodPolicy.MethodPolicy | undefined
}

/** The property of a method that holds its origin. @internal */
export const origin: unique symbol = Symbol.for("trunkline/attempts/Resume/origin")

interface Source<in I, out O, out R> {
  (request: I): Stream.Stream<O, RpcError.RpcError, R>
  readonly [origin]?: Origin | undefined
}

type Chunk<O> = readonly [O, ...Array<O>]

/** What holds for every call of a resumed stream. */
interface Settings<in out I, in out O, out R> {
  readonly source: Source<I, O, R>
  readonly next: Options<I, O>["next"]
  readonly clock: Clock.Clock
  readonly deadline: Deadline.Deadline
  readonly budget: RetryBudget.RetryBudget
  /** Whether a call that may have run can be repeated. */
  readonly repeatable: boolean
  /** Whether there is a policy for resuming, or only the client's. */
  readonly hasPolicy: boolean
  readonly run: PolicyRun
}

/** The call that is being read. */
interface OpenCall<out O, out R> {
  readonly scope: Scope.Closeable
  readonly pull: Pull.Pull<Chunk<O>, RpcError.RpcError, void, R>
}

/** One stream, over as many calls as it takes. */
class ResumedStream<in out I, in out O, out R> {
  readonly #settings: Settings<I, O, R>
  readonly #outer: Scope.Scope
  #request: I
  #open: OpenCall<O, R> | undefined
  /** The last message of the call that is being read. */
  #last: { readonly message: O } | undefined
  #error: RpcError.RpcError | undefined
  #attempts: ReadonlyArray<RpcError.Attempt> = []

  constructor(settings: Settings<I, O, R>, outer: Scope.Scope, request: I) {
    this.#settings = settings
    this.#outer = outer
    this.#request = request
  }

  readonly pull: Pull.Pull<Chunk<O>, RpcError.RpcError, void, R> = Effect.suspend(() =>
    Effect.catchTag(
      Effect.map(this.#open === undefined ? this.#begin() : this.#open.pull, (chunk) => {
        this.#last = { message: chunk.at(-1)! }
        this.#settings.run.restart()
        return chunk
      }),
      "RpcError",
      (error) => Effect.andThen(this.#recover(error), this.pull)
    )
  )

  /** Makes the next call, with the shared run of the policy and the shared deadline. */
  #begin(): Pull.Pull<Chunk<O>, RpcError.RpcError, void, R> {
    const { deadline, hasPolicy, run, source } = this.#settings
    const calls = Stream.provideService(source(this.#request), Deadline.Current, deadline)
    const stream = hasPolicy ? Stream.provideService(calls, Retry.Current, run.continued()) : calls
    return Effect.flatMap(Scope.fork(this.#outer), (scope) =>
      Effect.flatMap(Scope.provide(Stream.toPull(stream), scope), (pull) => {
        this.#open = { scope, pull }
        return pull
      })
    )
  }

  /** Closes the call that failed, and waits for the delay before the next one. */
  readonly #recover = Effect.fnUntraced({ self: this }, function* (error: RpcError.RpcError) {
    const { clock, deadline } = this.#settings
    const open = this.#open
    this.#open = undefined
    if (open !== undefined) yield* Scope.close(open.scope, Exit.void)
    if (this.#error !== undefined && RetryLoop.timedOutUnsent(error))
      return yield* this.#finalError(this.#error, "deadline")
    this.#error = error
    const decision = yield* this.#decide(error)
    const delayMillis = typeof decision === "string" ? 0 : decision
    this.#attempts = [...this.#attempts, ...error.attempts]
    if (typeof decision === "string") return yield* this.#finalError(error, decision)
    this.#attempts = this.#attempts.map((attempt, i) =>
      i === this.#attempts.length - 1 ? { ...attempt, delayMillis } : attempt
    )
    yield* Effect.sleep(Duration.millis(decision))
    // A sleep may end late.
    if (Deadline.nowUnsafe(clock) >= deadline) return yield* this.#finalError(error, "deadline")
  })

  #finalError(error: RpcError.RpcError, stopped: RpcError.Stopped): RpcError.RpcError {
    return RpcError.annotate(error, { attempts: this.#attempts, stopped })
  }

  /** Milliseconds to wait after an error, or why the stream ends with it. */
  readonly #decide = Effect.fnUntraced(
    { self: this },
    function* (error: RpcError.RpcError): Effect.fn.Return<RetryDecision.RetryDecision> {
      const { budget, clock, deadline, run } = this.#settings
      // The client's own retries have already asked the policy.
      if (error.stopped !== undefined && error.stopped !== "committed") return error.stopped
      if (error.progress === "dropped") return "not_retryable"
      const wall = clock.currentTimeMillisUnsafe()
      const delay = yield* run.step(wall, error)
      if (delay === undefined) return yield* RetryDecision.whyStopped(run.policy, error, wall)
      const refused = this.#advance(error)
      if (refused !== undefined) return refused
      const now = Deadline.nowUnsafe(clock)
      if (now + delay >= deadline) return "deadline"
      return budget.withdraw(now) ? delay : "budget"
    }
  )

  /** Moves on to the next request, or returns why there is none. */
  #advance(error: RpcError.RpcError): RpcError.Stopped | undefined {
    const last = this.#last
    this.#last = undefined
    if (last === undefined) {
      return this.#settings.repeatable || !RetryDecision.mayHaveRun(error) ? undefined : "not_idempotent"
    }
    const rest = this.#settings.next(this.#request, last.message)
    if (rest === undefined) return "committed"
    this.#request = rest
    return undefined
  }
}

/** Starts a resumed stream, with the deadline, the policy and the budget of the context it runs in. */
const start = Effect.fnUntraced(function* <I, O, R>(source: Source<I, O, R>, options: Options<I, O>, request: I) {
  const clock = yield* Clock.Clock
  const from = source[origin]
  const { deadlineMillis, idempotent } = MethodPolicy.applyTo(yield* CallOptions.Current, from?.policy)
  const since = Deadline.nowUnsafe(clock)
  const policy = options.policy ?? (yield* Retry.Current)
  const settings: Settings<I, O, R> = {
    source,
    next: options.next,
    clock,
    deadline: Math.min(yield* Deadline.Current, since + deadlineMillis),
    budget: from?.budget ?? (yield* RetryBudget.Current) ?? RetryBudget.infinite,
    repeatable: idempotent !== false,
    hasPolicy: policy !== undefined,
    run: new PolicyRun(policy ?? Retry.none, clock, since)
  }
  return Stream.fromPull(Effect.succeed(new ResumedStream(settings, yield* Effect.scope, request).pull))
})

/**
 * Makes a method whose streams resume after they broke.
 *
 * The next request is made from the previous one and the last delivered message; a call that broke before its first message
 * is repeated. The stream fails with its last error when the policy stops, the deadline leaves no time for another call, or
 * the retry budget is used up.
 *
 * For a method of a client, the budget is the client's and the method's service config applies. A function that wraps such a
 * method is not recognized as one; then the budget is the context's, if it has one.
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
      Stream.unwrap(start(self, options, request))
)
