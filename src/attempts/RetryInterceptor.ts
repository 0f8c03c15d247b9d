/**
 * The attempts of calls, as an interceptor: where a client's policies meet.
 *
 * A call is tried once, or hedged, or retried. What the call says of itself wins over what its method's policy says, and
 * that wins over the client. A call that succeeds at first costs a look at whether it is hedged and a note to the budget.
 */
import { Cause, Effect, type Fiber } from "effect"
import type { Call } from "../call/Call.ts"
import type { Interceptor, Streaming, StreamResponse, Unary } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import { begin, type Begun, committed, start } from "./StartedStream.ts"
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

/** What one client knows of how its calls are tried. */
class Attempts {
  readonly budget: RetryBudget.RetryBudget
  readonly replays: RetryBuffer.Meter
  /** Whether calls may be hedged that do not ask for it themselves. */
  readonly hedges: boolean
  readonly #policies: ReadonlyMap<Method.Any, MethodPolicy>
  readonly #retry: Retry.RetryPolicy | undefined
  readonly #hedge: Hedge.Hedge | undefined
  /** Latencies belong to a method and, since calls may bring policies of their own, to who asks for them. */
  readonly #latencies = new WeakMap<Hedge.Hedge, Map<Method.Any, LatencyWindow>>()

  constructor(
    policies: ReadonlyMap<Method.Any, MethodPolicy>,
    retry: Retry.RetryPolicy | undefined,
    hedge: Hedge.Hedge | undefined,
    budget: RetryBudget.RetryBudget,
    replays: RetryBuffer.Meter
  ) {
    this.#policies = policies
    this.#retry = retry
    this.#hedge = hedge
    this.budget = budget
    this.hedges = hedge !== undefined || [...policies.values()].some((policy) => policy.hedge !== undefined)
    this.replays = replays
  }

  /** The policy of a call; one that the context gave the client too is the client's, not the call's own. */
  retry(fiber: AnyFiber, method: Method.Any): Retry.RetryPolicy {
    const own = fiber.getRef(Retry.Current)
    return (own !== this.#retry ? own : undefined) ?? this.#policies.get(method)?.retry ?? this.#retry ?? Retry.none
  }

  /** How a call is hedged, unless it is retried: what says one thing closer to the call wins. */
  hedge(fiber: AnyFiber, method: Method.Any, call: Call): Hedge.Hedge | undefined {
    const own = fiber.getRef(Hedge.Current)
    const hedge = own !== undefined && own !== this.#hedge ? own : this.#further(fiber, method)
    return hedge === undefined || hedge.maxAttempts < 2 || call.options.idempotent === false ? undefined : hedge
  }

  #further(fiber: AnyFiber, method: Method.Any): Hedge.Hedge | undefined {
    const policy = this.#policies.get(method)
    const hedge = policy?.hedge ?? (policy?.retry === undefined ? this.#hedge : undefined)
    if (hedge === undefined) return undefined
    const retry = fiber.getRef(Retry.Current)
    return retry === undefined || retry === this.#retry ? hedge : undefined
  }

  /** The call went well. */
  earn<A>(call: Call, response: A): A {
    this.budget.observe("success", call.start)
    return response
  }

  latencies(hedge: Hedge.Hedge, method: Method.Any): LatencyWindow | undefined {
    if (typeof hedge.after === "number") return undefined
    let byMethod = this.#latencies.get(hedge)
    if (byMethod === undefined) this.#latencies.set(hedge, (byMethod = new Map()))
    let latencies = byMethod.get(method)
    if (latencies === undefined) byMethod.set(method, (latencies = new LatencyWindow()))
    return latencies
  }
}

/** A call without time is not sent. */
const tooLate = (method: Method.Any) =>
  Effect.fail(
    RpcError.make("DEADLINE_EXCEEDED", "no time was left to begin", {
      method: method.path,
      stopped: "deadline",
      progress: "not_started"
    })
  )

const unary =
  (client: Attempts) =>
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
              RetryLoop.afterFailure(
                attempt,
                call,
                client.retry(fiber, method),
                client.budget,
                failure.error,
                Commitment.ofUnary(method, call)
              ),
              (response) => client.earn(call, response)
            )
          )
        },
        onSuccess: (response) => Effect.succeed(client.earn(call, response))
      })
    }
    return (method, request, call) => {
      if (call.attemptDeadline <= call.start) return tooLate(method)
      if (!client.hedges && !call.options.hedged) return retried(method, request, call)
      return Effect.withFiber((fiber) => {
        const hedge = client.hedge(fiber, method, call)
        if (hedge === undefined) return retried(method, request, call)
        const attempt = (copy: Call) => next(method, request, copy)
        const racer = { attempt, leave: () => Effect.void, committed: Commitment.ofUnary(method, call) }
        return HedgeRace.run(racer, call, hedge, client.budget, client.latencies(hedge, method))
      })
    }
  }

/** Begins a stream, and again as the call's policy says. */
const retried = <O, R>(
  client: Attempts,
  fiber: AnyFiber,
  method: Method.Any,
  call: Call,
  attempt: Effect.Effect<Begun<O>, RpcError.RpcError, R>,
  commitment: Commitment.Commitment = Commitment.begun
) =>
  Effect.catch(attempt, (error) =>
    RetryLoop.afterFailure(attempt, call, client.retry(fiber, method), client.budget, error, commitment)
  )

const stream =
  (client: Attempts) =>
  (next: Streaming): Streaming =>
  (method, requests, call) =>
    Effect.withFiber((fiber) => {
      if (call.attemptDeadline <= call.start) return tooLate(method)
      const caller = <O>({ response }: Begun<O>): StreamResponse<O> => committed(response, call, client.budget)
      // A transport that fails to start a stream has not touched its requests; one that has started has.
      if (method.kind !== "server_streaming") {
        return call.options.replayable
          ? RetryBuffer.run(next, method, requests, call, client.replays, (attempt, sealed) =>
              Effect.map(retried(client, fiber, method, call, attempt, Commitment.orSealed(sealed)), caller)
            )
          : Effect.map(retried(client, fiber, method, call, start(next(method, requests, call))), caller)
      }
      const hedge = client.hedge(fiber, method, call)
      if (hedge === undefined) {
        return Effect.map(retried(client, fiber, method, call, begin(next(method, requests, call))), caller)
      }
      const racer = {
        attempt: (copy: Call) => begin(next(method, requests, copy)),
        leave: <O>({ leave }: Begun<O>) => leave,
        committed: Commitment.begun
      }
      return Effect.map(HedgeRace.run(racer, call, hedge, client.budget, client.latencies(hedge, method)), caller)
    })

/**
 * Tries the calls of one client, with the policies of the context and of its methods. The budget is the context's or one
 * of its own.
 *
 * A server stream is tried again only until its server begins to answer. A call whose requests are a stream is tried again
 * until the first of them is taken, or, if it is `replayable`, until the answer begins or they are too many to keep.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  policies: ReadonlyMap<Method.Any, MethodPolicy>
): Effect.fn.Return<Interceptor> {
  const client = new Attempts(
    policies,
    yield* Retry.Current,
    yield* Hedge.Current,
    (yield* RetryBudget.Current) ?? (yield* RetryBudget.make()),
    new RetryBuffer.Meter(yield* RetryBuffer.Limits)
  )
  return { unary: unary(client), stream: stream(client) }
})
