/**
 * The cumulative counts of calls and failures of each endpoint, for error rates.
 */
import { Cause, Effect, Exit } from "effect"
import * as CallObserver from "../call/CallObserver.ts"
import type { Invoker } from "../call/Interceptor.ts"
import type { Code } from "../status/Code.ts"
import * as Outcome from "../status/Outcome.ts"
import type { RpcError } from "../status/RpcError.ts"
import type { CallCount } from "./ErrorRate.ts"

interface Counts {
  calls: number
  failures: number
  invoker: Invoker | undefined
  counted: Invoker | undefined
}

/** The calls of each endpoint by id. */
export class CallCounts {
  /** Whether calls are counted: a list has an error rate. */
  enabled = false
  readonly #failures: ReadonlySet<Code>
  readonly #byId = new Map<string, Counts>()

  constructor(failures: ReadonlyArray<Code>) {
    this.#failures = new Set(failures)
  }

  readonly of = (id: string): CallCount => {
    const { calls, failures } = this.#byId.get(id) ?? { calls: 0, failures: 0 }
    return { calls, failures }
  }

  /** Removes endpoints that no list names. */
  retain(named: ReadonlyMap<string, unknown>): void {
    for (const id of this.#byId.keys()) if (!named.has(id)) this.#byId.delete(id)
  }

  /** An invoker that counts its calls. A call its caller gave up says nothing. */
  counted(id: string, invoker: Invoker): Invoker {
    let counts = this.#byId.get(id)
    if (counts === undefined)
      this.#byId.set(id, (counts = { calls: 0, failures: 0, invoker: undefined, counted: undefined }))
    if (counts.invoker !== invoker || counts.counted === undefined) {
      counts.invoker = invoker
      counts.counted = this.#counting(counts, invoker)
    }
    return counts.counted
  }

  #counting(counts: Counts, invoker: Invoker): Invoker {
    const ended = (exit: Exit.Exit<unknown, RpcError>): void => {
      const failure = Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason) : undefined
      if (Exit.isFailure(exit) && failure === undefined) return
      // A call that this process cannot send or read tells nothing about the endpoint.
      if (failure !== undefined && failure.error.origin === "local" && Outcome.blamed(failure.error) === "caller")
        return
      counts.calls++
      if (failure !== undefined && this.#failures.has(failure.error.code)) counts.failures++
    }
    const onExit = (exit: Exit.Exit<unknown, RpcError>) => {
      ended(exit)
      return undefined
    }
    return {
      unary: (method, request, call) => Effect.onExitPrimitive(invoker.unary(method, request, call), onExit),
      stream: (method, requests, call) =>
        CallObserver.onStreamEnd(invoker.stream(method, requests, call), (exit) => Effect.sync(() => ended(exit)))
    }
  }
}
