/** What a client takes from its context besides the transport. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, Interceptor, Retry, RoundRobin, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

const hosts = ["a:1", "b:1"]
const serve = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  return network
})
const pool = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), eager: true })

describe("layers below a client", () => {
  it.effect("interceptors see calls, not attempts, the first outermost", () =>
    Effect.gen(function* () {
      const network = yield* serve
      const seen: Array<string> = []
      const noting = (name: string): Interceptor.Interceptor => ({
        ...Interceptor.identity,
        unary: (next) => (method, request, call) =>
          Effect.suspend(() => {
            seen.push(`${name} ${method.name}`)
            return next(method, request, call)
          })
      })
      const live = Echo.layer.pipe(
        Layer.provide(Interceptor.layer(noting("outer"), noting("inner"))),
        Layer.provide(Retry.layer(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 second")))),
        Layer.provide(pool)
      )
      const reply = yield* Effect.gen(function* () {
        const echo = yield* Echo
        yield* TestClock.adjust("1 minute")
        for (const host of hosts) yield* network.kill(host)
        const call = yield* Effect.forkChild(echo.echo({ text: "through" }))
        yield* TestClock.adjust(500)
        for (const host of hosts) yield* network.restart(host)
        yield* TestClock.adjust("1 minute")
        return yield* call.pollUnsafe()!
      }).pipe(Effect.provide(live))
      assert.strictEqual(reply.text, "through")
      assert.deepStrictEqual(seen, ["outer Echo", "inner Echo"])
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("an operator sets a pool from the environment", () =>
    Effect.gen(function* () {
      yield* serve
      const configured = Balancer.layerConfig({
        discovery: Config.map(Config.String("BACKENDS"), (list) => StaticDiscovery.make(list.split(","))),
        picker: Config.succeed(RoundRobin.make()),
        chooseTimeout: Config.Duration("CHOOSE_TIMEOUT")
      })
      const environment = ConfigProvider.fromUnknown({ BACKENDS: "b:1", CHOOSE_TIMEOUT: "1 second" })
      const call = Effect.flatMap(Echo, (echo) => echo.lookup({}))
      const reply = yield* call.pipe(
        Effect.provide(Echo.layer.pipe(Layer.provide(configured))),
        Effect.provideService(ConfigProvider.ConfigProvider, environment)
      )
      assert.strictEqual(reply.server, "b:1")
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("a missing setting is named", () =>
    Effect.gen(function* () {
      const configured = Balancer.layerConfig({
        discovery: Config.map(Config.String("BACKENDS"), (list) => StaticDiscovery.make([list])),
        picker: Config.succeed(RoundRobin.make())
      })
      const error = yield* Layer.build(configured).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({})),
        Effect.flip
      )
      assert.include(String(error), "BACKENDS")
    }).pipe(Effect.provide(TestNetwork.layer))
  )
})
