/** Lists of endpoints under a test's control, as the rules alone and as the real thing on a test clock. */
import { Context, Effect, Layer, Result, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Endpoint, MultiEndpoint } from "trunkline"
import { Discovery, StateRef } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import * as State from "../../src/multiendpoint/MultiEndpointState.ts"

/** What a timeline does to a list, and what it looks at. */
export interface World {
  readonly up: (endpoint: string) => Effect.Effect<void>
  readonly down: (endpoint: string) => Effect.Effect<void>
  readonly pass: (millis: number) => Effect.Effect<void>
  readonly update: (endpoints: ReadonlyArray<string>, timings: Timings) => Effect.Effect<void>
  readonly look: Effect.Effect<{ readonly current: string; readonly switches: Readonly<Record<State.Reason, number>> }>
}

export interface Timings {
  readonly recovery?: number
  readonly delay?: number
}

export const settings = ({ delay = 0, recovery = 0 }: Timings): State.Settings => ({
  recoveryMillis: recovery,
  switchingMillis: delay,
  jitter: 0,
  errorRate: undefined
})

const quiet = { chance: 0, callCount: () => ({ calls: 0, failures: 0 }) }

/** The rules, stepped when something falls due, as their driver does. */
export const rules = (endpoints: ReadonlyArray<string>, timings: Timings): Effect.Effect<World> =>
  Effect.sync(() => {
    let now = 0
    const up = new Set<string>()
    let state = State.make({ endpoints, settings: settings(timings), available: up }, { ...quiet, now })
    const happen = (event: State.Event) => {
      state = State.step(state, event, { ...quiet, now })[0]
    }
    return {
      up: (endpoint) =>
        Effect.sync(() => {
          up.add(endpoint)
          happen({ _tag: "Up", endpoint })
        }),
      down: (endpoint) =>
        Effect.sync(() => {
          up.delete(endpoint)
          happen({ _tag: "Down", endpoint })
        }),
      pass: (millis) =>
        Effect.sync(() => {
          const end = now + millis
          for (let due = State.dueAt(state); due <= end; due = State.dueAt(state)) {
            now = due
            happen({ _tag: "Elapsed" })
          }
          now = end
        }),
      update: (endpoints, timings) =>
        Effect.sync(() => happen({ _tag: "Updated", endpoints, settings: settings(timings), available: new Set(up) })),
      look: Effect.sync(() => ({ current: state.current, switches: state.switches }))
    }
  })

/** Lets every fiber come to rest without letting time pass. */
export const settle = Effect.gen(function* () {
  for (let i = 0; i < 50; i++) yield* Effect.yieldNow
  yield* TestClock.adjust(0)
  for (let i = 0; i < 50; i++) yield* Effect.yieldNow
})

const address = (name: string): string => `${name}:1`

/** The layer over a network in memory; an endpoint is up while its discovery names a peer. */
export const running = Effect.fnUntraced(function* (endpoints: ReadonlyArray<string>, timings: Timings) {
  const network = yield* TestNetwork.TestNetwork
  const peers = new Map<string, StateRef.Writable<ReadonlyArray<Endpoint.Endpoint>>>()
  const peersOf = (id: string) => {
    let found = peers.get(id)
    if (found === undefined) peers.set(id, (found = StateRef.make<ReadonlyArray<Endpoint.Endpoint>>([])))
    return found
  }
  const list = (endpoints: ReadonlyArray<string>, { delay = 0, recovery = 0 }: Timings) => [
    { name: "default", endpoints: endpoints.map(address), recoveryTimeout: recovery, switchingDelay: delay }
  ]
  const context = yield* Layer.build(
    MultiEndpoint.layer({
      multiEndpoints: list(endpoints, timings),
      warmUp: 0,
      discovery: (endpoint) => Discovery.make(endpoint.id, peersOf(endpoint.id).changes)
    })
  )
  const service = Context.get(context, MultiEndpoint.MultiEndpoint)
  const served = new Set<string>()
  const world: World = {
    up: (name) =>
      Effect.gen(function* () {
        const id = address(name)
        if (!served.has(id)) {
          served.add(id)
          yield* Effect.orDie(Scope.provide(network.serve<never>(id, { handlers: [] }), yield* Scope.make()))
        }
        peersOf(id).set([Result.getOrThrow(Endpoint.parse(id))])
        yield* settle
      }),
    down: (name) =>
      Effect.andThen(
        Effect.sync(() => peersOf(address(name)).set([])),
        settle
      ),
    pass: (millis) => Effect.andThen(TestClock.adjust(millis), settle),
    update: (endpoints, timings) => Effect.andThen(Effect.orDie(service.update(list(endpoints, timings))), settle),
    look: Effect.map(service.snapshot, ({ multiEndpoints }) => {
      const { current, switches } = multiEndpoints[0]!
      return { current: current.split(":")[0]!, switches }
    })
  }
  yield* settle
  return world
})
