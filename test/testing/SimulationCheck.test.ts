import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Simulation } from "trunkline/testing"

const server: Simulation.Server = { takes: 1 }
const good: Simulation.Options = { duration: 1000, servers: [server], clients: [{ callsPerSecond: 10 }] }

describe("a simulation that cannot be", () => {
  it.effect.each<readonly [string, Partial<Simulation.Options>]>([
    ["duration", { duration: 0 }],
    ["duration", { duration: NaN }],
    ["duration", { duration: -1 }],
    ["duration", { duration: Infinity }],
    ["drain", { drain: -1 }],
    ["servers", { servers: [] }],
    ["servers[1].takes", { servers: [server, { takes: -1 }] }],
    ["servers[0].atOnce", { servers: [{ ...server, atOnce: 0 }] }],
    ["servers[0].atOnce", { servers: [{ ...server, atOnce: NaN }] }],
    ["servers[0].weight", { servers: [{ ...server, weight: -1 }] }],
    ["servers[0].joins", { servers: [{ ...server, joins: NaN }] }],
    ["servers[0].leaves", { servers: [{ ...server, joins: 5, leaves: 4 }] }],
    ["servers[0].faults[0].share", { servers: [{ ...server, faults: [Simulation.failing({ share: 2 })] }] }],
    ["servers[0].faults[0].to", { servers: [{ ...server, faults: [Simulation.down({ from: 5, to: 4 })] }] }],
    ["clients[0].callsPerSecond", { clients: [{ callsPerSecond: 0 }] }],
    ["clients[0].callsPerSecond", { clients: [{ callsPerSecond: NaN }] }]
  ])("is refused by its field, %s", ([field, options]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Simulation.run({ ...good, ...options }))
      assert.deepStrictEqual([error._tag, error.field], ["InvalidSimulation", field])
    })
  )
})
