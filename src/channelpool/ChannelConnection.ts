/**
 * The connection in a channel: opened, and tried before it is trusted.
 *
 * A connection that is ready has done a handshake and nothing else; what is slow at first, or broken behind the handshake,
 * would be met by the first calls. So one that is added while calls go on is used once before they see it.
 */
import { Context, Effect, Exit, Option, Schedule, Scope, Stream } from "effect"
import type { Endpoint } from "../discovery/Endpoint.ts"
import * as Peer from "../peer/Peer.ts"
import { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import type { Settings } from "./ChannelPoolOptions.ts"

/** A peer and the scope it lives in. */
export interface Tenant {
  readonly peer: Peer.Peer
  readonly scope: Scope.Closeable
}

/** What connections are opened with, and the scope they end with at the latest. */
export interface Surroundings {
  readonly connector: Connector["Service"]
  readonly scope: Scope.Scope
}

/** Three tries to prime, with gaps that double. */
const tries: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("100 millis", 2),
  Schedule.spaced("5 seconds")
]).pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))

/** A peer of its own, connected to like any other. Whoever closes its scope has waited for its calls. */
export const open = (
  endpoint: Endpoint,
  { connectTimeout, reconnect }: Settings,
  { connector, scope: outer }: Surroundings
): Effect.Effect<Tenant> =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(outer)
    const peer = yield* Peer.make(endpoint, { connectTimeout, reconnect, drainTimeout: 0 }).pipe(
      Effect.provideContext(Context.make(Connector, connector).pipe(Context.add(Scope.Scope, scope)))
    )
    peer.requestConnect()
    return { peer, scope }
  }).pipe(Effect.uninterruptible)

/** Waits until a peer is connected and primed; fails after its tries. */
const primed = (peer: Peer.Peer, settings: Settings): Effect.Effect<void, unknown> => {
  const ready = Stream.runHead(Stream.filter(peer.changes, () => peer.connection !== undefined))
  const prime = Effect.suspend(() => {
    const { connection } = peer
    if (connection === undefined) return Effect.fail("the connection was lost")
    return settings.prime === undefined
      ? Effect.void
      : Effect.provideService(settings.prime, Transport, connection.transport)
  })
  return Effect.andThen(ready, prime).pipe(
    Effect.timeout(settings.primeMillis),
    Effect.retry(tries),
    Effect.catchDefect(Effect.fail),
    Effect.asVoid
  )
}

/** A tenant that works; none, and nothing left open, if it did not in its tries. */
export const openPrimed = (
  endpoint: Endpoint,
  settings: Settings,
  around: Surroundings
): Effect.Effect<Option.Option<Tenant>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(open(endpoint, settings, around), (tenant) =>
      Effect.matchEffect(restore(primed(tenant.peer, settings)), {
        onSuccess: () => Effect.succeedSome(tenant),
        onFailure: () => Effect.as(Scope.close(tenant.scope, Exit.void), Option.none())
      })
    )
  )
