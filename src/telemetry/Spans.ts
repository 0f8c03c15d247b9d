/**
 * What a span says of a call: OpenTelemetry's words for RPC (the stable ones), gRPC's own for attempts, and ours for what neither has.
 *
 * @see https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
 * @see https://github.com/grpc/proposal/blob/master/A72-open-telemetry-tracing.md
 */
import { Cause, Exit, type Fiber, References, type Tracer } from "effect"
import type { Call } from "../call/Call.ts"
import type * as Method from "../call/Method.ts"
import * as RpcError from "../status/RpcError.ts"
import type { End } from "../call/CallObserver.ts"

/** `package.Service/Method` */
export const nameOf = (method: Method.Any): string => method.path.slice(1)

export const attributesOf = (method: Method.Any): Readonly<Record<string, unknown>> => ({
  "rpc.system.name": "grpc",
  "rpc.method": nameOf(method)
})

const scheme = /^(?:unix:(?:\/\/)?|[a-z][a-z0-9+.-]*:\/+|(?:dns|ipv4|ipv6):)/
const hostAndPort = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/

/** An address under the names of a namespace: with its port, unless it is a list or something else that has none. */
export const place = (namespace: string, address: string | undefined): Readonly<Record<string, unknown>> => {
  if (address === undefined) return {}
  const bare = address.replace(scheme, "")
  const [, v6, host, port] = hostAndPort.exec(bare) ?? []
  return {
    [`${namespace}.address`]: v6 ?? host ?? bare,
    ...(port === undefined ? undefined : { [`${namespace}.port`]: Number(port) })
  }
}

/** Sets what is there. */
export const annotate = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [key, value] of Object.entries(attributes)) if (value !== undefined) span.attribute(key, value)
}

/** The time of spans, now; 0 where it is turned off. */
export const nowOf = (fiber: Fiber.Fiber<unknown, unknown>, call: Call): bigint =>
  fiber.getRef(References.TracerTimingEnabled) ? call.clock.currentTimeNanosUnsafe() : 0n

/** Why a call did not succeed, if so. */
export const errorOf = (end: End, call: Call): RpcError.RpcError | undefined =>
  Exit.isSuccess(end) ? undefined : RpcError.ofCall(end.cause, call)

/** Ends a span with the status of its call. An interruption is `CANCELLED`, which exporters would not say. */
export const end = (
  span: Tracer.Span,
  now: bigint,
  ended: End,
  error: RpcError.RpcError | undefined,
  isFault = true
): void => {
  span.attribute("rpc.response.status_code", error?.code ?? "OK")
  if (error === undefined || !isFault) return span.end(now, Exit.void)
  const isDefect = Exit.isFailure(ended) && Cause.hasDies(ended.cause)
  span.end(now, isDefect ? ended : Exit.fail(error))
}
