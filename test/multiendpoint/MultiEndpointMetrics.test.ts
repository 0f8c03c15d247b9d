import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Client, Metrics, MultiEndpoint, StaticDiscovery } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { measured, numbers, total } from "../support/numbers.ts"
import { settle } from "../support/multiEndpoints.ts"

const hosts = ["service:443", "fallback:443", "replica:443"]

const open = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const context = yield* Layer.build(
    Layer.orDie(
      MultiEndpoint.layer({
        multiEndpoints: [
          { name: "default", endpoints: ["service", "fallback"], recoveryTimeout: 5 },
          { name: "read", endpoints: ["replica", "service"], recoveryTimeout: 5 }
        ],
        discovery: (endpoint) => StaticDiscovery.make([endpoint]),
        reconnect: Schedule.spaced("100 millis")
      })
    )
  )
  yield* settle
  yield* TestClock.adjust("2 seconds")
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  return { echo, network, service: Context.get(context, MultiEndpoint.MultiEndpoint) }
})

const switches = (list: string, reason: string) =>
  total("trunkline.multi_endpoint.switches", { "trunkline.multi_endpoint": list, "trunkline.reason": reason })

/** The endpoints of a list with the state that their series say, and the current one. */
const states = Effect.fnUntraced(function* (list: string) {
  const series = (yield* numbers).filter(
    ({ labels, number }) => labels["trunkline.multi_endpoint"] === list && number > 0
  )
  const of = (id: string) => series.filter((one) => one.id === `trunkline.multi_endpoint.${id}`)
  return {
    current: of("current").map(({ labels }) => labels["trunkline.endpoint"]),
    endpoints: of("endpoints").map(({ labels, number }) => [
      labels["trunkline.endpoint"],
      labels["trunkline.state"],
      number
    ])
  }
})

const onNetwork = Layer.merge(TestNetwork.layer, measured())

it.effect("every switch is counted by its reason, and each endpoint is in one state", () =>
  Effect.gen(function* () {
    const { network } = yield* open
    assert.deepStrictEqual(yield* states("default"), {
      current: ["service:443"],
      endpoints: [
        ["service:443", "Available", 1],
        ["fallback:443", "Available", 1]
      ]
    })
    yield* network.kill("service:443")
    yield* settle
    assert.deepStrictEqual((yield* states("default")).endpoints[0], ["service:443", "Recovering", 1])
    yield* TestClock.adjust(5)
    yield* settle
    const { current, endpoints } = yield* states("default")
    assert.deepStrictEqual([current, endpoints[0]], [["fallback:443"], ["service:443", "Unavailable", 1]])
    assert.deepStrictEqual([yield* switches("default", "fallback"), yield* switches("default", "recover")], [1, 0])
    yield* network.restart("service:443")
    yield* TestClock.adjust("1 second")
    yield* settle
    assert.deepStrictEqual([yield* switches("default", "fallback"), yield* switches("default", "recover")], [1, 1])
    assert.strictEqual(yield* switches("read", "fallback"), 0)
  }).pipe(Effect.scoped, Effect.provide(onNetwork))
)

it.effect("an endpoint that is left for its error rate is failing", () =>
  Effect.gen(function* () {
    const { echo, service } = yield* open
    const errorRate = { minFailures: 1, period: "1 second" } as const
    yield* service.update([{ name: "default", endpoints: ["service", "fallback"], errorRate }])
    yield* Effect.exit(echo.lookup({ failCode: 14 }))
    yield* TestClock.adjust("1 second")
    yield* settle
    const { current, endpoints } = yield* states("default")
    assert.deepStrictEqual([current, endpoints[0]], [["fallback:443"], ["service:443", "Failing", 1]])
  }).pipe(Effect.scoped, Effect.provide(onNetwork))
)

it.effect("an update changes what is reported: endpoints and lists that are gone are no series any more", () =>
  Effect.gen(function* () {
    const { service } = yield* open
    // Whether whoever updates is measured does not matter.
    yield* service
      .update([{ name: "default", endpoints: ["replica", "fallback"] }])
      .pipe(Effect.provideService(Metrics.Current, undefined))
    yield* settle
    assert.deepStrictEqual(yield* states("default"), {
      current: ["replica:443"],
      endpoints: [
        ["replica:443", "Available", 1],
        ["fallback:443", "Available", 1]
      ]
    })
    assert.strictEqual(yield* switches("default", "replace"), 1)
    const left = (yield* numbers).filter(
      ({ id, labels }) =>
        id.startsWith("trunkline.multi_endpoint") &&
        (labels["trunkline.multi_endpoint"] === "read" || labels["trunkline.endpoint"] === "service:443")
    )
    assert.deepStrictEqual(left, [])
  }).pipe(Effect.scoped, Effect.provide(onNetwork))
)

it.effect("endpoints with one label are counted together", () =>
  Effect.gen(function* () {
    yield* open
    assert.deepStrictEqual(yield* states("default"), {
      current: ["ours"],
      endpoints: [["ours", "Available", 2]]
    })
  }).pipe(Effect.scoped, Effect.provide(Layer.merge(TestNetwork.layer, measured({ target: () => "ours" }))))
)
