/**
 * Where a call of a multi-endpoint goes.
 *
 * To the current endpoint of its list, looked up when an attempt begins, so that a retry goes where calls go by then. A call
 * that finds nobody ready there does not wait for a backend that has been given up: when its list moves, so does the call.
 */
import { Effect, Option, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import type { Arrows } from "../call/Interceptor.ts"
import * as RpcError from "../status/RpcError.ts"
import type { UnknownMultiEndpoint } from "./MultiEndpointError.ts"
import type { EndpointPool } from "./MultiEndpointPools.ts"
import type { Running } from "./MultiEndpointRunning.ts"

/** The lists there are, and what leads to their endpoints. */
export interface Directory {
  /** The list of a call; none if it names one there is not. */
  readonly listOf: (call: Call) => Running | undefined
  readonly poolOf: (list: Running) => EndpointPool
  readonly arrowsOf: (pool: EndpointPool) => Arrows
  readonly unknown: (name: string) => UnknownMultiEndpoint
}

/** The arrows of all lists. */
export const make = ({ arrowsOf, listOf, poolOf, unknown }: Directory): Arrows => {
  const refuse = ({ options }: Call, method: string) => {
    const cause = unknown(options.multiEndpoint!)
    return Effect.fail(RpcError.make("INVALID_ARGUMENT", cause.message, { cause, method, progress: "not_started" }))
  }

  /** Ends when calls go elsewhere and this one still has no peer. */
  const elsewhere = (list: Running, pool: EndpointPool, call: Call): Effect.Effect<void> =>
    list.moved.changes.pipe(
      Stream.filter(() => call.peer === undefined && (listOf(call) !== list || poolOf(list) !== pool)),
      Stream.runHead,
      Effect.asVoid
    )

  const onCurrent = <A, R>(
    method: string,
    call: Call,
    attempt: (arrows: Arrows) => Effect.Effect<A, RpcError.RpcError, R>
  ): Effect.Effect<A, RpcError.RpcError, R> =>
    Effect.suspend(() => {
      const list = listOf(call)
      if (list === undefined) return refuse(call, method)
      const pool = poolOf(list)
      const here = attempt(arrowsOf(pool))
      if (pool.isReady || call.options.whenNotReady === "fail") return here
      return Effect.flatMap(
        Effect.raceFirst(Effect.map(here, Option.some<A>), Effect.as(elsewhere(list, pool, call), Option.none<A>())),
        Option.match({ onNone: () => onCurrent(method, call, attempt), onSome: Effect.succeed })
      )
    })

  return {
    unary: (method, request, call) => onCurrent(method.path, call, (arrows) => arrows.unary(method, request, call)),
    stream: (method, requests, call) => onCurrent(method.path, call, (arrows) => arrows.stream(method, requests, call))
  }
}
