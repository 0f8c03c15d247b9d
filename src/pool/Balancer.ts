/**
 * A transport over many peers.
 *
 * The life of an attempt: choose a peer, count the call onto it, send it on the peer's connection, and when it has ended
 * in whatever way, count it off and tell the load metric. Choosing and counting are one synchronous step, so a burst of
 * calls sees its own effect.
 */
import { Cause, Config, Effect, Exit, Layer, type Scope, Stream } from "effect"
import type { Call } from "../call/Call.ts"
import * as Deadline from "../call/Deadline.ts"
import type { Arrows } from "../call/Interceptor.ts"
import type { Method } from "../call/Method.ts"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import type { Lane } from "../peer/Lane.ts"
import type * as Peer from "../peer/Peer.ts"
import * as PeerRegistry from "../peer/PeerRegistry.ts"
import type { Load } from "../picker/Picker.ts"
import * as Outcome from "../status/Outcome.ts"
import type { RpcError } from "../status/RpcError.ts"
import type { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import * as PeerPool from "./PeerPool.ts"

/**
 * How to balance.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R = never> extends PeerPool.Options<R>, Peer.Options {}

const outcomeOf = (exit: Exit.Exit<unknown, RpcError>): Outcome.Outcome => {
  if (Exit.isSuccess(exit)) return "success"
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  return failure === undefined ? "ignorable" : Outcome.fromCode(failure.error.code)
}

/** One attempt's hold on a peer. `finish` counts it off once, however often it is called. */
class Lease {
  readonly #peer: Peer.Peer
  readonly #lane: Lane
  readonly #load: Load | undefined
  readonly #call: Call
  readonly #start: number
  #finished = false

  constructor(peer: Peer.Peer, lane: Lane, load: Load | undefined, call: Call, now: number) {
    this.#peer = peer
    this.#lane = lane
    this.#load = load
    this.#call = call
    this.#start = now
    peer.stats.pending++
    peer.stats.started++
    lane.enter()
    call.peer = peer.id
  }

  /** Tells the load how long the peer took. */
  observe(outcome: Outcome.Outcome): void {
    const now = Deadline.nowUnsafe(this.#call.clock)
    this.#load?.observe(this.#peer.stats, outcome, now - this.#start, now)
  }

  /** Ends the hold. */
  finish(outcome: Outcome.Outcome): void {
    if (this.#finished) return
    this.#finished = true
    const { stats } = this.#peer
    stats.pending--
    if (outcome === "success") stats.succeeded++
    else if (outcome !== "ignorable") stats.failed++
    this.#lane.leave()
  }
}

const arrows = (pool: PeerPool.PeerPool): Arrows => {
  const unaryOn = <I, O>(peer: Peer.Peer, method: Method<I, O>, request: I, call: Call, now: number) => {
    const lane = peer.lane!
    const lease = new Lease(peer, lane, pool.load, call, now)
    return Effect.onExitPrimitive(lane.transport.unary(method, request, call), (exit) => {
      const outcome = outcomeOf(exit)
      lease.observe(outcome)
      lease.finish(outcome)
      return undefined
    })
  }

  const streamOn = <I, O>(
    peer: Peer.Peer,
    method: Method<I, O>,
    requests: Stream.Stream<I, RpcError>,
    call: Call,
    now: number
  ) => {
    const lane = peer.lane!
    const lease = new Lease(peer, lane, pool.load, call, now)
    let answered = false
    const ended = (exit: Exit.Exit<unknown, RpcError>): void => {
      const outcome = outcomeOf(exit)
      // The first message says how fast the peer is; the end says so only of a stream that had none, or that failed.
      if (!answered || outcome === "failure" || outcome === "rejected") lease.observe(outcome)
      lease.finish(outcome)
    }
    return Effect.addFinalizer(() => Effect.sync(() => lease.finish("ignorable"))).pipe(
      Effect.andThen(lane.transport.stream(method, requests, call)),
      Effect.map((response) => ({
        ...response,
        messages: response.messages.pipe(
          Stream.onFirst(() =>
            Effect.sync(() => {
              answered = true
              lease.observe("success")
            })
          ),
          Stream.onExit((exit) => Effect.sync(() => ended(exit)))
        )
      })),
      Effect.onError((cause) => Effect.sync(() => ended(Exit.failCause(cause))))
    )
  }

  /** The attempt's own time starts when it has a peer, not when it began to wait for one. */
  const waitForPeer = <A, E, R>(call: Call, attempt: (peer: Peer.Peer, now: number) => Effect.Effect<A, E, R>) =>
    Effect.flatMap(pool.waitForPeer(call), (peer) => {
      const now = Deadline.nowUnsafe(call.clock)
      call.attemptDeadline = Math.min(call.deadline, now + call.options.timeoutMillis)
      return attempt(peer, now)
    })

  const withPeer = <A, E, R>(call: Call, attempt: (peer: Peer.Peer, now: number) => Effect.Effect<A, E, R>) =>
    Effect.suspend(() => {
      const now = Deadline.nowUnsafe(call.clock)
      const peer = pool.choose(call, now)
      return peer === undefined ? waitForPeer(call, attempt) : attempt(peer, now)
    })

  return {
    unary: (method, request, call) => withPeer(call, (peer, now) => unaryOn(peer, method, request, call, now)),
    stream: (method, requests, call) => withPeer(call, (peer, now) => streamOn(peer, method, requests, call, now))
  }
}

/**
 * Makes a balanced transport over the peers discovery names.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* <R>(
  options: Options<R>
): Effect.fn.Return<Arrows, DiscoveryError, R | Connector | Scope.Scope> {
  const shared = yield* Effect.serviceOption(PeerRegistry.PeerRegistry)
  const registry = shared._tag === "Some" ? shared.value : yield* PeerRegistry.make(options)
  return arrows(yield* PeerPool.make(options, registry))
})

/**
 * Provides the transport of the clients above it, balanced over many peers.
 *
 * @example
 * import { Layer } from "effect"
 * import { Balancer, DnsDiscovery, GrpcJsConnector, PeakEwma, PowerOfTwo } from "trunkline"
 *
 * const Backends = Balancer.layer({
 *   discovery: DnsDiscovery.make("greeter:50051"),
 *   picker: PowerOfTwo.make({ load: PeakEwma.make() })
 * }).pipe(Layer.provide(GrpcJsConnector.layer()))
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R = never>(options: Options<R>): Layer.Layer<Transport, DiscoveryError, R | Connector> =>
  Layer.effect(Transport, make(options))

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
): Layer.Layer<Transport, DiscoveryError | Config.ConfigError, R | Connector> =>
  Layer.unwrap(Effect.map(Config.unwrap(options), (options) => layer(options)))
