/** What is counted onto channels is what is under way, whatever happens and in whichever order. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Affinity, Balancer, CallOptions, ChannelPool, Client, RoundRobin, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { settle } from "../support/multiEndpoints.ts"

const host = "a:1"
const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
const Step = Schema.Union([
  Schema.Struct({ call: Small }),
  Schema.Struct({ keyed: Small }),
  Schema.Struct({ interrupt: Small }),
  Schema.Struct({ pass: Small }),
  Schema.Struct({ fail: Small }),
  Schema.Literals(["kill", "restart"])
])

describe("counting", () => {
  it.effect.prop(
    "sum of loads = calls under way, sizes stay in bounds, and nothing is left at the end",
    { steps: Schema.Array(Step) },
    ({ steps }) =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        yield* network.serve(host, { handlers: [echoHandlers(host)] })
        const layer = Balancer.layer({
          discovery: StaticDiscovery.make([host]),
          picker: RoundRobin.make(),
          eager: true,
          drainTimeout: 0
        }).pipe(
          Layer.provideMerge(
            ChannelPool.layer({
              min: 1,
              max: 4,
              initial: 2,
              minLoad: 1,
              maxLoad: 2,
              coolDown: 5,
              checkInterval: 10,
              drainGrace: 10,
              unresponsive: { failures: 2, silence: 5 }
            })
          ),
          Layer.provide(Affinity.layer({ keyLifetime: 20 }))
        )
        const context = yield* Layer.build(Layer.orDie(layer))
        const echo = yield* Effect.provideContext(Client.make(EchoService), context)
        const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
        yield* settle
        let calls: Array<Fiber.Fiber<unknown, unknown>> = []

        const check = Effect.gen(function* () {
          calls = calls.filter((call) => call.pollUnsafe() === undefined)
          const groups = yield* snapshot
          const loads = groups.flatMap(({ channels }) => channels.map(({ load }) => load))
          for (const load of loads) assert.isAtLeast(load, 0)
          for (const { channels, keys, load, size } of groups) {
            assert.isTrue(size <= 4, `${size} channels`)
            const used = channels.filter(({ draining }) => !draining)
            assert.strictEqual(
              load,
              used.reduce((sum, channel) => sum + channel.load, 0)
            )
            assert.strictEqual(
              keys,
              channels.reduce((sum, channel) => sum + channel.keys, 0)
            )
          }
          return loads.reduce((sum, load) => sum + load, 0)
        })

        for (const step of steps) {
          if (step === "kill") yield* network.kill(host)
          else if (step === "restart") yield* network.restart(host)
          else if ("pass" in step) yield* TestClock.adjust(step.pass)
          else if ("interrupt" in step) {
            const call = calls[step.interrupt]
            if (call !== undefined) yield* Fiber.interrupt(call)
          } else {
            const call =
              "call" in step
                ? echo.echo({ delayMillis: step.call })
                : "keyed" in step
                  ? CallOptions.withAffinityKey(`k${step.keyed % 3}`)(echo.echo({ delayMillis: 4 }))
                  : CallOptions.withDeadline(3)(echo.echo({ delayMillis: 5, failCode: step.fail }))
            calls.push(yield* Effect.forkChild(Effect.exit(CallOptions.failFast(call))))
          }
          yield* settle
          const load = yield* check
          assert.strictEqual(load, calls.length)
        }
        yield* TestClock.adjust(100)
        yield* settle
        assert.strictEqual(yield* check, 0)
      }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer)),
    { timeout: 60_000 }
  )
})
