/**
 * Everything a program has running, in one place to look at.
 *
 * Who debugs a program wants to see all of its pools, and pools do not know each other; a global list would keep what is
 * long closed. Here pools, channel pools, clients and multi-endpoints that are made under this layer register with it for
 * as long as their scopes live, and those made without it pay nothing. Calls pay nothing either way: what is shown is read
 * from the counts that peers keep anyway, once each interval and when somebody looks.
 */
import { Clock, Config, Context, Duration, Effect, Layer, Option, Schedule, type Scope, Stream } from "effect"
import { LastMinute } from "./LastMinute.ts"
import type {
  ChannelPoolReading,
  ClientReading,
  MultiEndpointReading,
  PeerReading,
  Pool,
  PoolReading,
  Recent,
  Snapshot
} from "./Snapshot.ts"

/**
 * Something to be looked at. Reading is quick and does not fail.
 *
 * @category models
 * @since 0.1.0
 */
export type Source =
  | { readonly _tag: "Pool"; readonly read: Effect.Effect<PoolReading> }
  | { readonly _tag: "Client"; readonly read: Effect.Effect<ClientReading> }
  | { readonly _tag: "MultiEndpoint"; readonly read: Effect.Effect<ReadonlyArray<MultiEndpointReading>> }
  | { readonly _tag: "ChannelPool"; readonly read: Effect.Effect<ReadonlyArray<ChannelPoolReading>> }

/**
 * How to look.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** From one look to the next, at least 100 milliseconds. Default 1 second. */
  readonly interval?: Duration.Input | undefined
}

/**
 * Where everything that runs can be looked at.
 *
 * @category services
 * @since 0.1.0
 */
export class Introspection extends Context.Service<
  Introspection,
  {
    /** Shows a source until the scope closes. */
    readonly register: (source: Source) => Effect.Effect<void, never, Scope.Scope>
    readonly snapshot: Effect.Effect<Snapshot>
    /** A snapshot now and one each interval. */
    readonly snapshots: Stream.Stream<Snapshot>
  }
>()("trunkline/introspection/Introspection") {}

/** The last minutes of a pool's peers, by their ids. */
type Memory = Map<string, LastMinute>

/** A registered source; pools have a memory. */
interface Registered {
  readonly id: number
  readonly source: Source
  readonly memory: Memory
}

const nothingRecent: Omit<Recent, "share"> = { calls: 0, errors: 0, latencyMillis: null, latencies: [] }

const withRecent = (id: number, reading: PoolReading, memory: Memory): Pool => {
  const recents = reading.peers.map((peer) => memory.get(peer.id)?.recent(peer) ?? nothingRecent)
  const total = recents.reduce((sum, { calls }) => sum + calls, 0)
  return {
    id,
    ...reading,
    peers: reading.peers.map((peer, i) => {
      const recent = recents[i]!
      return { ...peer, recent: { ...recent, share: total === 0 ? 0 : recent.calls / total } }
    })
  }
}

const remember = (memory: Memory, peers: ReadonlyArray<PeerReading>, intervalMillis: number): void => {
  const ids = new Set(peers.map(({ id }) => id))
  for (const id of memory.keys()) if (!ids.has(id)) memory.delete(id)
  for (const peer of peers) {
    let minute = memory.get(peer.id)
    if (minute === undefined) memory.set(peer.id, (minute = new LastMinute(intervalMillis)))
    minute.look(peer)
  }
}

/**
 * Makes an introspection that looks each interval until its scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  options?: Options
): Effect.fn.Return<Introspection["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const intervalMillis = Math.max(100, Duration.toMillis(options?.interval ?? "1 second"))
  const registered = new Set<Registered>()
  let nextId = 1

  const look = Effect.gen(function* () {
    for (const { memory, source } of registered) {
      if (source._tag === "Pool") remember(memory, (yield* source.read).peers, intervalMillis)
    }
  })
  yield* look.pipe(Effect.repeat(Schedule.spaced(intervalMillis)), Effect.forkScoped)

  const snapshot = Effect.gen(function* () {
    const pools: Array<Pool> = []
    const clients: Array<Snapshot["clients"][number]> = []
    const multiEndpoints: Array<Snapshot["multiEndpoints"][number]> = []
    const channelPools: Array<NonNullable<Snapshot["channelPools"]>[number]> = []
    for (const { id, memory, source } of registered) {
      if (source._tag === "Pool") pools.push(withRecent(id, yield* source.read, memory))
      else if (source._tag === "Client") clients.push({ id, ...(yield* source.read) })
      else if (source._tag === "ChannelPool") {
        channelPools.push(...(yield* source.read).map((group) => ({ id, ...group })))
      } else multiEndpoints.push(...(yield* source.read).map((list) => ({ id, ...list })))
    }
    const at = clock.currentTimeMillisUnsafe()
    return { version: 1 as const, at, intervalMillis, pools, clients, multiEndpoints, channelPools }
  })

  return Introspection.of({
    register: (source) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const entry = { id: nextId++, source, memory: new Map() }
          registered.add(entry)
          return entry
        }),
        (entry) => Effect.sync(() => registered.delete(entry))
      ),
    snapshot,
    snapshots: Stream.fromEffectSchedule(snapshot, Schedule.spaced(intervalMillis))
  })
})

/**
 * Shows a source until the scope closes, if there is an introspection in the context to show it.
 *
 * @category registering
 * @since 0.1.0
 */
export const register = (source: Source): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.serviceOption(Introspection),
    Option.match({ onNone: () => Effect.void, onSome: (introspection) => introspection.register(source) })
  )

/**
 * The introspection of all pools and clients made above this layer.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, Introspection, PowerOfTwo, StaticDiscovery } from "trunkline"
 * import { GrpcJsConnector } from "trunkline/grpc-js"
 *
 * const Backends = Balancer.layer({
 *   discovery: StaticDiscovery.make(["10.0.0.1:50051", "10.0.0.2:50051"]),
 *   picker: PowerOfTwo.make()
 * }).pipe(Layer.provide(GrpcJsConnector.layer()), Layer.provideMerge(Introspection.layer()))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<Introspection> => Layer.effect(Introspection, make(options))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<Introspection, Config.ConfigError> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
