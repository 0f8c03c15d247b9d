/**
 * Where a call of a multi-endpoint goes.
 *
 * To the current endpoint of its list, looked up when an attempt begins, so that a retry goes where calls go by then. A call
 * that finds nobody ready there does not wait for a backend that has been given up: when its list moves, so does the call.
 */
import { Effect, Option, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Invoker } from "../call/Interceptor.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Lists } from "./Lists.ts"
import type { EndpointPool } from "./EndpointPools.ts"
import type { Driver } from "./Driver.ts"

/**
 * The invoker of all lists. A call that names no list goes to the default one, and so does one that names a list there is
 * not if `unknownToDefault`.
 */
export const make = <R>(lists: Lists<R>, unknownToDefault: boolean): Invoker => {
  const { callCounts } = lists

  const listOf = ({ options: { multiEndpoint } }: Call): Driver | undefined =>
    lists.find(multiEndpoint) ?? (unknownToDefault ? lists.find(undefined) : undefined)

  const invokerOf = ({ invoker, endpoint }: EndpointPool): Invoker =>
    callCounts.enabled ? callCounts.counted(endpoint.id, invoker) : invoker

  const refuse = ({ options }: Call, method: string) => {
    const cause = lists.unknown(options.multiEndpoint!)
    return Effect.fail(RpcError.make("INVALID_ARGUMENT", cause.message, { cause, method, progress: "not_started" }))
  }

  /** Ends when calls go elsewhere and this one still has no peer. */
  const elsewhere = (list: Driver, pool: EndpointPool, call: Call): Effect.Effect<void> =>
    list.rerouted.changes.pipe(
      Stream.filter(() => call.peer === undefined && (listOf(call) !== list || lists.poolOf(list) !== pool)),
      Stream.runHead,
      Effect.asVoid
    )

  const onCurrent = <A, R>(
    method: string,
    call: Call,
    attempt: (invoker: Invoker) => Effect.Effect<A, RpcError.RpcError, R>
  ): Effect.Effect<A, RpcError.RpcError, R> =>
    Effect.suspend(() => {
      const list = listOf(call)
      if (list === undefined) return refuse(call, method)
      const pool = lists.poolOf(list)
      const here = attempt(invokerOf(pool))
      if (pool.isReady || call.options.whenNotReady === "fail") return here
      return Effect.flatMap(
        Effect.raceFirst(Effect.map(here, Option.some<A>), Effect.as(elsewhere(list, pool, call), Option.none<A>())),
        Option.match({ onNone: () => onCurrent(method, call, attempt), onSome: Effect.succeed })
      )
    })

  return {
    unary: (method, request, call) => onCurrent(method.path, call, (invoker) => invoker.unary(method, request, call)),
    stream: (method, requests, call) =>
      onCurrent(method.path, call, (invoker) => invoker.stream(method, requests, call))
  }
}
