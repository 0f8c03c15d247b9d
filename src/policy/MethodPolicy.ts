/**
 * What somebody else decided about a method: its service config, or the defaults its owner generated.
 *
 * It stands between the call and the client: what a call says of itself wins over its method's policy, and that wins over
 * the client's. Of two deadlines or sizes the smaller holds, unless the policy calls its own defaults. Clients look each method up once, when they are made.
 */
import { Context, Layer } from "effect"
import type { CallOptions } from "../call/CallOptions.ts"
import type * as Method from "../call/Method.ts"
import type { MethodPolicy } from "./MethodConfig.ts"

/**
 * What a policy does, as text.
 *
 * @category explaining
 * @since 0.1.0
 */
export { explain } from "./PolicyText.ts"

/**
 * What holds for the calls of one method.
 *
 * @category models
 * @since 0.1.0
 */
export type { MethodPolicy } from "./MethodConfig.ts"

/**
 * The policies of methods.
 *
 * @category models
 * @since 0.1.0
 */
export interface MethodPolicies {
  readonly for: (method: Method.Any) => MethodPolicy | undefined
}

/**
 * The policies of the methods of clients made in this context; by default there are none.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<MethodPolicies>("trunkline/policy/MethodPolicy", {
  defaultValue: () => ({ for: () => undefined })
})

/**
 * The policies of the methods of the clients above this layer.
 *
 * @example
 * import { Backoff, MethodPolicy, Retry } from "trunkline"
 *
 * const Reads = MethodPolicy.layer({
 *   for: (method) =>
 *     method.idempotency === "no_side_effects"
 *       ? { deadlineMillis: 1000, retry: Retry.onCodes(["UNAVAILABLE"], Backoff.exponential()) }
 *       : undefined
 * })
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (policies: MethodPolicies): Layer.Layer<never> => Layer.succeed(Current, policies)

/**
 * The policies of some methods, each asked for once.
 *
 * @category getters
 * @since 0.1.0
 */
export const resolve = (
  policies: MethodPolicies,
  methods: Iterable<Method.Any>
): ReadonlyMap<Method.Any, MethodPolicy> => {
  const resolved = new Map<Method.Any, MethodPolicy>()
  for (const method of methods) {
    const policy = policies.for(method)
    if (policy !== undefined) resolved.set(method, policy)
  }
  return resolved
}

/**
 * A call's options with what its method's policy adds to them.
 *
 * @category combinators
 * @since 0.1.0
 */
export const applyTo = (options: CallOptions, policy: MethodPolicy | undefined): CallOptions => {
  if (policy === undefined) return options
  // The time of attempts and its growth are said together.
  const attempts = options.timeoutMillis === Infinity ? policy : options
  const limit = policy.limits === "defaults" ? own : smaller
  return {
    ...options,
    deadlineMillis: limit(options.deadlineMillis, policy.deadlineMillis),
    timeoutMillis: attempts.timeoutMillis ?? Infinity,
    timeoutMultiplier: attempts.timeoutMultiplier ?? 1,
    maxTimeoutMillis: attempts.maxTimeoutMillis ?? Infinity,
    whenNotReady: options.whenNotReady ?? policy.whenNotReady,
    maxSendBytes: limit(options.maxSendBytes, policy.maxSendBytes),
    maxReceiveBytes: limit(options.maxReceiveBytes, policy.maxReceiveBytes)
  }
}

/** `Infinity` is a call that says nothing. */
const own = (said: number, otherwise: number | undefined): number =>
  said === Infinity && otherwise !== undefined ? otherwise : said

const smaller = (said: number, otherwise: number | undefined): number => Math.min(said, otherwise ?? Infinity)
