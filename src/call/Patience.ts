/**
 * How long a call waits for what stands in front of it.
 *
 * A transport ends attempts at their deadline, but an interceptor that waits, for a token or for its turn, waits before
 * any attempt. Whatever it waits for ends with the call's deadline too, so that the deadline bounds the whole call.
 */
import { Effect } from "effect"
import * as RpcError from "../status/RpcError.ts"
import type { Call } from "./Call.ts"
import * as Deadline from "./Deadline.ts"

/** Ends a wait at the call's deadline. */
export const withinDeadline = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  call: Call,
  what: string
): Effect.Effect<A, E | RpcError.RpcError, R> =>
  call.deadline === Deadline.none
    ? self
    : Effect.timeoutOrElse(self, {
        duration: Math.max(0, call.deadline - Deadline.nowUnsafe(call.clock)),
        orElse: () => Effect.fail(RpcError.make("DEADLINE_EXCEEDED", `deadline exceeded while waiting for ${what}`))
      })
