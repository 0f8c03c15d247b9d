/**
 * A transport over many peers.
 *
 * The life of an attempt: take a lease on a peer, send the call on its connection, and end the lease with the attempt,
 * however that ends.
 */
import { Config, Context, Effect, Exit, Layer, Option, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as CallObserver from "../call/CallObserver.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Invoker, StreamResponse } from "../call/Interceptor.ts"
import type { Discovery, DiscoveryError } from "../discovery/Discovery.ts"
import * as Target from "../discovery/Target.ts"
import * as FailureAccrual from "../signals/FailureAccrual.ts"
import type * as Peer from "../peer/Peer.ts"
import * as PeerRegistry from "../peer/PeerRegistry.ts"
import type { Signal } from "../signals/Signal.ts"
import * as Panic from "../picker/combinators/Panic.ts"
import * as PeakEwma from "../picker/PeakEwma.ts"
import type { PickerPolicy } from "../picker/Picker.ts"
import * as PowerOfTwo from "../picker/PowerOfTwo.ts"
import type { RpcError } from "../status/RpcError.ts"
import { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import { Affinity } from "../affinity/Affinity.ts"
import { Lease } from "./Lease.ts"
import * as PeerAffinity from "./PeerAffinity.ts"
import * as PeerPool from "./PeerPool.ts"
import * as PoolMetrics from "./PoolMetrics.ts"

/**
 * How to balance. With neither `picker` nor `signals` it is `defaults`; beside a picker of your own there are no signals
 * but those you name, because one that may eject every peer wants a picker that panics.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R = never> extends Omit<PeerPool.Options<R>, "discovery" | "picker">, Peer.Options {
  /** Which backends exist: a discovery, or a target such as `greeter:50051` or `dns:///greeter:50051` (see `Target`). */
  readonly discovery: Discovery<R> | string
  readonly picker?: PickerPolicy | undefined
}

/**
 * What a balancer does of which only the discovery is said: the faster of two peers at random, where failures count as
 * slow; a peer that failed 5 times in a row is left alone and then tried with one call; and if that leaves less than half
 * of the connected peers, all of them are used.
 *
 * @category constants
 * @since 0.1.0
 */
export const defaults: { readonly picker: PickerPolicy; readonly signals: ReadonlyArray<Signal> } = {
  picker: Panic.below(PowerOfTwo.make({ load: PeakEwma.make() }), 0.5),
  signals: [FailureAccrual.make()]
}

/**
 * Runs an attempt on the peer that takes the call. The lease is taken under the handler that ends it, so an interruption at
 * any point leaves none behind.
 */
const onPeer = <A, R>(
  pool: PeerPool.PeerPool["Service"],
  call: Call,
  attempt: (lease: Lease) => Effect.Effect<A, RpcError, R>,
  ended: (lease: Lease, exit: Exit.Exit<A, RpcError>) => void
): Effect.Effect<A, RpcError, R> =>
  Effect.suspend(() => {
    let lease: Lease | undefined
    const take = (now: number, since?: number): Taken | undefined => {
      const taken = pool.lease(call, now, since)
      if (taken instanceof Lease) lease = taken
      return taken
    }
    return Effect.onExitPrimitive(
      Effect.suspend(() => {
        const taken = take(Deadline.nowUnsafe(call.clock))
        return taken === undefined
          ? Effect.flatMap(waited(pool, call, take), (taken) => begin(taken, attempt))
          : begin(taken, attempt)
      }),
      (exit) => {
        if (lease !== undefined) ended(lease, exit)
        return undefined
      }
    )
  })

/** What choosing comes to: a lease, or the reason why there is none. */
type Taken = Lease | RpcError

const begin = <A, R>(
  taken: Taken,
  attempt: (lease: Lease) => Effect.Effect<A, RpcError, R>
): Effect.Effect<A, RpcError, R> => (taken instanceof Lease ? attempt(taken) : Effect.fail(taken))

/** The attempt's own time starts when it has a peer, not when it began to wait for one. */
const waited = (
  pool: PeerPool.PeerPool["Service"],
  call: Call,
  take: (now: number, since: number) => Taken | undefined
) =>
  pool.waitFor(call, (now, since) => {
    const taken = take(now, since)
    if (taken instanceof Lease) call.startClock(now)
    return taken
  })

/** Tells the lease of a stream that its peer has answered. A probe needs no more than the headers. */
const started = <O, R>(
  lease: Lease,
  stream: Effect.Effect<StreamResponse<O>, RpcError, R>
): Effect.Effect<StreamResponse<O>, RpcError, R | Scope.Scope> =>
  Effect.flatMap(stream, (response) => {
    const answering = {
      ...response,
      messages: Stream.onFirst(response.messages, () => Effect.sync(() => lease.answered()))
    }
    if (!lease.isProbe) return Effect.succeed(answering)
    const passed = Effect.andThen(
      response.headers,
      Effect.sync(() => lease.passed())
    )
    return Effect.as(Effect.forkScoped(Effect.ignore(passed)), answering)
  })

const invoker = (pool: PeerPool.PeerPool["Service"]): Invoker => ({
  target: pool.target,
  picker: pool.picker,

  unary: (method, request, call) =>
    onPeer(
      pool,
      call,
      (lease) => lease.transport.unary(method, request, call),
      (lease, exit) => lease.end(exit)
    ),

  stream: (method, requests, call) =>
    onPeer(
      pool,
      call,
      (lease) => {
        lease.stream()
        // Only what the stream itself did: how its reader fares says nothing of the peer.
        return CallObserver.onStreamEnd(started(lease, lease.transport.stream(method, requests, call)), (exit) =>
          Effect.sync(() => lease.end(exit))
        )
      },
      // A stream that has begun ends with its messages, or with its scope.
      (lease, exit) => {
        if (Exit.isFailure(exit)) lease.end(exit)
      }
    )
})

/**
 * Makes a balanced transport over the peers discovery names. An `Affinity` in the context says which calls go to one peer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R>(
  options: Options<R>
): Effect.fn.Return<Invoker, DiscoveryError, R | Connector | Scope.Scope> {
  return (yield* build(options)).invoker
})

/** The invoker of a balancer and the pool behind them, with the affinity of the context in front of both. */
const build = Effect.fnUntraced(function* <R>(
  options: Options<R>
): Effect.fn.Return<
  { readonly invoker: Invoker; readonly pool: PeerPool.PeerPool["Service"] },
  DiscoveryError,
  R | Connector | Scope.Scope
> {
  const discovery = typeof options.discovery === "string" ? Target.discovery(options.discovery) : options.discovery
  const keyed = yield* Effect.serviceOption(Affinity)
  if (Option.isNone(keyed)) {
    const pool = yield* makePool({ ...options, discovery }, (picker) => picker)
    return { invoker: invoker(pool), pool }
  }
  const affinity = yield* PeerAffinity.make(keyed.value, discovery.target)
  const pool = yield* makePool({ ...options, discovery }, (picker) => affinity.policy(picker))
  return { invoker: affinity.invoker(invoker(pool)), pool }
})

/** The pool of a balancer, over the registry of the context or one of its own. */
const makePool = Effect.fnUntraced(function* <R>(
  options: Options<R> & { readonly discovery: Discovery<R> },
  asking: (picker: PickerPolicy) => PickerPolicy
): Effect.fn.Return<PeerPool.PeerPool["Service"], DiscoveryError, R | Connector | Scope.Scope> {
  const shared = yield* Effect.serviceOption(PeerRegistry.PeerRegistry)
  const registry = Option.isSome(shared) ? shared.value : yield* PeerRegistry.make()
  const connector = yield* Connector
  const retaining: PeerPool.Retaining = {
    retain: (endpoint) => Effect.provideService(registry.retain(endpoint, options), Connector, connector)
  }
  const { picker, signals } = options
  const chosen = picker === undefined ? { picker: defaults.picker, signals: signals ?? defaults.signals } : { picker }
  const pool = yield* PoolMetrics.recorded(
    PeerPool.make({ ...options, ...chosen, picker: asking(chosen.picker) }, retaining),
    options.discovery.target
  )
  yield* PoolMetrics.register(pool)
  return pool
})

/**
 * Provides the transport of the clients above it, balanced over many peers, and the pool behind it for whoever wants to
 * know how it is. An `Affinity` in the context says which calls go to one peer.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, PeakEwma, PowerOfTwo } from "trunkline"
 * import { GrpcJsConnector } from "trunkline/grpc-js"
 *
 * const Backends = Balancer.layer({
 *   discovery: "greeter:50051",
 *   picker: PowerOfTwo.make({ load: PeakEwma.make() })
 * }).pipe(Layer.provide(GrpcJsConnector.layer()))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(
  options: Options<R>
): Layer.Layer<Transport | PeerPool.PeerPool, DiscoveryError, R | Connector> =>
  Layer.effectContext(
    Effect.map(build(options), ({ invoker, pool }) =>
      Context.make(PeerPool.PeerPool, pool).pipe(Context.add(Transport, invoker))
    )
  )

/**
 * `layer` with its options read from configuration.
 *
 * @example
 * import { Config } from "effect"
 * import { Balancer, DnsDiscovery, PowerOfTwo } from "trunkline"
 *
 * const Backends = Balancer.layerConfig({
 *   discovery: Config.map(Config.String("GREETER"), (target) => DnsDiscovery.make(target)),
 *   picker: Config.succeed(PowerOfTwo.make()),
 *   chooseTimeout: Config.Duration("CHOOSE_TIMEOUT")
 * })
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig = <R = never>(
  options: Config.Wrap<Options<R>>
): Layer.Layer<Transport | PeerPool.PeerPool, DiscoveryError | Config.ConfigError, R | Connector> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))
