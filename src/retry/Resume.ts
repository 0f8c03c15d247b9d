/**
 * Going on with a stream that broke.
 *
 * A call that has delivered messages is not tried again by itself: nobody but the caller knows what the messages said and
 * how to ask for the rest. With a function from the request and the last message to the request for what comes after, a
 * stream goes on as if it had not broken.
 *
 * What is delivered is never asked for again, the next call is only made when the reader wants more, and one deadline
 * bounds all of them. A message is progress: after it the policy's delays and attempts start over.
 */
import { Clock, Duration, Effect, Exit, type Pull, Scope, Stream } from "effect"
import { dual } from "effect/Function"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import * as RpcError from "../status/RpcError.ts"
import * as MethodPolicy from "./MethodPolicy.ts"
import * as Retry from "./Retry.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as Verdict from "./Verdict.ts"

/**
 * How to go on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<I, O> {
  /** The request for what comes after the last message; `undefined` if there is no way to ask for it. */
  readonly next: (request: I, last: O) => I | undefined
  /** Whether and when. Default: the policy of the context; without one a broken stream stays broken. */
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
export const origin: unique symbol = Symbol.for("trunkline/retry/Resume/origin")

interface Source<in I, out O, out R> {
  (request: I): Stream.Stream<O, RpcError.RpcError, R>
  readonly [origin]?: Origin | undefined
}

type Chunk<O> = readonly [O, ...Array<O>]

/** One reading of the stream, over as many calls as it takes. */
const read = Effect.fnUntraced(function* <I, O, R>(source: Source<I, O, R>, options: Options<I, O>, request: I) {
  const clock = yield* Clock.Clock
  const from = source[origin]
  const { deadlineMillis } = MethodPolicy.applyTo(yield* CallOptions.Current, from?.policy)
  const since = Deadline.nowUnsafe(clock)
  const deadline = Math.min(yield* Deadline.Current, since + deadlineMillis)
  const policy = options.policy ?? (yield* Retry.Current) ?? Retry.none
  const budget = from?.budget ?? (yield* RetryBudget.Current) ?? RetryBudget.infinite
  const outer = yield* Effect.scope

  /** The call that is read now. */
  let open:
    | { readonly scope: Scope.Closeable; readonly pull: Pull.Pull<Chunk<O>, RpcError.RpcError, void, R> }
    | undefined
  let asked: I | undefined = request
  let last: { readonly message: O } | undefined
  let step: Verdict.Step | undefined
  let attempts: ReadonlyArray<RpcError.Attempt> = []

  /** Calls see the same policy until they begin, and end with what is left of the one deadline. */
  const call = Effect.fnUntraced(function* (request: I) {
    const scope = yield* Scope.fork(outer)
    const stream = source(request).pipe(
      Stream.provideService(Deadline.Current, deadline),
      Stream.provideService(Retry.Current, policy)
    )
    return { scope, pull: yield* Scope.provide(Stream.toPull(stream), scope) }
  })

  /** Milliseconds to wait after an error, or why the stream ends with it. */
  const decide = Effect.fnUntraced(function* (error: RpcError.RpcError): Effect.fn.Return<Verdict.Verdict> {
    // A call that stopped before it began has asked the policy itself.
    if (error.stopped !== undefined && error.stopped !== "committed") return error.stopped
    const wall = clock.currentTimeMillisUnsafe()
    step ??= yield* Verdict.start(policy, Deadline.nowUnsafe(clock) - since)
    const delay = yield* step(wall, error)
    if (delay === undefined) return yield* Verdict.whyStopped(policy, error, wall)
    if (last !== undefined) asked = options.next(asked!, last.message)
    if (asked === undefined) return "committed"
    const now = Deadline.nowUnsafe(clock)
    if (now + delay >= deadline) return "deadline"
    return budget.withdraw(now) ? delay : "budget"
  })

  const recover = Effect.fnUntraced(function* (error: RpcError.RpcError) {
    const { scope } = open!
    open = undefined
    yield* Scope.close(scope, Exit.void)
    const verdict = yield* decide(error)
    attempts = [...attempts, ...error.attempts]
    if (typeof verdict === "string") return yield* RpcError.annotate(error, { attempts, stopped: verdict })
    attempts = attempts.map((attempt, i) =>
      i === attempts.length - 1 ? { ...attempt, delayMillis: verdict } : attempt
    )
    last = undefined
    yield* Effect.sleep(Duration.millis(verdict))
  })

  const pull: Pull.Pull<Chunk<O>, RpcError.RpcError, void, R> = Effect.suspend(() =>
    open === undefined
      ? Effect.flatMap(call(asked!), (opened) => {
          open = opened
          return pull
        })
      : Effect.catchTag(
          Effect.map(open.pull, (chunk) => {
            last = { message: chunk.at(-1)! }
            step = undefined
            return chunk
          }),
          "RpcError",
          (error) => Effect.andThen(recover(error), pull)
        )
  )
  return Stream.fromPull(Effect.succeed(pull))
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
