/** One run: a question asked so many times a second, and everybody who watches. */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import type { Endpoint, RpcError } from "trunkline"
import type { Connector, PeerRegistry } from "trunkline/extend"
import type { BackendError } from "./Backends.ts"
import * as Faults from "./Faults.ts"
import type { Histogram } from "./Histogram.ts"
import type { Journal } from "./Journal.ts"
import * as Load from "./Load.ts"
import * as Peers from "./Peers.ts"
import type { Screen } from "./Screen.ts"
import * as Summary from "./Summary.ts"
import type { Frame, Row } from "./Table.ts"

export interface Options {
  readonly journal: Journal
  readonly screen: Screen
  readonly seconds: number
  readonly rate: number
  readonly ask: Effect.Effect<unknown, RpcError.RpcError>
  readonly backends: ReadonlyArray<{ readonly name: string; readonly endpoint: Endpoint.Endpoint }>
  readonly faults?: Faults.Faults | undefined
}

/** Calls made before those that count, a few at a time. */
const firstCalls = 200

/** How often the screen is drawn. */
const drawEvery = "100 millis"

/** A row for each peer, with the share and percentiles of some latencies of its attempts. */
const rowsOf = (
  { faults }: Options,
  peers: ReadonlyArray<Peers.Watched>,
  latencyOf: (peer: string) => Histogram
): ReadonlyArray<Row> => {
  const total = peers.reduce((sum, { peer }) => sum + latencyOf(peer.id).count, 0)
  return peers.map(({ name, peer }) => {
    const { failed, pending, started } = peer.stats
    const latency = latencyOf(peer.id)
    return {
      name,
      note: faults === undefined ? "" : Faults.conditionOf(faults, name),
      state: peer.status.state,
      inFlight: pending,
      calls: started,
      share: total === 0 ? undefined : latency.count / total,
      p50: latency.percentile(50),
      p99: latency.percentile(99),
      failed
    }
  })
}

const frameOf = (options: Options, peers: ReadonlyArray<Peers.Watched>): Frame => {
  const { journal, seconds } = options
  const now = journal.now()
  return {
    elapsed: now,
    seconds,
    phase: journal.phases.at(-1)!.name,
    calls: journal.sum((phase) => phase.calls),
    failed: journal.sum((phase) => phase.failed),
    retries: journal.sum((phase) => phase.retries),
    rows: rowsOf(options, peers, (peer) => journal.latencies(peer).second.at(now))
  }
}

/** Runs it all and prints the summary. Answers how many calls failed. */
export const run = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<
  number,
  RpcError.RpcError | BackendError,
  Connector.Connector | PeerRegistry.PeerRegistry | Scope.Scope
> {
  const { ask, backends, faults, journal, rate, screen, seconds } = options
  const peers = yield* Effect.forEach(backends, ({ endpoint, name }) => Peers.watch(name, endpoint, journal))
  const draw = Effect.sync(() => screen.draw(journal.events.splice(0), frameOf(options, peers)))

  // They connect the pool and warm the code up, and say at once if nothing can be asked.
  yield* Effect.forEach(Array.from({ length: firstCalls }), () => ask, { concurrency: 4, discard: true })
  journal.start(faults === undefined ? "all" : Faults.phases.before)
  const drawing = yield* Effect.forkScoped(Effect.forever(Effect.andThen(draw, Effect.sleep(drawEvery))))
  const call = (due: number) =>
    Effect.suspend(() => {
      const end = journal.call(due)
      return Effect.map(Effect.exit(ask), (exit) => end(Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined))
    })
  yield* Effect.all(
    [
      Load.run(call, { rate, seconds, now: () => journal.now() }),
      faults === undefined ? Effect.void : Faults.inject(faults, journal, seconds)
    ],
    { concurrency: "unbounded", discard: true }
  )
  yield* Fiber.interrupt(drawing)
  yield* draw
  const rows = rowsOf(options, peers, (peer) => journal.latencies(peer).whole)
  screen.end(Summary.render({ journal, end: journal.now(), rows, peers, faults }, screen.paint))
  return journal.sum((phase) => phase.failed)
})
