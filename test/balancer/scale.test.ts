/** A thousand peers: few pickers, and soon made. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, FailureAccrual, SlowStart, StaticDiscovery } from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"

describe("a thousand peers", () => {
  it.effect(
    "that connect at once, warm up and fail one by one do not mean a picker for each of them",
    () =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        const hosts = Array.from({ length: 1000 }, (_, i) => `h${i}:1`)
        for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
        const layer = Balancer.layer({
          discovery: StaticDiscovery.make(hosts),
          eager: true,
          picker: Balancer.defaults.picker,
          signals: [FailureAccrual.make(), SlowStart.make()]
        })
        const pool = Context.get(yield* Layer.build(Layer.orDie(layer)), PeerPool.PeerPool)
        for (let i = 0; i < 10; i++) yield* TestClock.adjust(0)
        assert.isTrue(pool.peers().every((peer) => peer.status.state === "Ready"))
        assert.isAtMost(pool.stats.rebuilds, 12)
        const before = pool.stats.rebuilds
        for (let i = 0; i < 60; i++) yield* TestClock.adjust(500)
        assert.isAtMost(pool.stats.rebuilds - before, 21)
      }).pipe(Effect.provide(TestNetwork.layer), Random.withSeed("scale")),
    60_000
  )
})
