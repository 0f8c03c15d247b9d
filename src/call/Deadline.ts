/**
 * When a call must be over.
 *
 * A deadline is an instant: milliseconds of the context's monotonic clock, `Infinity` for none. Users give durations,
 * which become instants when the call runs, so a call value run an hour later is not late.
 */
import { type Clock, Context, Duration, Effect } from "effect"
import * as RpcError from "../status/RpcError.ts"

/**
 * An instant in milliseconds of the monotonic clock; `Infinity` means none.
 *
 * @category models
 * @since 0.1.0
 */
export type Deadline = number

/**
 * No deadline.
 *
 * @category constants
 * @since 0.1.0
 */
export const none: Deadline = Infinity

/**
 * The deadline of the call being served. Calls made by its handler inherit the earlier of this and their own.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<Deadline>("trunkline/call/Deadline", { defaultValue: () => none })

/**
 * Now, in milliseconds of the monotonic clock. One reading is taken per event and handed down.
 *
 * @category clock
 * @since 0.1.0
 */
export const nowUnsafe = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/**
 * The instant a duration from now.
 *
 * @category constructors
 * @since 0.1.0
 */
export const after = (now: number, duration: Duration.Input): Deadline => now + Duration.toMillis(duration)

/**
 * Ends a wait at the call's deadline with DEADLINE_EXCEEDED; `purpose` says what the call waited for.
 *
 * A transport ends attempts at their deadline, but an interceptor that waits, for a token or for its turn, waits before
 * any attempt. That wait must end with the call's deadline too, so that the deadline bounds the whole call.
 *
 * @internal
 */
export const within = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  call: { readonly clock: Clock.Clock; readonly deadline: Deadline },
  purpose: string
): Effect.Effect<A, E | RpcError.RpcError, R> =>
  call.deadline === none
    ? self
    : Effect.timeoutOrElse(self, {
        duration: Math.max(0, call.deadline - nowUnsafe(call.clock)),
        orElse: () => Effect.fail(RpcError.make("DEADLINE_EXCEEDED", `deadline exceeded while waiting for ${purpose}`))
      })

/** The largest number of a timeout on the wire: eight digits. */
const maxTimeoutValue = 99_999_999

/**
 * The `grpc-timeout` header of a time left: at most eight digits and a unit, rounded up so that the server never gives
 * up first.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 * @category wire
 * @since 0.1.0
 */
export const toTimeoutHeader = (millis: number): string => {
  const micros = Math.max(0, Math.ceil(millis * 1000))
  if (micros <= maxTimeoutValue) return `${micros}u`
  const whole = Math.ceil(millis)
  if (whole <= maxTimeoutValue) return `${whole}m`
  const seconds = Math.ceil(millis / 1000)
  return seconds <= maxTimeoutValue ? `${seconds}S` : `${Math.min(maxTimeoutValue, Math.ceil(seconds / 3600))}H`
}

const units: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 }

/**
 * The milliseconds of a `grpc-timeout` header, or `undefined` if it is malformed.
 *
 * @category wire
 * @since 0.1.0
 */
export const fromTimeoutHeader = (header: string): number | undefined => {
  const match = /^(\d{1,8})([HMSmun])$/.exec(header)
  return match === null ? undefined : Number(match[1]) * units[match[2]!]!
}
