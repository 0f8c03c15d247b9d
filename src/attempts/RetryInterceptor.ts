/**
 * The attempts of calls, as an interceptor: applies the retry and hedging policies of a client.
 *
 * A call is sent once, hedged, or retried. The call's own policy wins over its method's policy, and that over the client's.
 * A call that succeeds at first costs a check for hedging and one observation of the budget.
 */
import { Cause, Effect, type Fiber } from "effect"
import type { Call } from "../call/Call.ts"
import type { Interceptor, Streaming, StreamResponse, Unary } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import { commit, start, startAndAwaitHeaders, type StartedStream } from "./StartedStream.ts"
import * as Commitment from "./Commitment.ts"
import * as Hedge from "../retry/Hedge.ts"
import * as HedgeRace from "./HedgeRace.ts"
import { LatencyWindow } from "./LatencyWindow.ts"
import type { MethodPolicy } from "../policy/MethodPolicy.ts"
import * as RetryBuffer from "./RetryBuffer.ts"
import * as Retry from "../retry/Retry.ts"
import * as RetryBudget from "../retry/RetryBudget.ts"
import * as RetryLoop from "./RetryLoop.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/** The policies of one client, and the state its calls share. */
class ClientAttempts {
  readonly budget: RetryBudget.RetryBudget
  readonly buffers: RetryBuffer.Usage
  /** Whether calls may be hedged that have no hedging policy of their own. */
  readonly hedges: boolean
  readonly #policies: ReadonlyMap<Method.Any, MethodPolicy>
  readonly #retry: Retry.RetryPolicy | undefined
  readonly #hedge: Hedge.Hedge | undefined
  /** By hedging policy, since calls may bring their own, and by method. */
  readonly #latencies = new WeakMap<Hedge.Hedge, Map<Method.Any, LatencyWindow>>()

  constructor(
    policies: ReadonlyMap<Method.Any, MethodPolicy>,
    {
      budget,
      buffers,
      hedge,
      retry
    }: {
      readonly retry: Retry.RetryPolicy | undefined
      readonly hedge: Hedge.Hedge | undefined
      readonly budget: RetryBudget.RetryBudget
      readonly buffers: RetryBuffer.Usage
    }
  ) {
    this.#policies = policies
    this.#retry = retry
    this.#hedge = hedge
    this.budget = budget
    this.hedges = hedge !== undefined || [...policies.values()].some((policy) => policy.hedge !== undefined)
    this.buffers = buffers
  }

  /** The policy of a call. A policy in the context that the client was made with is the client's, not the call's own. */
  retry(fiber: AnyFiber, method: Method.Any): Retry.RetryPolicy {
    const own = fiber.getRef(Retry.Current)
    return (own !== this.#retry ? own : undefined) ?? this.#policies.get(method)?.retry ?? this.#retry ?? Retry.none
  }

  /** How a call is hedged, if at all. Between a retry policy and a hedging policy, the one closer to the call wins. */
  hedge(fiber: AnyFiber, method: Method.Any, call: Call): Hedge.Hedge | undefined {
    const own = fiber.getRef(Hedge.Current)
    const hedge = own !== undefined && own !== this.#hedge ? own : this.#inherited(fiber, method)
    return hedge === undefined || hedge.maxAttempts < 2 || call.options.idempotent === false ? undefined : hedge
  }

  #inherited(fiber: AnyFiber, method: Method.Any): Hedge.Hedge | undefined {
    const policy = this.#policies.get(method)
    const hedge = policy?.hedge ?? (policy?.retry === undefined ? this.#hedge : undefined)
    if (hedge === undefined) return undefined
    const retry = fiber.getRef(Retry.Current)
    return retry === undefined || retry === this.#retry ? hedge : undefined
  }

  /** Reports the success of a call to the budget. */
  succeeded<A>(call: Call, response: A): A {
    this.budget.observe("success", call.start)
    return response
  }

  hedged(hedge: Hedge.Hedge, method: Method.Any): HedgeRace.Options {
    return { hedge, budget: this.budget, latencies: this.#latenciesOf(hedge, method) }
  }

  #latenciesOf(hedge: Hedge.Hedge, method: Method.Any): LatencyWindow | undefined {
    if (typeof hedge.after === "number") return undefined
    let byMethod = this.#latencies.get(hedge)
    if (byMethod === undefined) this.#latencies.set(hedge, (byMethod = new Map()))
    let latencies = byMethod.get(method)
    if (latencies === undefined) byMethod.set(method, (latencies = new LatencyWindow()))
    return latencies
  }
}

/** The error of a call whose deadline has passed before it is sent. */
const deadlineExceeded = (method: Method.Any) =>
  Effect.fail(
    RpcError.make("DEADLINE_EXCEEDED", "the deadline had passed before the call was sent", {
      method: method.path,
      stopped: "deadline",
      progress: "not_started"
    })
  )

const unary =
  (client: ClientAttempts) =>
  (next: Unary): Unary => {
    const retried: Unary = (method, request, call) => {
      const attempt = next(method, request, call)
      return Effect.matchCauseEffect(attempt, {
        onFailure: (cause) => {
          const failure = cause.reasons.find(Cause.isFailReason)
          // A defect or an interruption is never retried, whatever failed beside it.
          if (failure === undefined || cause.reasons.length > 1) return Effect.failCause(cause)
          return Effect.withFiber((fiber) =>
            Effect.map(
              RetryLoop.afterFailure(attempt, call, {
                policy: client.retry(fiber, method),
                budget: client.budget,
                commitment: Commitment.ofUnary(method, call),
                firstError: failure.error
              }),
              (response) => client.succeeded(call, response)
            )
          )
        },
        onSuccess: (response) => Effect.succeed(client.succeeded(call, response))
      })
    }
    return (method, request, call) => {
      if (call.attemptDeadline <= call.start) return deadlineExceeded(method)
      if (!client.hedges && !call.options.hedged) return retried(method, request, call)
      return Effect.withFiber((fiber) => {
        const hedge = client.hedge(fiber, method, call)
        if (hedge === undefined) return retried(method, request, call)
        const attempts = {
          run: (copy: Call) => next(method, request, copy),
          discard: () => Effect.void,
          commitment: Commitment.ofUnary(method, call)
        }
        return HedgeRace.run(attempts, call, client.hedged(hedge, method))
      })
    }
  }

const stream =
  (client: ClientAttempts) =>
  (next: Streaming): Streaming =>
  (method, requests, call) =>
    Effect.withFiber((fiber) => {
      if (call.attemptDeadline <= call.start) return deadlineExceeded(method)
      const { budget } = client
      const committed = <O>({ response }: StartedStream<O>): StreamResponse<O> => commit(response, call, budget)
      /** Starts the stream, and retries that by the policy of the call. */
      const retried = <O, R>(
        attempt: Effect.Effect<StartedStream<O>, RpcError.RpcError, R>,
        commitment: Commitment.Commitment = Commitment.onHeaders
      ) =>
        Effect.map(
          Effect.catch(attempt, (firstError) => {
            const policy = client.retry(fiber, method)
            return RetryLoop.afterFailure(attempt, call, { policy, budget, commitment, firstError })
          }),
          committed
        )
      // A transport that fails to start a stream has not read its requests; one that has started may have.
      if (method.kind !== "server_streaming") {
        return call.options.replayable
          ? RetryBuffer.run(next, method, { requests, call, usage: client.buffers }, (attempt, sealed) =>
              retried(attempt, Commitment.onHeadersOrSealed(sealed))
            )
          : retried(start(next(method, requests, call)))
      }
      const hedge = client.hedge(fiber, method, call)
      if (hedge === undefined) return retried(startAndAwaitHeaders(next(method, requests, call)))
      const attempts = {
        run: (copy: Call) => startAndAwaitHeaders(next(method, requests, copy)),
        discard: <O>({ discard }: StartedStream<O>) => discard,
        commitment: Commitment.onHeaders
      }
      return Effect.map(HedgeRace.run(attempts, call, client.hedged(hedge, method)), committed)
    })

/**
 * Makes the attempts of the calls of one client, by the policies of the context and of its methods. The budget is the
 * context's, else a new one.
 *
 * A server stream is retried until its server begins to answer. A call whose requests are a stream is retried until its
 * first request is read, or, if the call is `replayable`, until the answer begins or the requests exceed the buffer.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  policies: ReadonlyMap<Method.Any, MethodPolicy>
): Effect.fn.Return<Interceptor> {
  const client = new ClientAttempts(policies, {
    retry: yield* Retry.Current,
    hedge: yield* Hedge.Current,
    budget: (yield* RetryBudget.Current) ?? (yield* RetryBudget.make()),
    buffers: new RetryBuffer.Usage(yield* RetryBuffer.Limits)
  })
  return { unary: unary(client), stream: stream(client) }
})
