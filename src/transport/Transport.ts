/**
 * What carries a call.
 *
 * A client knows one transport. A single connection, a balanced pool, an in-memory network and any stack of
 * interceptors are all transports, so they are interchangeable layers.
 */
import { Context } from "effect"
import type { Arrows } from "../call/Interceptor.ts"

/**
 * The transport of the clients in this context.
 *
 * @category services
 * @since 0.1.0
 */
export class Transport extends Context.Service<Transport, Arrows>()("trunkline/transport/Transport") {}
