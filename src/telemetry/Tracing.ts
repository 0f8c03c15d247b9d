/**
 * Calls as spans.
 *
 * A call is a span, each of its attempts a child of it, and what a handler does a child of the attempt that asked for it,
 * on whatever machine. Clients and servers trace by themselves, as everything in Effect does: a call is traced when there is
 * a tracer, or when it is made inside of a span; otherwise it costs a look at the fiber. The interceptors here are those
 * that clients and servers have already.
 */
import { Config, Context, Effect, type Fiber, Layer, References, Stream, type Tracer } from "effect"
import type { Call } from "../call/Call.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import * as Outcome from "../status/Outcome.ts"
import * as RetryAfter from "../status/RetryAfter.ts"
import type * as RpcError from "../status/RpcError.ts"
import * as ErrorType from "./ErrorType.ts"
import * as CallObserver from "../call/CallObserver.ts"
import * as PickReason from "./PickReason.ts"
import * as Spans from "./Spans.ts"
import * as TraceContext from "./TraceContext.ts"

/**
 * What is traced.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Which methods are traced. Default all. */
  readonly when?: ((method: Method.Any) => boolean) | undefined
  /**
   * Whether a trace goes on in other processes: clients say which one a call belongs to, servers believe it. Default true;
   * false where the other side is a stranger.
   */
  readonly propagate?: boolean | undefined
}

/**
 * What the clients and servers of this context trace.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<Options>("trunkline/telemetry/Tracing", { defaultValue: () => ({}) })

/**
 * Says what clients and servers above this layer trace. Without it they trace everything, once there is a tracer.
 *
 * @example
 * import { Tracing } from "trunkline"
 *
 * const Traced = Tracing.layer({ when: (method) => method.service !== "grpc.health.v1.Health" })
 * const ToStrangers = Tracing.layer({ propagate: false })
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Current, options)

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))

type AnyFiber = Fiber.Fiber<unknown, unknown>

/**
 * Whether a call of this fiber is traced: there is a tracer, or a span to be part of.
 *
 * @category guards
 * @since 0.1.0
 */
export const isOn = ({ cache }: AnyFiber): boolean =>
  cache.tracerEnabled && (cache.tracer !== undefined || cache.span !== undefined)

/** Milliseconds the server asked to wait; negative if it asked not to be tried again. */
const pushbackOf = (error: RpcError.RpcError): number | undefined => {
  const said = RetryAfter.of(error)
  return said?.never === true ? -1 : said?.millis
}

/**
 * A span for each call, outside of its retries.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const calls = (target?: string): Interceptor => {
  const site = Spans.place("server", target)
  return CallObserver.inSpan((method, call) =>
    Effect.withFiber((fiber) =>
      Effect.map(
        Effect.makeSpan(Spans.nameOf(method), {
          kind: "client",
          attributes: { ...Spans.attributesOf(method), ...site }
        }),
        (span) => ({
          span,
          end: (end) => {
            const error = Spans.errorOf(end, call)
            Spans.annotate(span, {
              "trunkline.attempts": call.attempt,
              "trunkline.stopped": error?.stopped,
              "error.type": error && ErrorType.ofCall(error, call)
            })
            Spans.end(span, Spans.nowOf(fiber, call), end, error)
          }
        })
      )
    )
  )
}

/** What led to another attempt, on the span of its call. */
const tellParent = (fiber: AnyFiber, call: Call): void => {
  const parent = fiber.cache.span
  if (call.attemptType === "original" || parent?._tag !== "Span") return
  const last = call.attemptType === "retry" ? call.failedAttempts.at(-1) : undefined
  parent.event(call.attemptType, Spans.nowOf(fiber, call), {
    "previous-rpc-attempts": call.attempt - 1,
    ...(last && { "trunkline.failed_with": last.code, "trunkline.backoff_ms": last.delayMillis }),
    ...(last?.peer && { "trunkline.failed_on": last.peer })
  })
}

/** Writes which span an attempt is into its metadata, unless the caller wrote one. Returns what undoes it. */
const inject = (fiber: AnyFiber, call: Call, span: Tracer.Span): (() => void) => {
  const { options } = call
  if (TraceContext.isIn(options.metadata)) return () => {}
  const metadata = TraceContext.inject(options.metadata, span, fiber.getRef(TraceContext.State))
  call.options = { ...options, metadata }
  return () => {
    call.options = options
  }
}

/** What is known of an attempt when it has ended. */
const tellPeer = (fiber: AnyFiber, span: Tracer.Span, call: Call, picker: string | undefined): void => {
  const { attemptStart, peer, pickedAt } = call
  if (peer !== undefined) {
    const facts = { "trunkline.peer": peer, "trunkline.picker": picker, "trunkline.pick_reason": PickReason.of(call) }
    Spans.annotate(span, { ...facts, ...Spans.place("network.peer", peer) })
  }
  if (pickedAt === undefined || pickedAt <= attemptStart) return
  const waited = pickedAt - attemptStart
  span.attribute("trunkline.wait_ms", waited)
  const at = span.status.startTime + BigInt(Math.round(waited * 1e6))
  span.event("Delayed LB pick complete", fiber.getRef(References.TracerTimingEnabled) ? at : 0n)
}

/**
 * A span for each attempt, inside of retries. The attempt carries it to the server. `picker` is the name of what chooses
 * its peer, if anything does.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const attempts = (options?: Options, picker?: string): Interceptor =>
  CallObserver.inSpan((method, call) =>
    Effect.withFiber((fiber) => {
      tellParent(fiber, call)
      const attributes = {
        ...Spans.attributesOf(method),
        "previous-rpc-attempts": call.attempt - 1,
        "transparent-retry": call.attemptType === "transparent_retry",
        "grpc.attempt_type": call.attemptType
      }
      return Effect.map(Effect.makeSpan(`Attempt.${Spans.nameOf(method)}`, { kind: "client", attributes }), (span) => {
        const restore = (options?.propagate ?? true) ? inject(fiber, call, span) : () => {}
        return {
          span,
          end: (end) => {
            restore()
            const error = Spans.errorOf(end, call)
            tellPeer(fiber, span, call, picker)
            Spans.annotate(span, {
              "trunkline.pushback_ms": error && pushbackOf(error),
              "error.type": error && ErrorType.ofCall(error, call)
            })
            Spans.end(span, Spans.nowOf(fiber, call), end, error)
          }
        }
      })
    })
  )

/**
 * Whether a server says with this that it, and not its caller, is at fault, as OpenTelemetry counts it: a method that does not
 * exist is its fault too.
 */
const isFault = ({ code }: RpcError.RpcError): boolean =>
  Outcome.fromCode(code) === "failure" || code === "UNIMPLEMENTED"

/** A call as its server has it. */
interface Served extends Call {
  readonly remote?: string | undefined
}

const served = (believed: boolean) =>
  CallObserver.inSpan((method, call: Served) =>
    Effect.withFiber((fiber) => {
      const parent = believed ? TraceContext.parentOf(call.options.metadata) : undefined
      const attributes = {
        ...Spans.attributesOf(method),
        ...Spans.place("client", call.remote),
        ...Spans.place("network.peer", call.remote)
      }
      // A call is nobody's child but its caller's: not of the span that the server was started in.
      const origin = parent === undefined ? { root: true } : { parent }
      return Effect.map(
        Effect.makeSpan(Spans.nameOf(method), { kind: "server", attributes, ...origin }),
        (span): CallObserver.InSpan => ({
          span,
          end: (end) => {
            const error = Spans.errorOf(end, call)
            Spans.annotate(span, { "error.type": error && ErrorType.ofHandler(error, end) })
            Spans.end(span, Spans.nowOf(fiber, call), end, error, error !== undefined && isFault(error))
          }
        })
      )
    })
  )

/**
 * A span for each call a server has, as part of its caller's trace.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const server = (options?: Options): Interceptor => {
  const believed = options?.propagate ?? true
  const when = options?.when ?? (() => true)
  const traced = served(believed)
  const isTraced = (fiber: AnyFiber, method: Method.Any, call: Call): boolean =>
    (isOn(fiber) || (believed && TraceContext.isIn(call.options.metadata))) && when(method)
  /** What vendors added goes on with the calls that the handler makes. */
  const onward = (call: Call): string | undefined =>
    believed ? TraceContext.stateOf(call.options.metadata) : undefined
  return {
    unary: (next) => {
      const inSpan = traced.unary(next)
      return (method, request, call) =>
        Effect.withFiber((fiber) => {
          if (!isTraced(fiber, method, call)) return next(method, request, call)
          const state = onward(call)
          const handled = inSpan(method, request, call)
          return state === undefined ? handled : Effect.provideService(handled, TraceContext.State, state)
        })
    },
    stream: (next) => {
      const inSpan = traced.stream(next)
      return (method, requests, call) =>
        Effect.withFiber((fiber) => {
          if (!isTraced(fiber, method, call)) return next(method, requests, call)
          const state = onward(call)
          const handled = inSpan(method, requests, call)
          return state === undefined
            ? handled
            : Effect.map(Effect.provideService(handled, TraceContext.State, state), (response) => ({
                ...response,
                messages: Stream.provideService(response.messages, TraceContext.State, state)
              }))
        })
    }
  }
}
