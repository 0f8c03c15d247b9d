/**
 * A trace across processes: which span of another process a call belongs to, in its metadata.
 *
 * @see https://www.w3.org/TR/trace-context/
 */
import { Context, Predicate, Tracer } from "effect"
import type * as Metadata from "../call/Metadata.ts"

const parentKey = "traceparent"
const stateKey = "tracestate"

/**
 * What vendors of tracing add to a trace, to be passed on as it came.
 *
 * @category references
 * @since 0.1.0
 */
export const State = Context.Reference<string | undefined>("trunkline/telemetry/TraceContext/State", {
  defaultValue: () => undefined
})

/** Later versions begin like this one and may go on. */
const parent = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const zeros = /^0+$/

/** The one value of a key that came as text. */
const textOf = (metadata: Metadata.Metadata, key: string): string | undefined => {
  const values = metadata.get(key)?.filter(Predicate.isString)
  return values === undefined || values.length === 0 ? undefined : values.join(",")
}

/**
 * Whether a call says which trace it belongs to, or seems to.
 *
 * @category guards
 * @since 0.1.0
 */
export const isIn = (metadata: Metadata.Metadata): boolean => metadata.has(parentKey)

/**
 * The span a call belongs to. What is no trace context is no error: the call begins a trace of its own.
 *
 * @category getters
 * @since 0.1.0
 */
export const parentOf = (metadata: Metadata.Metadata): Tracer.ExternalSpan | undefined => {
  const [, version, traceId, spanId, flags, more] = parent.exec(textOf(metadata, parentKey) ?? "") ?? []
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined
  if (zeros.test(traceId) || zeros.test(spanId) || (version === "00" && more !== undefined)) return undefined
  return Tracer.externalSpan({ traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 })
}

/**
 * What vendors added to the trace a call belongs to.
 *
 * @category getters
 * @since 0.1.0
 */
export const stateOf = (metadata: Metadata.Metadata): string | undefined => textOf(metadata, stateKey)

/**
 * Metadata that says which span a call belongs to.
 *
 * @example
 * import { Tracer } from "effect"
 * import { Metadata, TraceContext } from "trunkline"
 *
 * const span = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16) })
 * const metadata = TraceContext.inject(Metadata.empty, span)
 * TraceContext.parentOf(metadata)?.spanId // => "bbbbbbbbbbbbbbbb"
 *
 * @category combinators
 * @since 0.1.0
 */
export const inject = (self: Metadata.Metadata, span: Tracer.AnySpan, state?: string): Metadata.Metadata => {
  const traceId = span.traceId.padStart(32, "0")
  const metadata = new Map(self).set(parentKey, [`00-${traceId}-${span.spanId}-${span.sampled ? "01" : "00"}`])
  return state === undefined ? metadata : metadata.set(stateKey, [state])
}
