/**
 * Calls as numbers.
 *
 * Metrics are off until a layer turns them on; a client or a server that is made without it has nothing of them in front
 * of its calls. With it, each call and each attempt is counted where it begins and measured where it ends, whatever ended
 * it, so that the numbers add up. The metrics of a method are made once and found by its path, and a method that no service
 * has named is `other`, so that nobody can make up labels.
 */
import { Context, Effect, Exit, Layer, Metric } from "effect"
import type { Call, AttemptCounts } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Interceptor } from "../call/Interceptor.ts"
import type * as Method from "../call/Method.ts"
import type * as Code from "../status/Code.ts"
import * as RpcError from "../status/RpcError.ts"
import * as MetricDefinitions from "./MetricDefinitions.ts"
import * as CallObserver from "../call/CallObserver.ts"

/**
 * How to measure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The label of a target. Default as it is, which is a label for each address where targets are addresses. */
  readonly target?: ((target: string) => string) | undefined
}

/**
 * How the clients, servers and pools of this context are measured, if they are.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = Context.Reference<Options | undefined>("trunkline/telemetry/Metrics", {
  defaultValue: () => undefined
})

/**
 * Measures the clients, servers and pools above this layer.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, Client, Metrics, RoundRobin, Service, StaticDiscovery } from "trunkline"
 * import { GrpcJsConnector } from "trunkline/grpc-js"
 *
 * class Echo extends Client.Service<Echo>()("app/Echo", Service.make("demo.Echo", {})) {}
 *
 * const EchoLive = Echo.layer.pipe(
 *   Layer.provide(Balancer.layer({ discovery: StaticDiscovery.make(["a:50051"]), picker: RoundRobin.make() })),
 *   Layer.provide(GrpcJsConnector.layer()),
 *   Layer.provide(Metrics.layer())
 * )
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never> => Layer.succeed(Current, options)

/** What methods and targets are called that have no name of their own. */
const other = "other"

/**
 * The label of a target.
 *
 * @category labels
 * @since 0.1.0
 */
export const targetLabel = (options: Options, target: string | undefined): string =>
  target === undefined ? other : (options.target?.(target) ?? target)

const labelOf = (method: Method.Any): string => method.path.slice(1)

const statusOf = (end: CallObserver.End, call: Call): Code.Status =>
  Exit.isSuccess(end) ? "OK" : RpcError.ofCall(end.cause, call).code

/** One thing for each of a method's status codes, made when the code first comes up. */
class ByStatus<A> {
  readonly #made = new Map<Code.Status, A>()
  readonly #make: (status: Code.Status) => A

  constructor(make: (status: Code.Status) => A) {
    this.#make = make
  }

  of(status: Code.Status): A {
    let made = this.#made.get(status)
    if (made === undefined) this.#made.set(status, (made = this.#make(status)))
    return made
  }
}

/** One thing for each method of a service, and one for all others. */
class ByMethod<A> {
  readonly others: A
  readonly #made = new Map<string, A>()

  constructor(methods: Iterable<Method.Any>, make: (label: string) => A) {
    for (const method of methods) this.#made.set(method.path, make(labelOf(method)))
    this.others = make(other)
  }

  of(method: Method.Any): A {
    return this.#made.get(method.path) ?? this.others
  }
}

type Registry = Context.Context<never>
type Histogram = Metric.Histogram<number>

/** What metrics read of the context with every update, and nothing else, so that they find it at once. */
const registryOf: Effect.Effect<Registry> = Effect.contextWith((context) =>
  Effect.succeed(
    Context.make(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)).pipe(
      Context.add(Metric.CurrentMetricAttributes, Context.get(context, Metric.CurrentMetricAttributes))
    )
  )
)

// ---------------------------------------------------------------------------------------------------------------------
// Clients
// ---------------------------------------------------------------------------------------------------------------------

/** The metrics of one method of a client. */
class ClientMethod {
  readonly registry: Registry
  readonly started: Metric.Counter<number>
  readonly retries: Histogram
  readonly hedges: Histogram
  readonly transparentRetries: Histogram
  readonly retryDelay: Histogram
  readonly call: ByStatus<Histogram>
  readonly attempt: ByStatus<{ readonly duration: Histogram; readonly sent: Histogram; readonly received: Histogram }>

  constructor(registry: Registry, method: string, target: string) {
    const labels = { "grpc.method": method, "grpc.target": target }
    this.registry = registry
    this.started = MetricDefinitions.attemptStarted(labels)
    this.retries = MetricDefinitions.callRetries(labels)
    this.hedges = MetricDefinitions.callHedges(labels)
    this.transparentRetries = MetricDefinitions.callTransparentRetries(labels)
    this.retryDelay = MetricDefinitions.callRetryDelay(labels)
    this.call = new ByStatus((status) => MetricDefinitions.callDuration({ ...labels, "grpc.status": status }))
    this.attempt = new ByStatus((status) => {
      const ended = { ...labels, "grpc.status": status }
      return {
        duration: MetricDefinitions.attemptDuration(ended),
        sent: MetricDefinitions.attemptSent(ended),
        received: MetricDefinitions.attemptReceived(ended)
      }
    })
  }
}

/** Holds the attempt counts of its call, too: one object a call is enough. */
class CallObservation implements CallObserver.Observation, AttemptCounts {
  retries = 0
  hedges = 0
  transparentRetries = 0
  active = 0
  idleSince = 0
  idleMillis = 0
  readonly #method: ClientMethod
  readonly #call: Call

  constructor(method: ClientMethod, call: Call) {
    this.#method = method
    this.#call = call
    call.attemptCounts = this
  }

  end(end: CallObserver.End): void {
    const method = this.#method
    const { registry } = method
    const millis = Deadline.nowUnsafe(this.#call.clock) - this.#call.start
    method.call.of(statusOf(end, this.#call)).updateUnsafe(millis / 1000, registry)
    const { hedges, idleMillis, retries, transparentRetries } = this
    if (retries + hedges + transparentRetries === 0) return
    if (retries > 0) method.retries.updateUnsafe(retries, registry)
    if (hedges > 0) method.hedges.updateUnsafe(hedges, registry)
    if (transparentRetries > 0) method.transparentRetries.updateUnsafe(transparentRetries, registry)
    method.retryDelay.updateUnsafe(idleMillis / 1000, registry)
  }
}

class AttemptObservation implements CallObserver.Observation {
  readonly #method: ClientMethod
  readonly #call: Call

  constructor(method: ClientMethod, call: Call) {
    this.#method = method
    this.#call = call
    method.started.updateUnsafe(1, method.registry)
    const { attemptStart, attemptType, attemptCounts } = call
    if (attemptCounts === undefined) return
    if (attemptType === "retry") attemptCounts.retries++
    else if (attemptType === "hedge") attemptCounts.hedges++
    else if (attemptType === "transparent_retry") attemptCounts.transparentRetries++
    if (attemptType !== "original" && attemptCounts.active === 0)
      attemptCounts.idleMillis += attemptStart - attemptCounts.idleSince
    attemptCounts.active++
  }

  end(end: CallObserver.End): void {
    const { attemptStart, clock, receivedBytes, sentBytes, attemptCounts } = this.#call
    const { attempt, registry } = this.#method
    const now = Deadline.nowUnsafe(clock)
    const { duration, received, sent } = attempt.of(statusOf(end, this.#call))
    duration.updateUnsafe((now - attemptStart) / 1000, registry)
    sent.updateUnsafe(sentBytes, registry)
    received.updateUnsafe(receivedBytes, registry)
    if (attemptCounts === undefined) return
    attemptCounts.active--
    attemptCounts.idleSince = now
  }
}

/**
 * What measures a client.
 *
 * @category models
 * @since 0.1.0
 */
export interface ForClient {
  /** Stands outside of retries. */
  readonly calls: Interceptor
  /** Stands inside of retries. */
  readonly attempts: Interceptor
}

/**
 * Measures the calls of these methods, as clients do by themselves when metrics are on.
 *
 * @category interceptors
 * @since 0.1.0
 */
export const client = Effect.fnUntraced(function* (
  methods: Iterable<Method.Any>,
  target: string
): Effect.fn.Return<ForClient> {
  const registry = yield* registryOf
  const metrics = new ByMethod(methods, (label) => new ClientMethod(registry, label, target))
  return {
    calls: CallObserver.interceptor((method, call) => new CallObservation(metrics.of(method), call)),
    attempts: CallObserver.interceptor((method, call) => new AttemptObservation(metrics.of(method), call))
  }
})

// ---------------------------------------------------------------------------------------------------------------------
// Servers
// ---------------------------------------------------------------------------------------------------------------------

/** The metrics of one method of a server. */
class ServerMethod {
  readonly registry: Registry
  readonly started: Metric.Counter<number>
  readonly served: ByStatus<{ readonly duration: Histogram; readonly sent: Histogram; readonly received: Histogram }>

  constructor(registry: Registry, method: string) {
    const labels = { "grpc.method": method }
    this.registry = registry
    this.started = MetricDefinitions.servedStarted(labels)
    this.served = new ByStatus((status) => {
      const ended = { ...labels, "grpc.status": status }
      return {
        duration: MetricDefinitions.servedDuration(ended),
        sent: MetricDefinitions.servedSent(ended),
        received: MetricDefinitions.servedReceived(ended)
      }
    })
  }

  end(status: Code.Status, seconds: number, sentBytes: number, receivedBytes: number): void {
    const { duration, received, sent } = this.served.of(status)
    duration.updateUnsafe(seconds, this.registry)
    sent.updateUnsafe(sentBytes, this.registry)
    received.updateUnsafe(receivedBytes, this.registry)
  }
}

class ServedObservation implements CallObserver.Observation {
  readonly #method: ServerMethod
  readonly #call: Call

  constructor(method: ServerMethod, call: Call) {
    this.#method = method
    this.#call = call
    method.started.updateUnsafe(1, method.registry)
  }

  end(end: CallObserver.End): void {
    const { clock, receivedBytes, sentBytes, start } = this.#call
    this.#method.end(statusOf(end, this.#call), (Deadline.nowUnsafe(clock) - start) / 1000, sentBytes, receivedBytes)
  }
}

/**
 * What measures a server.
 *
 * @category models
 * @since 0.1.0
 */
export interface ForServer {
  /** Measures one call, from before its request is read until after its response is written. */
  readonly call: (method: Method.Any, call: Call) => CallObserver.Observation
  /** Counts a call that no handler serves, and how it was answered. Its method is anybody's to make up, so it is `other`. */
  readonly unserved: (status: Code.Status) => void
}

/**
 * Measures the calls of these methods, as servers do by themselves when metrics are on.
 *
 * @category observations
 * @since 0.1.0
 */
export const server = Effect.fnUntraced(function* (methods: Iterable<Method.Any>): Effect.fn.Return<ForServer> {
  const registry = yield* registryOf
  const metrics = new ByMethod(methods, (label) => new ServerMethod(registry, label))
  return {
    call: (method, call) => new ServedObservation(metrics.of(method), call),
    unserved(status) {
      metrics.others.started.updateUnsafe(1, registry)
      metrics.others.end(status, 0, 0, 0)
    }
  }
})
