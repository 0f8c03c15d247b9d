/** What a client takes from its context besides the transport. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  Interceptor,
  type Method,
  Retry,
  RoundRobin,
  StaticDiscovery,
  type Transport
} from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

const hosts = ["a:1", "b:1"]
const serve = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  return network
})
const pool = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), eager: true })

/** Writes down the calls that pass. */
const noting = (seen: Array<string>, name: string): Interceptor.Interceptor => {
  const noted = <A, E, R>(method: Method.Any, rest: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      seen.push(`${name} ${method.name}`)
      return rest
    })
  return {
    unary: (next) => (method, request, call) => noted(method, next(method, request, call)),
    stream: (next) => (method, requests, call) => noted(method, next(method, requests, call))
  }
}

/** What a unary and a streaming call leave with clients over these layers. */
const notesOf = Effect.fnUntraced(function* <E>(
  layersOf: (layer: LayerOf) => Layer.Layer<Echo, E, Transport.Transport>
) {
  yield* serve
  const seen: Array<string> = []
  const live = layersOf((...names) => Interceptor.layer(...names.map((name) => noting(seen, name))))
  yield* Effect.gen(function* () {
    const echo = yield* Echo
    yield* echo.echo({})
    yield* Stream.runDrain(echo.expand({}))
  }).pipe(Effect.provide(live.pipe(Layer.provide(pool))))
  return seen
})
type LayerOf = (...names: ReadonlyArray<string>) => Layer.Layer<never>

const abc = ["a Echo", "b Echo", "c Echo", "a Expand", "b Expand", "c Expand"]

/** The same three interceptors, layered in every way that keeps their order. */
const stacks: Readonly<Record<string, (layer: LayerOf) => Layer.Layer<never>>> = {
  "one layer": (layer) => layer("a", "b", "c"),
  "two layers": (layer) => Layer.provide(layer("c"), layer("a", "b")),
  "two other layers": (layer) => Layer.provide(layer("b", "c"), layer("a")),
  "three layers, the outer two first": (layer) => Layer.provide(layer("c"), Layer.provide(layer("b"), layer("a"))),
  "three layers, the inner two first": (layer) => Layer.provide(Layer.provide(layer("c"), layer("b")), layer("a")),
  "with empty ones": (layer) => layer().pipe(Layer.provide(layer("a", "b", "c")), Layer.provide(layer())),
  "merged on": (layer) => layer("c").pipe(Layer.provideMerge(layer("b")), Layer.provideMerge(layer("a"))),
  "made by an effect": (layer) => Layer.provide(Layer.unwrap(Effect.sync(() => layer("b", "c"))), layer("a"))
}

describe("layers of interceptors", () => {
  it.effect.each(Object.entries(stacks))("%s: compose, the last provided outermost", ([_name, stack]) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* notesOf((layer) => Layer.provide(Echo.layer, stack(layer))), abc)
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("the effect a client is made in has the outermost", () =>
    Effect.gen(function* () {
      const seen = yield* notesOf((layer) =>
        Layer.effect(Echo, Effect.provide(Client.make(EchoService), layer("b", "c"))).pipe(Layer.provide(layer("a")))
      )
      assert.deepStrictEqual(seen, abc)
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  class Other extends Client.Service<Other>()("test/Other", EchoService) {}

  it.effect.each(["a layer", "a layer made by an effect"])(
    "%s used twice takes what is outside of it each time",
    (how) =>
      Effect.gen(function* () {
        yield* serve
        const seen: Array<string> = []
        let made = 0
        const one = Interceptor.layer(noting(seen, "b"))
        const shared =
          how === "a layer"
            ? one
            : Layer.unwrap(
                Effect.sync(() => {
                  made++
                  return one
                })
              )
        const live = Layer.merge(
          Echo.layer.pipe(Layer.provide(shared), Layer.provide(Interceptor.layer(noting(seen, "a")))),
          Other.layer.pipe(Layer.provide(shared), Layer.provide(Interceptor.layer(noting(seen, "c"))))
        )
        yield* Effect.gen(function* () {
          yield* (yield* Echo).echo({})
          yield* (yield* Other).lookup({})
        }).pipe(Effect.provide(live.pipe(Layer.provide(pool))))
        assert.deepStrictEqual(seen, ["a Echo", "b Echo", "c Lookup", "b Lookup"])
        // What an effect makes, such as the memory of a limit, is still shared.
        assert.strictEqual(made, how === "a layer" ? 0 : 1)
      }).pipe(Effect.provide(TestNetwork.layer))
  )
})

describe("layers below a client", () => {
  it.effect("interceptors see calls, not attempts, the first outermost", () =>
    Effect.gen(function* () {
      const network = yield* serve
      const seen: Array<string> = []
      const live = Echo.layer.pipe(
        Layer.provide(Interceptor.layer(noting(seen, "outer"), noting(seen, "inner"))),
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
