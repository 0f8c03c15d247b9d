/** What is decided about peers, as numbers: every name has somebody who says it. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  Deadline,
  FailureAccrual,
  Handlers,
  OutlierDetection,
  Panic,
  RoundRobin,
  RpcError,
  StaticDiscovery,
  Weighted
} from "trunkline"
import { Weights } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { measured, sumOf, total } from "../support/numbers.ts"

const onNetwork = Layer.merge(TestNetwork.layer, measured())

/** A client of so many hosts `h0:1`, `h1:1`, …, and calls that fail as they are told to. */
const open = Effect.fnUntraced(function* (hosts: number, options: Omit<Balancer.Options, "discovery">) {
  const network = yield* TestNetwork.TestNetwork
  const addresses = Array.from({ length: hosts }, (_, i) => `h${i}:1`)
  for (const address of addresses) yield* network.serve(address, { handlers: [echoHandlers(address)] })
  const pool = Balancer.layer({ discovery: StaticDiscovery.make(addresses), ...options })
  const echo = yield* Effect.provide(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
  yield* echo.lookup({})
  yield* TestClock.adjust("1 second")
  const calls = Effect.fnUntraced(function* (count: number, failCode = 0) {
    for (let i = 0; i < count; i++) {
      yield* Effect.exit(echo.lookup({ failCode }))
      yield* TestClock.adjust(1)
    }
  })
  return { calls, network }
})

const UNAVAILABLE = 14

describe("PoolMetrics", () => {
  it.effect("a breaker that opens, by its reason, and again after its one call fails", () =>
    Effect.gen(function* () {
      const policy = FailureAccrual.consecutive(3)
      const { calls } = yield* open(1, {
        picker: RoundRobin.make(),
        signals: [FailureAccrual.make({ policy, delay: "5 seconds" })]
      })
      const trips = total("trunkline.breaker.trips", {
        "trunkline.reason": "3 failures in a row",
        "grpc.target": "h0:1"
      })
      yield* calls(2, UNAVAILABLE)
      assert.strictEqual(yield* trips, 0)
      yield* calls(1, UNAVAILABLE)
      assert.strictEqual(yield* trips, 1)
      yield* TestClock.adjust("11 seconds")
      yield* calls(1, UNAVAILABLE)
      assert.deepStrictEqual([yield* trips, yield* total("trunkline.pool.probes")], [2, 1])
      yield* TestClock.adjust("21 seconds")
      yield* calls(1)
      assert.deepStrictEqual([yield* trips, yield* total("trunkline.pool.probes")], [2, 2])
    }).pipe(Effect.provide(onNetwork), Random.withSeed("trips"))
  )

  it.effect("calls in panic, and the pickers that were made", () =>
    Effect.gen(function* () {
      const { calls } = yield* open(1, {
        picker: Panic.below(RoundRobin.make(), 0.5),
        signals: [FailureAccrual.make({ policy: FailureAccrual.consecutive(3), delay: "1 hour" })]
      })
      const before = yield* total("trunkline.pool.picker_rebuilds")
      yield* calls(3, UNAVAILABLE)
      assert.strictEqual(yield* total("trunkline.pool.panicked"), 0)
      yield* calls(7)
      assert.strictEqual(yield* total("trunkline.pool.panicked"), 7)
      assert.strictEqual(yield* total("trunkline.pool.picker_rebuilds"), before + 1)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("outliers that are taken out, and those that are let be", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const addresses = Array.from({ length: 5 }, (_, i) => `h${i}:1`)
      for (const [i, address] of addresses.entries()) {
        const lookup = () => Effect.fail(RpcError.make("UNAVAILABLE", "two of five"))
        const failing = Handlers.partial(EchoService, { lookup })
        yield* network.serve(address, { handlers: [i < 2 ? failing : echoHandlers(address)] })
      }
      const comparisons = [
        OutlierDetection.failurePercentage({ requestVolume: 10, enforcement: 0 }),
        OutlierDetection.failurePercentage({ requestVolume: 10 })
      ]
      const pool = Balancer.layer({
        discovery: StaticDiscovery.make(addresses),
        picker: RoundRobin.make(),
        signals: [OutlierDetection.make({ comparisons, maxEjectionShare: 0.2 })]
      })
      const echo = yield* Effect.provide(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
      for (let i = 0; i < 60; i++) yield* Effect.exit(echo.lookup({}))
      yield* TestClock.adjust("10 seconds")
      const method = { "grpc.lb.outlier_detection.detection_method": "failure_percentage" }
      const unenforced = (reason: string) =>
        total("grpc.lb.outlier_detection.ejections_unenforced", {
          ...method,
          "grpc.lb.outlier_detection.unenforced_reason": reason
        })
      assert.strictEqual(yield* total("grpc.lb.outlier_detection.ejections_enforced", method), 1)
      assert.strictEqual(yield* unenforced("max_ejection_overflow"), 1)
      assert.strictEqual(yield* unenforced("enforcement_percentage"), 2)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("weights by report: those in use, those that are not yet, and those that are too old", () =>
    Effect.gen(function* () {
      const reports = Weights.make({ blackout: 0, expiration: "1 minute" })
      const { calls } = yield* open(3, { picker: Weighted.make({ reports }) })
      const counts = Effect.all([
        total("grpc.lb.wrr.rr_fallback"),
        total("grpc.lb.wrr.endpoint_weight_not_yet_usable"),
        total("grpc.lb.wrr.endpoint_weight_stale"),
        sumOf("grpc.lb.wrr.endpoint_weights")
      ])
      const [fallbacks, unusable, stale, weights] = yield* counts
      const since = Effect.map(counts, (now) => now.map((n, i) => n - [fallbacks, unusable, stale, weights][i]!))
      const now = Effect.map(Clock.Clock, Deadline.nowUnsafe)
      for (const peer of ["h0:1", "h1:1"]) reports.report(peer, { queriesPerSecond: 100, utilization: 1 }, yield* now)
      yield* calls(3)
      assert.deepStrictEqual(yield* since, [0, 1, 0, 200])
      yield* TestClock.adjust("2 minutes")
      yield* calls(1)
      assert.deepStrictEqual(yield* since, [1, 2, 2, 200])
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("connections that are gone, by what ended them", () =>
    Effect.gen(function* () {
      const { network } = yield* open(2, { picker: RoundRobin.make() })
      const ended = (error: string) => total("grpc.subchannel.disconnections", { "grpc.disconnect_error": error })
      yield* network.disconnect("h0:1")
      yield* TestClock.adjust("2 seconds")
      yield* network.disconnect("h0:1")
      yield* network.kill("h1:1")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual([yield* ended("GOAWAY NO_ERROR"), yield* ended("connection reset")], [2, 1])
      assert.strictEqual(yield* total("grpc.subchannel.disconnections"), 3)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("a connection that this side lets go of is no failure of the other", () =>
    Effect.gen(function* () {
      yield* open(1, { picker: RoundRobin.make(), idleTimeout: "5 seconds" })
      yield* TestClock.adjust("10 seconds")
      const shut = total("grpc.subchannel.disconnections", { "grpc.disconnect_error": "subchannel shutdown" })
      assert.deepStrictEqual([yield* shut, yield* total("grpc.subchannel.disconnections")], [1, 1])
    }).pipe(Effect.provide(onNetwork))
  )
})
