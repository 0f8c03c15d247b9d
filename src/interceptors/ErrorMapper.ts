/**
 * What callers are told of a handler that did not succeed, where the default is not enough.
 *
 * By default a typed failure goes out as it is and anything else as `INTERNAL` without a word. A mapper sees the whole
 * cause first: it turns a program's own defects into statuses, and it is the place to report them.
 */
import { type Cause, Effect, Stream } from "effect"
import type { Interceptor } from "../call/Interceptor.ts"
import type { RpcError } from "../status/RpcError.ts"

/**
 * An interceptor for servers that asks `map` about every cause a handler ends with; `undefined` leaves it as it is.
 *
 * @example
 * import { Cause } from "effect"
 * import { ErrorMapper, RpcError } from "trunkline"
 *
 * class OutOfStock extends Error {}
 *
 * const mapper = ErrorMapper.make((cause) =>
 *   cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect instanceof OutOfStock)
 *     ? RpcError.make("RESOURCE_EXHAUSTED", "out of stock")
 *     : undefined
 * )
 *
 * @category interceptors
 * @since 0.1.0
 */
export const make = (map: (cause: Cause.Cause<RpcError>) => RpcError | undefined): Interceptor => {
  const mapped = (cause: Cause.Cause<RpcError>): Effect.Effect<never, RpcError> => {
    const error = map(cause)
    return error === undefined ? Effect.failCause(cause) : Effect.fail(error)
  }
  return {
    unary: (next) => (method, request, call) => Effect.catchCause(next(method, request, call), mapped),
    stream: (next) => (method, requests, call) =>
      next(method, requests, call).pipe(
        Effect.catchCause(mapped),
        Effect.map((response) => ({
          ...response,
          messages: Stream.catchCause(response.messages, (cause) => Stream.fromEffect(mapped(cause)))
        }))
      )
  }
}
