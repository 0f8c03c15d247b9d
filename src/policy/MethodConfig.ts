/**
 * The policy of the calls of one method, as gRPC's method config has it.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/service_config.md
 */
import { Duration } from "effect"
import type { CallOptions } from "../call/CallOptions.ts"
import type { Hedge } from "../retry/Hedge.ts"
import type { RetryPolicy } from "../retry/RetryPolicy.ts"

/**
 * What holds for the calls of one method. A method is retried or hedged; with both, it is hedged. This is the form that
 * every call reads, so its times are milliseconds, as in `CallOptions`; `MethodPolicy.make` takes durations.
 *
 * @category models
 * @since 0.1.0
 */
export interface MethodPolicy {
  /**
   * What the deadline and the sizes below are to a call that has its own: `bounds`, of which the smaller holds, as gRPC's
   * service config has it; or `defaults`, which the call's own replace, as GAPIC has it. Default `bounds`.
   */
  readonly limits?: "bounds" | "defaults" | undefined
  /** Milliseconds for the whole call. */
  readonly deadlineMillis?: number | undefined
  /** Milliseconds for the first attempt and how that grows, as in `CallOptions`, if the call has no such limit of its own. */
  readonly timeoutMillis?: number | undefined
  readonly timeoutMultiplier?: number | undefined
  readonly maxTimeoutMillis?: number | undefined
  readonly whenNotReady?: CallOptions["whenNotReady"]
  readonly retry?: RetryPolicy | undefined
  readonly hedge?: Hedge | undefined
  /** Bytes of the largest message to send and to receive. */
  readonly maxSendBytes?: number | undefined
  readonly maxReceiveBytes?: number | undefined
}

/**
 * A method's policy as a program writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Omit<MethodPolicy, "deadlineMillis" | "timeoutMillis" | "maxTimeoutMillis"> {
  /** For the whole call; `limits` says what it is to a call with its own deadline. Default none. */
  readonly deadline?: Duration.Input | undefined
  /** For the first attempt, if the call has no such limit of its own. Default none. */
  readonly timeout?: Duration.Input | undefined
  /** The bound of attempts whose timeout grows by `timeoutMultiplier`. Default none. */
  readonly maxTimeout?: Duration.Input | undefined
}

const millisOf = (input: Duration.Input | undefined): number | undefined =>
  input === undefined ? undefined : Duration.toMillis(input)

/** The policy of these options. */
export const make = ({ deadline, maxTimeout, timeout, ...options }: Options): MethodPolicy => ({
  ...options,
  deadlineMillis: millisOf(deadline),
  timeoutMillis: millisOf(timeout),
  maxTimeoutMillis: millisOf(maxTimeout)
})
