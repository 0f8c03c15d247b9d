/**
 * The lists of a multi-endpoint transport, and how they are replaced.
 *
 * An update opens what is new before anything is changed, so an address that cannot be used leaves everything as it is.
 * Then the lists change in one step, and only after that what is no longer named is closed.
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
import { Running, type Surroundings } from "./Driver.ts"
import * as State from "./MultiEndpointState.ts"
import * as Tallies from "./CallCounts.ts"

/** How lists are read and watched. */
export interface Options<R> extends Pools.Options<R> {
  /** The port of addresses that name none. */
  readonly port: number
  readonly failureCodes: ReadonlyArray<Code>
  /** Asks an endpoint that was left for its error rate whether it is well. */
  readonly probe: Effect.Effect<unknown, unknown, Transport>
}

/** What lists need of the program they run in. */
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
  readonly tallies: Tallies.Tallies
  readonly #options: Options<R>
  readonly #environment: Environment<R>
  readonly #surroundings: Surroundings
  readonly #byName = new Map<string, Running>()
  readonly #updating = Semaphore.makeUnsafe(1)
  #default: Running | undefined
  /** The scope of what is reported of the lists as they are. */
  #reported: Scope.Closeable | undefined

  constructor(options: Options<R>, environment: Environment<R>) {
    this.#options = options
    this.#environment = environment
    this.tallies = Tallies.make(options.failureCodes)
    this.pools = new Pools.EndpointPools(options, environment.context, environment.poolScope, (pool) => {
      if (this.pools.byId.get(pool.endpoint.id) === pool) this.#announce(pool)
    })
    this.#surroundings = {
      clock: environment.clock,
      random: environment.random,
      tally: this.tallies.of,
      fork: environment.fork,
      probe: (endpoint) => this.#probe(endpoint),
      switched: ({ name }, command) =>
        environment.switched(name, command, authorityOf(this.pools.byId.get(command.to)!.endpoint))
    }
  }

  get all(): ReadonlyArray<Running> {
    return [...this.#byName.values()]
  }

  /** A list by its name, or the default one. */
  find(name: string | undefined): Running | undefined {
    return name === undefined ? this.#default : this.#byName.get(name)
  }

  unknown(name: string): UnknownMultiEndpoint {
    return new UnknownMultiEndpoint({ name, known: [...this.#byName.keys()] })
  }

  /** The pool of a list's current endpoint. */
  poolOf({ state }: Running): Pools.EndpointPool {
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
        this.tallies.retain(backends)
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
          running.happen({ _tag: "Updated", endpoints, settings, available: this.pools.ready })
        }
      }
      this.tallies.counting = next.some(({ settings }) => settings.errorRate !== undefined)
      this.#default = this.#byName.get(next[0]!.name)
      for (const pool of this.pools.byId.values()) this.#announce(pool)
      for (const list of [...removed, ...this.all]) list.moved.set()
      yield* this.#report
      yield* Effect.forEach(removed, ({ scope }) => Scope.close(scope, Exit.void))
    })
  }

  #start({ endpoints, name, settings }: ReadList): Effect.Effect<Running> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.fork(this.#environment.listScope)
      const list = new Running(name, scope, this.#surroundings, (moment) =>
        State.make(endpoints, settings, this.pools.ready, moment)
      )
      yield* Effect.forkIn(list.ticking, scope)
      return list
    })
  }

  /** What is reported of lists as they were gives way to what there is to report now. */
  get #report(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const { context, listScope } = this.#environment
      if (this.#reported !== undefined) yield* Scope.close(this.#reported, Exit.void)
      this.#reported = yield* Scope.fork(listScope)
      yield* MultiEndpointMetrics.report(this.all).pipe(Scope.provide(this.#reported), Effect.provideContext(context))
    })
  }

  /** Tells every list how an endpoint is. */
  #announce({ endpoint, ready }: Pools.EndpointPool): void {
    for (const list of this.all) list.see(endpoint.id, ready.current())
  }

  #probe(endpoint: string): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const pool = this.pools.byId.get(endpoint)
      if (pool === undefined) return Effect.interrupt
      return Effect.provideService(this.#options.probe, Transport, pool.invoker)
    })
  }
}
