import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random, Schedule } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  RoutePicker,
  FailureAccrual,
  Panic,
  Retry,
  RoundRobin,
  type RpcError,
  StaticDiscovery
} from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { recorder } from "../support/spans.ts"

/** What the attempts of these calls say of their peers. */
const reasons = Effect.fnUntraced(function* (
  options: Omit<Balancer.Options, "discovery">,
  hosts: number,
  calls: (
    call: (failCode: number) => Effect.Effect<unknown, RpcError.RpcError>
  ) => Effect.Effect<unknown, RpcError.RpcError>
) {
  const spans = recorder()
  yield* Effect.gen(function* () {
    const network = yield* TestNetwork.TestNetwork
    const addresses = Array.from({ length: hosts }, (_, i) => `h${i}:1`)
    for (const address of addresses) yield* network.serve(address, { handlers: [echoHandlers(address)] })
    const pool = Balancer.layer({ discovery: StaticDiscovery.make(addresses), eager: true, ...options })
    const echo = yield* Effect.provide(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
    yield* TestClock.adjust("1 second")
    yield* calls((failCode) => echo.lookup({ failCode }))
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(TestNetwork.layer, spans.layer)))
  return spans.spans
    .filter(({ name }) => name.startsWith("Attempt."))
    .map(({ attributes }) => [
      attributes.get("trunkline.peer"),
      attributes.get("trunkline.picker"),
      attributes.get("trunkline.pick_reason")
    ])
})

const UNAVAILABLE = 14

describe("an attempt says why it went to its peer", () => {
  it.effect("the picker chose it, or others were avoided, until there was no other", () =>
    Effect.gen(function* () {
      const policy = Retry.onCodes(["UNAVAILABLE"], Schedule.max([Schedule.spaced(0), Schedule.recurs(2)]))
      const said = yield* reasons({ picker: RoundRobin.make() }, 2, (call) =>
        Effect.exit(call(UNAVAILABLE).pipe(Retry.withPolicy(policy)))
      )
      assert.deepStrictEqual(
        said.map(([, ...why]) => why),
        [
          ["RoundRobin", "chosen"],
          ["RoundRobin", "avoided"],
          ["RoundRobin", "no_other"]
        ]
      )
      assert.notStrictEqual(said[0]![0], said[1]![0])
    })
  )

  it.effect("the call named it", () =>
    Effect.gen(function* () {
      const said = yield* reasons({ picker: RoutePicker.make({ otherwise: RoundRobin.make() }) }, 3, (call) =>
        call(0).pipe(CallOptions.withPeer("h2:1"))
      )
      assert.deepStrictEqual(said, [["h2:1", "Dispatch", "named"]])
    })
  )

  it.effect("it was the one call of a peer on probation, or nobody was believed", () =>
    Effect.gen(function* () {
      const signals = [FailureAccrual.make({ policy: FailureAccrual.consecutive(1), delay: "5 seconds" })]
      const failThenWait = (call: (failCode: number) => Effect.Effect<unknown, RpcError.RpcError>) =>
        Effect.exit(call(UNAVAILABLE)).pipe(
          Effect.andThen(TestClock.adjust("20 seconds")),
          Effect.andThen(call(0)),
          Effect.andThen(TestClock.adjust(1)),
          Effect.andThen(call(0))
        )
      const careful = yield* reasons({ picker: RoundRobin.make(), signals }, 1, failThenWait)
      assert.deepStrictEqual(
        careful.map(([, , why]) => why),
        ["chosen", "probe", "chosen"]
      )
      const panicky = yield* reasons({ picker: Panic.below(RoundRobin.make(), 0.5), signals }, 1, (call) =>
        Effect.andThen(Effect.exit(call(UNAVAILABLE)), Effect.andThen(TestClock.adjust(1), call(0)))
      )
      assert.deepStrictEqual(panicky, [
        ["h0:1", "RoundRobin", "chosen"],
        ["h0:1", "RoundRobin", "panic"]
      ])
    }).pipe(Random.withSeed("probe"))
  )
})
