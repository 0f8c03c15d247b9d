/**
 * The peer of a channel: connected, and primed before calls use it.
 *
 * A ready connection has completed a handshake and nothing else. Its first calls would meet a cold start, or a backend that
 * is broken behind the handshake. So a connection that is added under load is primed before calls can pick it.
 */
import { Context, Effect, Exit, Option, Schedule, Scope, Stream } from "effect"
import type { Endpoint } from "../discovery/Endpoint.ts"
import * as Peer from "../peer/Peer.ts"
import { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import type { Settings } from "./ChannelPoolOptions.ts"

/** A peer and the scope it lives in. */
export interface ChannelPeer {
  readonly peer: Peer.Peer
  readonly scope: Scope.Closeable
}

/** What peers are opened with. The scope closes them at the latest. */
export interface Environment {
  readonly connector: Connector["Service"]
  readonly scope: Scope.Scope
}

/** Three attempts to prime, with exponential backoff. */
const primeRetries: Schedule.Schedule<unknown> = Schedule.min([
  Schedule.exponential("100 millis", 2),
  Schedule.spaced("5 seconds")
]).pipe(Schedule.jittered, Schedule.upTo({ times: 2 }))

/** Opens a peer and starts to connect. The peer does not drain: its calls have ended when its scope closes. */
export const open = (
  endpoint: Endpoint,
  { connectTimeout, reconnect }: Settings,
  { connector, scope: parent }: Environment
): Effect.Effect<ChannelPeer> =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(parent)
    const peer = yield* Peer.make(endpoint, { connectTimeout, reconnect, drainTimeout: 0 }).pipe(
      Effect.provideContext(Context.make(Connector, connector).pipe(Context.add(Scope.Scope, scope)))
    )
    peer.requestConnect()
    return { peer, scope }
  }).pipe(Effect.uninterruptible)

/** Waits until a peer is connected and primed. Fails after the last attempt. */
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
    Effect.retry(primeRetries),
    Effect.catchDefect(Effect.fail),
    Effect.asVoid
  )
}

/** Opens and primes a peer. Returns none, and closes the peer, after the last failed attempt. */
export const openPrimed = (
  endpoint: Endpoint,
  settings: Settings,
  environment: Environment
): Effect.Effect<Option.Option<ChannelPeer>> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(open(endpoint, settings, environment), (opened) =>
      Effect.matchEffect(restore(primed(opened.peer, settings)), {
        onSuccess: () => Effect.succeedSome(opened),
        onFailure: () => Effect.as(Scope.close(opened.scope, Exit.void), Option.none())
      })
    )
  )
