/**
 * The policy of a method, from its service config or from other configuration of its owner.
 *
 * A call's own options win over its method's policy, and that wins over the client's. Of two deadlines or sizes the smaller
 * holds, unless the policy calls its limits defaults. A client looks up the policy of each method once, when it is made.
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
export type { MethodPolicy, Options } from "./MethodConfig.ts"

/**
 * Makes the policy of a method.
 *
 * @example
 * import { MethodPolicy } from "trunkline"
 *
 * MethodPolicy.make({ deadline: "1.5 seconds" }).deadlineMillis // => 1500
 *
 * @category constructors
 * @since 0.1.0
 */
export { make } from "./MethodConfig.ts"

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
 *       ? MethodPolicy.make({ deadline: "1 second", retry: Retry.onCodes(["UNAVAILABLE"], Backoff.exponential()) })
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
  // The timeout of attempts and its growth come from one source.
  const attempts = options.timeoutMillis === Infinity ? policy : options
  const limit = policy.limits === "defaults" ? ownElse : smaller
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

/** The call's own limit, else its method's. `Infinity` is no limit. */
const ownElse = (own: number, ofMethod: number | undefined): number =>
  own === Infinity && ofMethod !== undefined ? ofMethod : own

const smaller = (own: number, ofMethod: number | undefined): number => Math.min(own, ofMethod ?? Infinity)
