/**
 * What opens connections.
 *
 * A connector is the only thing a backend pool needs from the wire: grpc-js is one, the in-memory network is another.
 */
import { Context, type Effect, type Scope } from "effect"
import type { Invoker } from "../call/Interceptor.ts"
import type { Endpoint } from "../discovery/Endpoint.ts"
import type { Connectivity } from "./Connectivity.ts"
import type { Disconnect } from "./Disconnect.ts"
import type { StateRef } from "./StateRef.ts"

/**
 * One connection to one endpoint. It is made idle and connects when asked. It never reconnects by itself after a
 * failure: whoever owns it closes its scope and opens another, so that backoff has one owner.
 *
 * Closing the scope cancels the calls still on it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Connection {
  readonly transport: Invoker
  readonly connectivity: StateRef<Connectivity>
  /** Leaves `Idle`. Does nothing in any other state. */
  readonly connect: Effect.Effect<void>
  /** Why it is ready no more, asked when that is so; absent or `undefined` where the connector cannot tell. */
  readonly disconnectReason?: (() => Disconnect | undefined) | undefined
}

/**
 * Opens connections.
 *
 * @category services
 * @since 0.1.0
 */
export class Connector extends Context.Service<
  Connector,
  {
    readonly connect: (endpoint: Endpoint) => Effect.Effect<Connection, never, Scope.Scope>
  }
>()("trunkline/transport/Connector") {}
