/**
 * What a retry policy is: a plain `Schedule` over `RpcError`.
 */
import type { Schedule } from "effect"
import type { RpcError } from "../status/RpcError.ts"

/**
 * Continues with a delay or stops, for each error.
 *
 * @category models
 * @since 0.1.0
 */
export type RetryPolicy = Schedule.Schedule<unknown, RpcError>
