/**
 * What a server bears from its clients, for every adapter.
 *
 * A server does not choose who connects. So there are bounds on what a connection may hold and for how long, with the
 * defaults of gRPC's own servers where those have one. An adapter says in its docs which of them it cannot keep.
 *
 * @see https://github.com/grpc/proposal/blob/master/A8-client-side-keepalive.md
 * @see https://github.com/grpc/proposal/blob/master/A9-server-side-conn-mgt.md
 */
import { Duration, Effect, Random } from "effect"

/**
 * Bounds of connections.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Connections at one time; further ones are closed at once. Default no limit. */
  readonly maxConnections?: number | undefined
  /**
   * Calls a connection may have under way at one time. Clients are told (`SETTINGS_MAX_CONCURRENT_STREAMS`) and hold the
   * others back. Default 1,000.
   */
  readonly maxConcurrentCalls?: number | undefined
  /** How long a new connection may take for TLS and HTTP/2's preface before it is closed. Default 2 minutes. */
  readonly handshakeTimeout?: Duration.Input | undefined
  /** How long a new connection may take until its first call. Default no limit: clients may connect ahead of calls. */
  readonly firstCallTimeout?: Duration.Input | undefined
  /** Pings clients, and closes the connections of those that do not answer; their calls end. */
  readonly keepalive?: Keepalive | undefined
  /** What pings clients may send (gRFC A8). */
  readonly pings?: Pings | undefined
  /** How long a connection may be without calls before its client is asked to leave (gRFC A9). Default no limit. */
  readonly maxConnectionIdle?: Duration.Input | undefined
  /**
   * How old a connection may become before its client is asked to leave, so that load spreads after a change (gRFC A9). Each
   * gets up to 10 % more or less, so that not all leave at once. Default no limit.
   */
  readonly maxConnectionAge?: Duration.Input | undefined
  /** How long calls may go on after that before they end as `UNAVAILABLE`. Default no limit. */
  readonly maxConnectionAgeGrace?: Duration.Input | undefined
}

/**
 * Pings of the server's own.
 *
 * @category models
 * @since 0.1.0
 */
export interface Keepalive {
  /** Default 2 hours. */
  readonly time?: Duration.Input | undefined
  /** How long to wait for the answer. Default 20 seconds. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What pings of clients are borne. One that pings too often, three times more than allowed and without an answer to a call
 * in between, is sent away with `ENHANCE_YOUR_CALM` and `too_many_pings`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pings {
  /** The shortest time between two pings. Default 5 minutes. */
  readonly minTime?: Duration.Input | undefined
  /** Whether a connection without calls may be pinged so often too, instead of every 2 hours. Default false. */
  readonly permitWithoutCalls?: boolean | undefined
}

/**
 * Bounds in milliseconds; `Infinity` where there is none.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerLimits {
  readonly maxConnections: number
  readonly maxConcurrentCalls: number
  readonly handshakeMillis: number
  readonly firstCallMillis: number
  readonly keepaliveMillis: number
  readonly keepaliveTimeoutMillis: number
  readonly minPingMillis: number
  readonly pingWithoutCalls: boolean
  readonly idleMillis: number
  readonly ageMillis: number
  readonly graceMillis: number
}

const millis = (input: Duration.Input | undefined, otherwise: number): number =>
  input === undefined ? otherwise : Duration.toMillis(input)

const hour = 3_600_000

/**
 * The bounds that options ask for.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): ServerLimits => ({
  maxConnections: options.maxConnections ?? Infinity,
  maxConcurrentCalls: options.maxConcurrentCalls ?? 1000,
  handshakeMillis: millis(options.handshakeTimeout, 120_000),
  firstCallMillis: millis(options.firstCallTimeout, Infinity),
  keepaliveMillis: millis(options.keepalive?.time, 2 * hour),
  keepaliveTimeoutMillis: millis(options.keepalive?.timeout, 20_000),
  minPingMillis: millis(options.pings?.minTime, 300_000),
  pingWithoutCalls: options.pings?.permitWithoutCalls ?? false,
  idleMillis: millis(options.maxConnectionIdle, Infinity),
  ageMillis: millis(options.maxConnectionAge, Infinity),
  graceMillis: millis(options.maxConnectionAgeGrace, Infinity)
})

/**
 * Draws an age within 10 % of the one that is meant.
 *
 * @category constructors
 * @since 0.1.0
 */
export const jitter = (ageMillis: number, random: number): number => ageMillis * (0.9 + 0.2 * random)

/**
 * Chance of the context, as a function for callbacks.
 *
 * @category constructors
 * @since 0.1.0
 */
export const chance: Effect.Effect<() => number> = Effect.map(
  Random.Random,
  (random) => () => random.nextDoubleUnsafe()
)
