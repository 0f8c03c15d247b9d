/**
 * What carries a call.
 *
 * A client knows one transport. A single connection, a balanced pool, an in-memory network and any stack of
 * interceptors are all transports, so they are interchangeable layers.
 */
import { Context, Effect, Layer } from "effect"
import * as Interceptor from "../call/Interceptor.ts"

/**
 * The transport of the clients in this context.
 *
 * @category services
 * @since 0.1.0
 */
export class Transport extends Context.Service<Transport, Interceptor.Invoker>()("trunkline/transport/Transport") {}

/**
 * Puts interceptors in front of the transport below this layer. They are inside of the clients' retries: they see
 * attempts, before each has its peer. The first is outermost, and all are inside of what a client has of its own.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, CallLogger, RoundRobin, StaticDiscovery, Transport } from "trunkline"
 *
 * const Backends = Balancer.layer({ discovery: StaticDiscovery.make(["a:50051", "b:50051"]), picker: RoundRobin.make() })
 * const EveryAttemptLogged = Transport.intercept(CallLogger.make()).pipe(Layer.provide(Backends))
 *
 * @category layers
 * @since 0.1.0
 */
export const intercept = (
  ...interceptors: ReadonlyArray<Interceptor.Interceptor>
): Layer.Layer<Transport, never, Transport> =>
  // Fresh, because what it makes depends on where it is provided.
  Layer.fresh(
    Layer.effect(
      Transport,
      Effect.map(Transport, (transport) => Interceptor.apply(Interceptor.compose(interceptors), transport))
    )
  )
