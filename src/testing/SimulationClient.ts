/**
 * A simulated client: the real one, with the balancer and the policies it is given, and a source of calls.
 */
import { Cause, Effect, Exit, Layer, Schema, type Scope } from "effect"
import * as CallOptions from "../call/CallOptions.ts"
import * as Service from "../call/Service.ts"
import * as Client_ from "../client/Client.ts"
import type { Discovery } from "../discovery/Discovery.ts"
import * as Balancer from "../balancer/Balancer.ts"
import type { Connector } from "../transport/Connector.ts"
import type { SimulationClock } from "./SimulationClock.ts"
import { type Log, nowhere } from "./SimulationLog.ts"
import * as Times from "./SimulationTimes.ts"

/** A client as an effect: it starts, and makes its calls by itself. */
export type Started = Effect.Effect<void, never, Connector | Scope.Scope>

/**
 * What holds for the calls of a client: options, policies, budgets, whatever is put on a program or provided to it.
 *
 * @category models
 * @since 0.1.0
 */
export type Setting = (client: Started) => Started

/**
 * A client to simulate.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client {
  readonly callsPerSecond: number
  /** Whether calls come at random, as those of many users do, or in step. Default random. */
  readonly arrivals?: "random" | "even" | undefined
  /** How it balances. Default as `Balancer` does of itself. */
  readonly balancer?: Omit<Balancer.Options, "discovery"> | undefined
  /** What its calls are made with, as in a program: `[CallOptions.withDeadline("1 second"), Retry.withPolicy(policy)]`. */
  readonly calls?: ReadonlyArray<Setting> | undefined
  /** The hash key of its n-th call, from 0. Default none. */
  readonly key?: ((n: number) => string) | undefined
}

/** No message is sent, and the answer is the place of the server that gave it. */
const Backend = Service.make("simulation.Backend", { ask: Service.unary(Schema.Void, Schema.Number) })

/** Where a client lives. */
export interface World {
  readonly clock: SimulationClock
  readonly log: Log
  readonly discovery: Discovery
  /** No call begins from here on; milliseconds since the beginning. */
  readonly until: number
  /** Told of what is no failure of a call but a mistake of whoever made the policy. */
  readonly broken: (cause: Cause.Cause<never>) => void
}

const intervals = ({ arrivals, callsPerSecond }: Client): Times.Times =>
  arrivals === "even" ? Times.constant(1000 / callsPerSecond) : Times.exponential(1000 / callsPerSecond)

const begin = Effect.fnUntraced(function* (
  client: Client,
  index: number,
  world: World,
  chance: () => number
): Effect.fn.Return<void, never, Connector | Scope.Scope> {
  const { broken, clock, log } = world
  const balancer = Balancer.layer({ ...client.balancer, discovery: world.discovery })
  const context = yield* Layer.build(Layer.orDie(balancer))
  const backend = yield* Effect.provideContext(Client_.make(Backend), context)
  const ask = backend.ask(undefined)
  const run = Effect.runForkWith(yield* Effect.context())

  const call = (n: number): void => {
    const number = log.begin(clock.now, index)
    const asked = client.key === undefined ? ask : CallOptions.withHashKey(client.key(n))(ask)
    run(asked).addObserver((exit) => {
      if (Exit.isSuccess(exit)) return log.end(number, clock.now, "OK", exit.value)
      const failure = exit.cause.reasons.find(Cause.isFailReason)
      if (failure === undefined) return broken(exit.cause as Cause.Cause<never>)
      const { code, peer } = failure.error
      log.end(number, clock.now, code, peer === undefined ? nowhere : log.servers.indexOf(peer))
    })
  }

  const interval = intervals(client)
  const next = (at: number, n: number): void => {
    if (at >= world.until) return
    clock.at(at, () => {
      call(n)
      next(at + interval(chance), n + 1)
    })
  }
  // Clients that call in step do not call together.
  next(clock.now + interval(chance) * (client.arrivals === "even" ? chance() : 1), 0)
})

/** A client that makes calls by itself from now on. */
export const start = (client: Client, index: number, world: World, chance: () => number): Started =>
  (client.calls ?? []).reduce((started, set) => set(started), begin(client, index, world, chance))
