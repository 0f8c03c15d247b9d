/**
 * One line in the log for each change of a peer.
 *
 * What happens to connections explains what happens to calls, and there is much less of it. Each line says which peer of
 * which target it is, what it has become and why, as annotations. A peer that flaps is heard a few times; after that its
 * next line waits, and says what it is by then and how often it failed in between.
 */
import { Clock, Config, Duration, Effect, Layer, type LogLevel, Stream } from "effect"
import type { Peer } from "../peer/Peer.ts"
import type { PeerStatus } from "../peer/PeerStatus.ts"
import * as Printable from "../status/Printable.ts"
import { PeerPool } from "./PeerPool.ts"

/**
 * How loud a status is; `undefined` is silence.
 *
 * @category models
 * @since 0.1.0
 */
export type Level = (status: PeerStatus) => LogLevel.Severity | undefined

/**
 * How to log.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Default `levelOfStatus`. */
  readonly level?: Level | undefined
  /** Lines about one peer in one interval. Default 5. */
  readonly burst?: number | undefined
  /** Default 1 minute. */
  readonly interval?: Duration.Input | undefined
}

/**
 * `Warn` for a peer that was lost or cannot be reached, `Error` for one that gave up, `Info` for one that is ready or was
 * removed, `Debug` for what lies between.
 *
 * @category levels
 * @since 0.1.0
 */
export const levelOfStatus: Level = ({ cause, state }) => {
  switch (state) {
    case "Ready":
      return "Info"
    case "Down":
      return "Warn"
    case "Gone":
      return cause === undefined ? "Info" : "Error"
    case "Idle":
      return cause === undefined ? "Debug" : "Warn"
    case "Connecting":
      return "Debug"
  }
}

const failuresOf = ({ stats }: Peer): number =>
  [...stats.connections.lost.values()].reduce((sum, count) => sum + count, stats.connections.failed)

/** Writes the lines of one peer, until it is gone. */
const follow = Effect.fnUntraced(function* (target: string, peer: Peer, options: Options | undefined) {
  const clock = yield* Clock.Clock
  const level = options?.level ?? levelOfStatus
  const burst = Math.max(1, options?.burst ?? 5)
  const interval = Duration.toMillis(options?.interval ?? "1 minute")
  const written: Array<number> = []
  let last: PeerStatus = peer.status
  let failures = failuresOf(peer)

  /** Waits until there may be a line. */
  const turn = Effect.suspend(() => {
    const now = clock.currentTimeMillisUnsafe()
    while (written.length > 0 && written[0]! <= now - interval) written.shift()
    return written.length < burst ? Effect.void : Effect.sleep(written[0]! + interval - now)
  })

  const line = Effect.suspend(() => {
    const { status } = peer
    const { cause, state } = status
    if (state === last.state && cause === last.cause) return Effect.void
    last = status
    const severity = level(status)
    if (severity === undefined) return Effect.void
    written.push(clock.currentTimeMillisUnsafe())
    const since = failuresOf(peer) - failures
    failures += since
    return Effect.logWithLevel(severity)(`peer ${Printable.escape(peer.id)} is ${state}`).pipe(
      Effect.annotateLogs({
        target,
        peer: peer.id,
        state,
        ...(cause === undefined ? undefined : { cause: Printable.escape(cause) }),
        ...(since > 1 ? { failures: since } : undefined)
      })
    )
  })

  yield* peer.changes.pipe(
    Stream.takeUntil(({ state }) => state === "Gone"),
    Stream.runForEach(() => Effect.andThen(turn, line))
  )
})

/**
 * Logs the changes of a pool's peers for as long as it runs.
 *
 * @category execution
 * @since 0.1.0
 */
export const run = (pool: PeerPool["Service"], options?: Options): Effect.Effect<void> =>
  Effect.scoped(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const followed = new Set<Peer>()
      yield* Stream.runForEach(pool.changes, ({ peers }) =>
        Effect.forEach(
          peers.filter((peer) => !followed.has(peer)),
          (peer) => {
            followed.add(peer)
            const lines = Effect.ensuring(
              follow(pool.target, peer, options),
              Effect.sync(() => followed.delete(peer))
            )
            return Effect.forkIn(lines, scope, { startImmediately: true })
          },
          { discard: true }
        )
      )
    })
  )

/**
 * Logs the changes of the peers of the pool below this layer.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, PeerLogger, RoundRobin, StaticDiscovery } from "trunkline"
 *
 * const Backends = Balancer.layer({ discovery: StaticDiscovery.make(["a:50051", "b:50051"]), picker: RoundRobin.make() })
 * const Logged = PeerLogger.layer().pipe(Layer.provideMerge(Backends))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<never, never, PeerPool> =>
  Layer.effectDiscard(Effect.flatMap(PeerPool, (pool) => Effect.forkScoped(run(pool, options))))

/**
 * `layer` with its options read from configuration.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Wrap<Options>): Layer.Layer<never, Config.ConfigError, PeerPool> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), layer))
