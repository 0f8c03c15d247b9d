/**
 * Who may be sent calls: the standard health service, `grpc.health.v1`, on both sides.
 *
 * A server says of each of its services, and under the empty name of itself, whether it serves. Clients, balancers and
 * orchestrators ask once (`Check`) or watch (`Watch`). Before it stops a server drains: it says that nothing serves any
 * more, so that those who watch go elsewhere while calls under way still end well.
 *
 * Watchers need the latest status, not each one; and since there are few changes and many names a client could make up,
 * there is one watched state for all services, and nothing is kept for a name that nobody set.
 *
 * @see https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
import { Context, Effect, Layer, Schedule, type Scope, Stream } from "effect"
import * as Client from "../client/Client.ts"
import { connectionBackoff, type Peer } from "../peer/Peer.ts"
import type * as Signal from "../signals/Signal.ts"
import * as HealthVerdict from "../signals/HealthVerdict.ts"
import * as Handlers from "../server/Handlers.ts"
import * as RpcError from "../status/RpcError.ts"
import type { Transport } from "../transport/Transport.ts"
import * as StateRef from "../transport/StateRef.ts"
import {
  Health as HealthService,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as numbers
} from "./gen/grpc/health/v1/health_pb.ts"
import * as PerConnection from "./PerConnection.ts"

/**
 * The service `grpc.health.v1.Health`, for clients and servers of your own, and for reflection.
 *
 * @category descriptions
 * @since 0.1.0
 */
export { Health as v1 } from "./gen/grpc/health/v1/health_pb.ts"

/**
 * What a server can say of a service it knows.
 *
 * @category models
 * @since 0.1.0
 */
export type ServingStatus = "SERVING" | "NOT_SERVING" | "UNKNOWN"

/**
 * What can be heard of a service. `SERVICE_UNKNOWN`: the server has not heard of it, or not yet.
 *
 * @category models
 * @since 0.1.0
 */
export type Status = ServingStatus | "SERVICE_UNKNOWN"

/**
 * The health of a server, by service: `package.Service`, or the empty name for the server as a whole.
 *
 * @category services
 * @since 0.1.0
 */
export class Health extends Context.Service<
  Health,
  {
    readonly status: (service: string) => Effect.Effect<Status>
    /** The status now and every later one. A slow reader misses those in between. Ends with `shutdown`. */
    readonly watch: (service: string) => Stream.Stream<Status>
    /** Does nothing while the server drains. */
    readonly set: (service: string, status: ServingStatus) => Effect.Effect<void>
    /** Forgets a service, as if it had never been set. */
    readonly clear: (service: string) => Effect.Effect<void>
    /** Nothing serves from here on, whatever is set, until `resume`. Watchers stay and hear of it. */
    readonly drain: Effect.Effect<void>
    /** `drain`, and then every watch ends, so that none of them holds up a server that waits for its calls. */
    readonly shutdown: Effect.Effect<void>
    /** Undoes `drain` and `shutdown`: every known service serves, whatever it was before, and can be set again. */
    readonly resume: Effect.Effect<void>
  }
>()("trunkline/services/Health") {}

interface State {
  readonly phase: "open" | "draining" | "stopped"
  readonly statuses: ReadonlyMap<string, ServingStatus>
}

/** The same status for every service. */
const all = ({ statuses }: State, status: ServingStatus): State["statuses"] =>
  new Map([...statuses.keys()].map((service) => [service, status]))

const statusIn = ({ statuses }: State, service: string): Status => statuses.get(service) ?? "SERVICE_UNKNOWN"

/**
 * Makes the health of a server. It serves as a whole unless told otherwise, and knows the services it is given. When the
 * scope closes, it shuts down.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = Effect.fnUntraced(function* (
  statuses?: Readonly<Record<string, ServingStatus>>
): Effect.fn.Return<Health["Service"], never, Scope.Scope> {
  const states = StateRef.make<State>({
    phase: "open",
    statuses: new Map(Object.entries({ "": "SERVING", ...statuses }))
  })
  const update = (f: (state: State) => State) => Effect.sync(() => states.set(f(states.current())))

  const shutdown = update((state) => ({ phase: "stopped", statuses: all(state, "NOT_SERVING") }))
  yield* Effect.addFinalizer(() => shutdown)

  return Health.of({
    status: (service) => Effect.sync(() => statusIn(states.current(), service)),
    watch: (service) =>
      states.changes.pipe(
        Stream.takeUntil(({ phase }) => phase === "stopped"),
        Stream.map((state) => statusIn(state, service)),
        Stream.changes
      ),
    set: (service, status) =>
      update((state) =>
        state.phase === "open" ? { ...state, statuses: new Map([...state.statuses, [service, status]]) } : state
      ),
    clear: (service) =>
      update((state) => ({ ...state, statuses: new Map([...state.statuses].filter(([name]) => name !== service)) })),
    drain: update((state) =>
      state.phase === "open" ? { phase: "draining", statuses: all(state, "NOT_SERVING") } : state
    ),
    shutdown,
    resume: update((state) => (state.phase === "open" ? state : { phase: "open", statuses: all(state, "SERVING") }))
  })
})

/**
 * Provides the health of a server.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (statuses?: Readonly<Record<string, ServingStatus>>): Layer.Layer<Health> =>
  Layer.effect(Health, make(statuses))

/**
 * Answers `Check` and `Watch` from the `Health` of the context. `Check` of an unknown service fails with `NOT_FOUND`;
 * `Watch` of one says `SERVICE_UNKNOWN` and goes on when it is known. After `shutdown` a watch ends with `UNAVAILABLE`.
 *
 * A server that stops waits for its calls, and a watch is a call that does not end by itself: when the server drains these
 * handlers shut the health down, so that watchers hear of it and leave.
 *
 * @example
 * import { Effect, Layer, Schema } from "effect"
 * import { Handlers, Health, Service } from "trunkline"
 * import { GrpcJsServer } from "trunkline/grpc-js"
 *
 * const Echo = Service.make("demo.Echo", { say: Service.unary(Schema.String, Schema.String) })
 * const EchoHandlers = Handlers.make(Echo, { say: (text) => Effect.succeed(text) })
 *
 * const EchoServer = GrpcJsServer.layer({ handlers: [EchoHandlers, Health.handlers] }).pipe(
 *   Layer.provide(Health.layer({ "demo.Echo": "SERVING" }))
 * )
 *
 * @category handlers
 * @since 0.1.0
 */
export const handlers: Handlers.Handlers<Health> = Handlers.make(
  HealthService,
  {
    check: Effect.fnUntraced(function* ({ service }) {
      const health = yield* Health
      const status = yield* health.status(service)
      // Without its name: a client may send megabytes of it, and a status travels in a header.
      if (status === "SERVICE_UNKNOWN")
        return yield* RpcError.make("NOT_FOUND", "the server has no service of that name")
      return { status: numbers[status] }
    }),
    watch: ({ service }) =>
      Stream.unwrap(
        Effect.map(Health, (health) =>
          health.watch(service).pipe(
            Stream.map((status) => ({ status: numbers[status] })),
            Stream.concat(Stream.fail(RpcError.make("UNAVAILABLE", "the server is shutting down")))
          )
        )
      )
  },
  { drain: Health.use((health) => health.shutdown) }
)

const heard = ({ status }: HealthCheckResponse): Status => {
  const names: Readonly<Record<number, Status>> = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]
  return names[status] ?? "UNKNOWN"
}

/**
 * Asks for the status of a service, or of the server as a whole. Fails with `NOT_FOUND` for a service that the server
 * does not know, and with `UNIMPLEMENTED` by a server that keeps its health to itself. A status of a later protocol is
 * `UNKNOWN`.
 *
 * @example
 * import { Effect } from "effect"
 * import { CallOptions, Health } from "trunkline"
 *
 * const isServing = Health.check("demo.Echo").pipe(
 *   CallOptions.withDeadline("1 second"),
 *   Effect.map((status) => status === "SERVING"),
 *   Effect.catchReason("RpcError", "NotFound", () => Effect.succeed(false))
 * )
 *
 * @category client
 * @since 0.1.0
 */
export const check = (service = ""): Effect.Effect<Status, RpcError.RpcError, Transport> =>
  Effect.flatMap(Client.make(HealthService), (client) => Effect.map(client.check({ service }), heard))

/**
 * Watches the status of a service, or of the server as a whole: the status now and each time it changes. Ends only by
 * failing, as a watched server never ends it well: to watch for ever, retry.
 *
 * @category client
 * @since 0.1.0
 */
export const watch = (service = ""): Stream.Stream<Status, RpcError.RpcError, Transport> =>
  Stream.unwrap(Effect.map(Client.make(HealthService), (client) => Stream.map(client.watch({ service }), heard)))

/** Of a peer whose server has not said anything yet. */
const unheard = HealthVerdict.ejected("its server has not said yet whether it serves")

const judged = (status: Status): HealthVerdict.HealthVerdict =>
  status === "SERVING" ? HealthVerdict.healthy : HealthVerdict.ejected(`its server says ${status}`)

/**
 * Sends calls only to peers whose servers say that the service serves, by watching its health on each connection. Grpc-js
 * does not do that by itself.
 *
 * A peer gets no call before its server has spoken, nor while a broken watch is not back; it is tried again with the
 * backoff of connections, which starts anew once the server has spoken. A server without a health service counts as
 * healthy, and that is logged once. A watch is one more stream on every connection.
 *
 * @example
 * import { Balancer, Health, StaticDiscovery } from "trunkline"
 *
 * const Backends = Balancer.layer({
 *   discovery: StaticDiscovery.make(["a:50051", "b:50051"]),
 *   signals: [Health.signal({ service: "demo.Echo" })]
 * })
 *
 * @see https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md
 * @category signals
 * @since 0.1.0
 */
export const signal = (options?: {
  /** `package.Service`; the server as a whole if left out. */
  readonly service?: string | undefined
  /** Delays between tries to watch again. Default `Peer.connectionBackoff`. */
  readonly backoff?: Schedule.Schedule<unknown, RpcError.RpcError> | undefined
}): Signal.Signal => ({
  name: "health",
  make: Effect.gen(function* () {
    const verdicts = StateRef.make<Signal.Verdicts>(new Map())
    let told = false

    const say = (peer: Peer, verdict: HealthVerdict.HealthVerdict): void =>
      verdicts.set(new Map(verdicts.current()).set(peer, verdict))

    const unimplemented = Effect.suspend(() => {
      if (told) return Effect.void
      told = true
      return Effect.logWarning("a server has no health service; such servers count as healthy")
    })

    const watches = yield* PerConnection.make((peer) =>
      watch(options?.service).pipe(
        Stream.tap((status) => Effect.sync(() => say(peer, judged(status)))),
        Stream.tapError((error) =>
          Effect.sync(() => {
            if (error.code !== "UNIMPLEMENTED") say(peer, HealthVerdict.ejected(`health: ${error.message}`))
          })
        ),
        Stream.retry(
          Schedule.while(options?.backoff ?? connectionBackoff, ({ input }) => input.code !== "UNIMPLEMENTED")
        ),
        Stream.runDrain,
        Effect.catchReason("RpcError", "Unimplemented", () =>
          Effect.andThen(
            unimplemented,
            Effect.sync(() => say(peer, HealthVerdict.healthy))
          )
        ),
        Effect.ignore
      )
    )

    /** Begins to watch on new connections, and forgets those that are gone. */
    const update = Effect.fnUntraced(function* (peers: ReadonlyArray<Peer>) {
      yield* watches.forget(peers)
      const before = verdicts.current()
      verdicts.set(new Map(peers.map((peer) => [peer, watches.has(peer) ? (before.get(peer) ?? unheard) : unheard])))
      yield* watches.begin(peers)
    })

    return {
      observe: undefined,
      verdicts: (peers) => Stream.merge(Stream.drain(Stream.mapEffect(peers, update)), verdicts.changes)
    }
  })
})
