/**
 * The lists of a multi-endpoint transport, and how they are replaced.
 *
 * An update opens new pools before it changes any list, so an invalid address changes nothing. Then all lists change in one
 * step. Pools that no list names are closed last.
 */
import { type Clock, type Context, Effect, Exit, type Random, Scope, Semaphore } from "effect"
import type { DiscoveryError } from "../discovery/Discovery.ts"
import { authorityOf } from "../discovery/Endpoint.ts"
import type { Code } from "../status/Code.ts"
import type { Connector } from "../transport/Connector.ts"
import { Transport } from "../transport/Transport.ts"
import { type InvalidMultiEndpoints, UnknownMultiEndpoint } from "./MultiEndpointError.ts"
import { type List, read, type ReadList } from "./PriorityList.ts"
import * as MultiEndpointMetrics from "./MultiEndpointMetrics.ts"
import * as Pools from "./EndpointPools.ts"
import { Driver, type DriverEnvironment } from "./Driver.ts"
import * as State from "./MultiEndpointState.ts"
import { CallCounts } from "./CallCounts.ts"

/** How lists are read and their endpoints probed. */
export interface Options<R> extends Pools.Options<R> {
  /** The port of addresses that name none. */
  readonly port: number
  readonly failureCodes: ReadonlyArray<Code>
  /** Probes an endpoint that was left for its error rate; succeeds if it serves. */
  readonly probe: Effect.Effect<unknown, unknown, Transport>
}

/** The services, scopes and callbacks that lists run with. */
export interface Environment<R> {
  readonly clock: Clock.Clock
  readonly random: Random.Random
  readonly context: Context.Context<R | Connector>
  /** The scope of the pools, which drain at the same time. */
  readonly poolScope: Scope.Scope
  readonly listScope: Scope.Scope
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Another endpoint has become the current one of a list. */
  readonly switched: (list: string, command: State.Switched, authority: string) => void
}

/** The lists that are in use. */
export class Lists<R> {
  readonly pools: Pools.EndpointPools<R>
  readonly callCounts: CallCounts
  readonly #options: Options<R>
  readonly #environment: Environment<R>
  readonly #driverEnvironment: DriverEnvironment
  readonly #byName = new Map<string, Driver>()
  readonly #updating = Semaphore.makeUnsafe(1)
  #default: Driver | undefined
  /** The scope of the metrics of the lists in use. */
  #reported: Scope.Closeable | undefined

  constructor(options: Options<R>, environment: Environment<R>) {
    this.#options = options
    this.#environment = environment
    this.callCounts = new CallCounts(options.failureCodes)
    this.pools = new Pools.EndpointPools(options, {
      context: environment.context,
      scope: environment.poolScope,
      onReadyChange: (pool) => {
        if (this.pools.byId.get(pool.endpoint.id) === pool) this.#announce(pool)
      }
    })
    this.#driverEnvironment = {
      clock: environment.clock,
      random: environment.random,
      callCount: this.callCounts.of,
      fork: environment.fork,
      probe: (endpoint) => this.#probe(endpoint),
      switched: ({ name }, command) =>
        environment.switched(name, command, authorityOf(this.pools.byId.get(command.to)!.endpoint))
    }
  }

  get all(): ReadonlyArray<Driver> {
    return [...this.#byName.values()]
  }

  /** A list by its name, or the default one. */
  find(name: string | undefined): Driver | undefined {
    return name === undefined ? this.#default : this.#byName.get(name)
  }

  unknown(name: string): UnknownMultiEndpoint {
    return new UnknownMultiEndpoint({ name, known: [...this.#byName.keys()] })
  }

  /** The pool of a list's current endpoint. */
  poolOf({ state }: Driver): Pools.EndpointPool {
    return this.pools.byId.get(state.current)!
  }

  /**
   * Replaces the lists, one update after another. Waits at most `warmUp` milliseconds for new endpoints to be ready. Lists
   * that are wrong, and endpoints whose discovery cannot begin, change nothing.
   */
  update(input: ReadonlyArray<List>, warmUp: number): Effect.Effect<void, InvalidMultiEndpoints | DiscoveryError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const { backends, lists } = yield* Effect.fromResult(read(input, this.#options.port))
        const opened = yield* restore(this.pools.prepare(backends, warmUp))
        const retired = this.pools.publish(opened)
        yield* this.#apply(lists)
        yield* retired
        const grace = Math.max(...lists.map(({ settings }) => settings.switchingMillis))
        yield* this.pools.retain(new Set(backends.keys()), grace)
        this.callCounts.retain(backends)
      })
    ).pipe((self) => this.#updating.withPermit(self))
  }

  #apply(next: ReadonlyArray<ReadList>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const removed = this.all.filter(({ name }) => next.every((list) => list.name !== name))
      for (const list of removed) {
        this.#byName.delete(list.name)
        list.closed = true
      }
      for (const list of next) {
        const running = this.#byName.get(list.name)
        if (running === undefined) this.#byName.set(list.name, yield* this.#start(list))
        else {
          const { endpoints, settings } = list
          running.handle({ _tag: "Updated", endpoints, settings, available: this.pools.ready })
        }
      }
      this.callCounts.enabled = next.some(({ settings }) => settings.errorRate !== undefined)
      this.#default = this.#byName.get(next[0]!.name)
      for (const pool of this.pools.byId.values()) this.#announce(pool)
      for (const list of [...removed, ...this.all]) list.rerouted.set()
      yield* this.#report
      yield* Effect.forEach(removed, ({ scope }) => Scope.close(scope, Exit.void))
    })
  }

  #start({ endpoints, name, settings }: ReadList): Effect.Effect<Driver> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.fork(this.#environment.listScope)
      const list = new Driver(this.#driverEnvironment, {
        name,
        scope,
        start: (context) => State.make({ endpoints, settings, available: this.pools.ready }, context)
      })
      yield* Effect.forkIn(list.run, scope)
      return list
    })
  }

  /** Replaces the metrics of the previous lists by those of the lists in use. */
  get #report(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { context, listScope } = this.#environment
      if (this.#reported !== undefined) yield* Scope.close(this.#reported, Exit.void)
      this.#reported = yield* Scope.fork(listScope)
      yield* MultiEndpointMetrics.report(this.all).pipe(Scope.provide(this.#reported), Effect.provideContext(context))
    })
  }

  /** Reports the readiness of an endpoint to every list. */
  #announce({ endpoint, ready }: Pools.EndpointPool): void {
    for (const list of this.all) list.reportReadiness(endpoint.id, ready.current())
  }

  #probe(endpoint: string): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const pool = this.pools.byId.get(endpoint)
      if (pool === undefined) return Effect.interrupt
      return Effect.provideService(this.#options.probe, Transport, pool.invoker)
    })
  }
}
