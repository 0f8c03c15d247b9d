/**
 * What a policy does on a bad day, before the day.
 *
 * Servers, what goes wrong with them and the calls of the clients are simulated; between them are the real client, retry
 * loop, pool, pickers, loads and signals. Time jumps from event to event and chance has a seed, so a minute of thousands of
 * calls a second takes a second or two, and is the same each time. The arrivals and the work are the same for every policy
 * too: what differs between two reports is the policy.
 *
 * @example
 * import { Effect } from "effect"
 * import { CallOptions, RoundRobin } from "trunkline"
 * import { Simulation } from "trunkline/testing"
 *
 * const work = Simulation.exponential("10 millis")
 * const report = await Effect.runPromise(
 *   Simulation.run({
 *     duration: "10 seconds",
 *     servers: [{ takes: work }, { takes: work, faults: [Simulation.frozen({ from: "5 seconds" })] }],
 *     clients: [
 *       {
 *         callsPerSecond: 100,
 *         balancer: { picker: RoundRobin.make() },
 *         calls: [CallOptions.withDeadline("1 second")]
 *       }
 *     ]
 *   })
 * )
 * report.between(0, "4 seconds").successRate // => 1
 * Math.round(report.between("5 seconds", "10 seconds").successRate * 10) // => 5
 */
import { type Cause, Clock, Duration, Effect, Exit, Random, Result, Scope } from "effect"
import * as Discovery from "../discovery/Discovery.ts"
import * as Endpoint from "../discovery/Endpoint.ts"
import { Connector } from "../transport/Connector.ts"
import * as StateRef from "../transport/StateRef.ts"
import { check, type InvalidSimulation } from "./SimulationCheck.ts"
import * as SimulationClient from "./SimulationClient.ts"
import { SimulationClock } from "./SimulationClock.ts"
import * as Connection from "./SimulationConnection.ts"
import { Log } from "./SimulationLog.ts"
import type { Options } from "./SimulationOptions.ts"
import { Report } from "./SimulationReport.ts"
import { type Server, SimulationServer } from "./SimulationServer.ts"

export { InvalidSimulation } from "./SimulationCheck.ts"
export type { Client, Setting } from "./SimulationClient.ts"
export type { Options } from "./SimulationOptions.ts"
export type { EndedCall, Report } from "./SimulationReport.ts"
export { down, failing, type Fault, frozen, slower, type Span, taking } from "./SimulationFault.ts"
export type { Server } from "./SimulationServer.ts"
export { constant, exponential, normal, type Times, uniform } from "./SimulationTimes.ts"

/** A source of chance of its own for each part, so that what one does changes nothing for another. */
const chanceOf = (seed: string): (() => number) => {
  const random = Effect.runSync(Random.Random.pipe(Random.withSeed(seed)))
  return () => random.nextDoubleUnsafe()
}

const nameOf = (index: number): string => `server-${index}:1`

const endpointOf = ({ weight }: Server, index: number): Endpoint.Endpoint => ({
  ...Result.getOrThrow(Endpoint.parse(nameOf(index))),
  weight: weight ?? 1
})

/** Names the servers that are there, when one comes or goes. */
const discover = (servers: ReadonlyArray<Server>, clock: SimulationClock): Discovery.Discovery => {
  const spans = servers.map((server, index) => ({
    endpoint: endpointOf(server, index),
    joins: Duration.toMillis(server.joins ?? 0),
    leaves: server.leaves === undefined ? Infinity : Duration.toMillis(server.leaves)
  }))
  const present = () =>
    spans.flatMap(({ endpoint, joins, leaves }) => (joins <= clock.now && clock.now < leaves ? [endpoint] : []))
  const listed = StateRef.make(present())
  for (const at of new Set(spans.flatMap(({ joins, leaves }) => [joins, leaves]))) {
    if (at > 0 && at < Infinity) clock.at(at, () => listed.set(present()))
  }
  return Discovery.make("simulation", listed.changes)
}

/** Runs an effect in the world until it is done. */
const runIn = <A, E>(clock: SimulationClock, effect: Effect.Effect<A, E>): Exit.Exit<A, E> => {
  const fiber = Effect.runFork(Effect.provideService(effect, Clock.Clock, clock), { scheduler: clock.scheduler })
  clock.run(Infinity, () => fiber.pollUnsafe() === undefined)
  return fiber.pollUnsafe() ?? Exit.die("the simulated world has come to a stop")
}

const simulate = ({ clients, drain, duration, seed = "Simulation", servers }: Options): Exit.Exit<Report> => {
  const clock = new SimulationClock()
  const log = new Log(servers.map((_, index) => nameOf(index)))
  const sites = new Map(
    servers.map((server, index) => {
      const name = nameOf(index)
      const simulated = new SimulationServer(name, server, clock, chanceOf(`${seed}/${name}`))
      return [name, new Connection.Site(simulated, clock, log, index)]
    })
  )
  const until = Duration.toMillis(duration)
  let broken: Cause.Cause<never> | undefined
  const world: SimulationClient.World = {
    clock,
    log,
    until,
    discovery: discover(servers, clock),
    broken: (cause) => void (broken ??= cause)
  }
  const startAll = Effect.forEach(
    clients,
    (client, index) =>
      Effect.suspend(() => SimulationClient.start(client, index, world, chanceOf(`${seed}/arrivals/${index}`))).pipe(
        Random.withSeed(`${seed}/client/${index}`)
      ),
    { discard: true }
  )

  const scope = Scope.makeUnsafe()
  const started = startAll.pipe(
    Effect.provideService(Connector, { connect: (endpoint) => Connection.open(sites.get(endpoint.id)!) }),
    Scope.provide(scope),
    (start) => runIn(clock, start)
  )
  if (Exit.isSuccess(started)) {
    const end = until + Duration.toMillis(drain ?? "10 minutes")
    clock.run(end, () => broken === undefined && (clock.now < until || log.open > 0))
  }
  // What the end of the world does to calls that are left is no part of it.
  log.close()
  runIn(clock, Scope.close(scope, Exit.void))
  return broken === undefined ? Exit.map(started, () => new Report(log, 0, until)) : Exit.failCause(broken)
}

/**
 * Simulates and says what came of it. A defect of a policy is the simulation's; options that cannot be fail by their name.
 *
 * @category running
 * @since 0.1.0
 */
export const run = (options: Options): Effect.Effect<Report, InvalidSimulation> =>
  Effect.suspend(() => {
    const problem = check(options)
    return problem === undefined ? simulate(options) : Effect.fail(problem)
  })
