/**
 * A program for each connection of some peers.
 *
 * Signals that ask servers about themselves ask each one on its own connection, for as long as that holds, whatever else
 * the pool does. A peer that reconnects may be another process, so it is asked again.
 */
import { Effect, FiberMap, type Scope } from "effect"
import * as CallOptions from "../call/CallOptions.ts"
import * as Deadline from "../call/Deadline.ts"
import type { ActiveConnection } from "../peer/ActiveConnection.ts"
import type { Peer } from "../peer/Peer.ts"
import { Transport } from "../transport/Transport.ts"

export interface PerConnection {
  /** Whether the program runs, or ran, on the connection a peer has. */
  readonly has: (peer: Peer) => boolean
  /** Stops where the connection, or the peer, is gone. */
  readonly forget: (peers: ReadonlyArray<Peer>) => Effect.Effect<void>
  /** Starts on connections that are new. */
  readonly begin: (peers: ReadonlyArray<Peer>) => Effect.Effect<void>
}

/** Runs on connections until the scope closes, under no deadline and no options of whoever made the pool. */
export const make = Effect.fnUntraced(function* (
  program: (peer: Peer) => Effect.Effect<void, never, Transport>
): Effect.fn.Return<PerConnection, never, Scope.Scope> {
  const running = yield* FiberMap.make<Peer>()
  const connections = new Map<Peer, ActiveConnection>()

  const on = (peer: Peer, connection: ActiveConnection) =>
    program(peer).pipe(
      Effect.provideService(CallOptions.Current, CallOptions.Current.defaultValue()),
      Effect.provideService(Deadline.Current, Deadline.none),
      Effect.provideService(Transport, connection.transport)
    )

  return {
    has: (peer) => connections.has(peer),
    forget: Effect.fnUntraced(function* (peers) {
      const listed = new Set(peers)
      for (const peer of connections.keys()) {
        if (listed.has(peer) && peer.connection === connections.get(peer)) continue
        connections.delete(peer)
        yield* FiberMap.remove(running, peer)
      }
    }),
    begin: Effect.fnUntraced(function* (peers) {
      for (const peer of peers) {
        if (peer.connection === undefined || connections.has(peer)) continue
        connections.set(peer, peer.connection)
        yield* FiberMap.run(running, peer, on(peer, peer.connection))
      }
    })
  }
})
