import { assert, describe, it } from "@effect/vitest"
import { PeakEwma } from "trunkline"
import { peerAt } from "../support/peers.ts"

const fresh = () => peerAt("a").stats

describe("PeakEwma", () => {
  it("believes a slow answer at once", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    load.observe(stats, "success", 200, 1)
    assert.strictEqual(load.cost(stats, 1), 200)
  })

  it("forgives slowly: after tau a third of the difference is left", () => {
    const load = PeakEwma.make({ tau: "10 seconds" }).make()
    const stats = fresh()
    load.observe(stats, "success", 100, 0)
    load.observe(stats, "success", 10, 10_000)
    assert.approximately(load.cost(stats, 10_000), 10 + 90 / Math.E, 1e-9)
  })

  it("forgets toward the mean of all peers with time alone, from both sides, without writing", () => {
    const load = PeakEwma.make({ tau: "10 seconds" }).make()
    const [slow, quick] = [fresh(), fresh()]
    load.observe(slow, "success", 100, 0)
    load.observe(quick, "success", 20, 0)
    for (const [stats, first] of [
      [slow, 100],
      [quick, 20]
    ] as const) {
      assert.strictEqual(load.cost(stats, 0), first)
      assert.approximately(load.cost(stats, 20_000), 60 + (first - 60) * Math.exp(-2), 1e-9)
      assert.approximately(load.cost(stats, 100), 60 + (first - 60) * Math.exp(-0.01), 1e-4)
      assert.strictEqual(load.cost(stats, 0), first)
    }
  })

  it("one policy serves many pools: what is slow in one is not expected in another", () => {
    const policy = PeakEwma.make({ tau: "10 seconds" })
    const [slowPool, quickPool] = [policy.make(), policy.make()]
    const [slow, quick] = [fresh(), fresh()]
    slowPool.observe(slow, "success", 1000, 0)
    quickPool.observe(quick, "success", 10, 0)
    assert.approximately(quickPool.cost(quick, 1e9), 10, 1e-6)
    assert.approximately(slowPool.cost(slow, 1e9), 1000, 1e-6)
  })

  it("a slow peer met less often than it is forgotten is never free", () => {
    const load = PeakEwma.make({ tau: "10 seconds" }).make()
    const [slow, quick] = [fresh(), fresh()]
    load.observe(slow, "success", 1000, 0)
    for (let i = 0; i <= 60; i++) load.observe(quick, "success", 10, i * 1000)
    assert.isAbove(load.cost(slow, 60_000), load.cost(quick, 60_000))
  })

  it("the mean is of the first answers alike, and then of the last", () => {
    const load = PeakEwma.make({ tau: "10 seconds" }).make()
    const stats = fresh()
    const late = 1e9
    for (const latency of [10, 20, 30, 40]) load.observe(fresh(), "success", latency, 0)
    load.observe(stats, "success", 25, 0)
    assert.approximately(load.cost(stats, late), 25, 1e-6)
    for (let i = 0; i < 1000; i++) load.observe(fresh(), "success", 5, 0)
    assert.approximately(load.cost(stats, late), 5, 0.01)
  })

  it("multiplies by the calls under way and the one to come", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    stats.unanswered = 3
    assert.strictEqual(load.cost(stats, 0), 40)
  })

  it("who owes an answer is as slow as the silence is long, until there is one", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    stats.ask(100)
    stats.ask(150)
    assert.approximately(load.cost(stats, 105), 30, 1e-6)
    assert.strictEqual(load.cost(stats, 160), 180)
    assert.strictEqual(load.cost(stats, 400), 900)
    // Any answer ends the silence, also one to the later call.
    load.observe(stats, "success", 250, 400)
    assert.strictEqual(load.cost(stats, 400), 750)
    load.observe(stats, "success", 250, 500)
    assert.isAtMost(load.cost(stats, 600), 750)
    assert.strictEqual(load.cost(stats, 900), 1200)
  })

  it("silence counts from the first call after none, and not at all of who owes nothing", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    assert.approximately(load.cost(stats, 5000), 10, 1e-6)
    stats.ask(5000)
    assert.approximately(load.cost(stats, 5005), 20, 1e-6)
    assert.strictEqual(load.cost(stats, 5100), 200)
    // A call that was given up early says nothing, so its end does not either.
    load.observe(stats, "ignorable", 1, 5100)
    assert.strictEqual(load.cost(stats, 5200), 400)
  })

  it("streams that stay open cost nothing, those that are being opened as much as calls, for a second", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    stats.pending = 50
    assert.strictEqual(load.cost(stats, 0), 10)
    const [first, second] = [stats.open(0), stats.open(10)]
    assert.approximately(load.cost(stats, 10), 30, 1e-6)
    stats.opened(first)
    assert.approximately(load.cost(stats, 10), 20, 1e-6)
    assert.approximately(load.cost(stats, 1000), 10, 1e-6)
    // It is quiet, so that another one is opened does not make it count again, nor does it leave twice.
    const third = stats.open(2000)
    assert.approximately(load.cost(stats, 2000), 20, 1e-6)
    stats.opened(second)
    assert.approximately(load.cost(stats, 2000), 20, 1e-6)
    stats.opened(third)
    assert.approximately(load.cost(stats, 2000), 10, 1e-6)
  })

  it("a stream is no probe of who was never measured: it counts as the mean of the others, not as more than anybody", () => {
    const load = PeakEwma.make().make()
    const [cold, known] = [fresh(), fresh()]
    load.observe(known, "success", 10, 0)
    cold.open(0)
    assert.strictEqual(load.cost(cold, 0), 20)
    known.unanswered = 2
    assert.isBelow(load.cost(cold, 0), load.cost(known, 0))
    assert.strictEqual(load.cost(cold, 1000), 0)
  })

  it("a weight divides the calls under way and not the latency", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    stats.unanswered = 3
    assert.deepStrictEqual(
      [1, 3, 0.5, Infinity].map((weight) => load.costByWeight!(stats, 0, weight)),
      [40, 20, 70, 10]
    )
  })

  it("gives a peer never measured one probe and no second", () => {
    const load = PeakEwma.make().make()
    const [cold, slow] = [fresh(), fresh()]
    load.observe(slow, "success", 60_000, 0)
    assert.isBelow(load.cost(cold, 0), load.cost(slow, 0))
    cold.unanswered = 1
    assert.isAbove(load.cost(cold, 0), load.cost(slow, 0))
  })

  it.each(["failure", "rejected"] as const)("a fast %s counts as 5 s", (outcome) => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, outcome, 1, 0)
    assert.strictEqual(load.cost(stats, 0), 5000)
  })

  it("a failure slower than the penalty counts as it was", () => {
    const load = PeakEwma.make({ penalty: "1 second" }).make()
    const stats = fresh()
    load.observe(stats, "failure", 3000, 0)
    assert.strictEqual(load.cost(stats, 0), 3000)
  })

  it("fades, and is not remembered longer than that: then one call at a time asks, and a success says it all", () => {
    const load = PeakEwma.make({ penalty: "5 seconds" }).make()
    const stats = fresh()
    load.observe(stats, "success", 4, 0)
    load.observe(stats, "failure", 1, 1000)
    assert.strictEqual(load.cost(stats, 1000), 5000)
    assert.strictEqual(load.cost(stats, 4000), 2000)
    assert.strictEqual(load.cost(stats, 5999), 4)
    assert.strictEqual(load.cost(stats, 6000), 0)
    stats.unanswered = 1
    assert.isAbove(load.cost(stats, 6000), 1e9)
    stats.unanswered = 0
    load.observe(stats, "success", 4, 6004)
    assert.strictEqual(load.cost(stats, 6004), 4)
  })

  it("a failure of that one call keeps the next away as long again", () => {
    const load = PeakEwma.make({ penalty: "5 seconds" }).make()
    const stats = fresh()
    load.observe(stats, "failure", 1, 0)
    load.observe(stats, "failure", 1, 5000)
    assert.strictEqual(load.cost(stats, 5000), 5000)
    assert.strictEqual(load.cost(stats, 9999), 1)
    assert.strictEqual(load.cost(stats, 10_000), 0)
  })

  it.each([
    [1000, 5000],
    [8000, 8000],
    [1e9, 300_000]
  ] as const)("a server that asks for %i ms is left alone for %i ms", (asked, left) => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "rejected", 1, 0, asked)
    assert.strictEqual(load.cost(stats, 0), left)
    assert.strictEqual(load.cost(stats, left - 1), 1)
    assert.strictEqual(load.cost(stats, left), 0)
  })

  it("a call given up early says nothing good, one given up late says it was slow", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 100, 0)
    load.observe(stats, "ignorable", 1, 0)
    assert.strictEqual(load.cost(stats, 0), 100)
    load.observe(stats, "ignorable", 500, 0)
    assert.strictEqual(load.cost(stats, 0), 500)
  })

  it("a clock that steps back does not inflate the estimate", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 100, 1000)
    assert.strictEqual(load.cost(stats, 0), 100)
  })

  it("a measured peer stays measured, however fast it is", () => {
    const load = PeakEwma.make().make()
    const stats = fresh()
    load.observe(stats, "success", 0, 0)
    stats.unanswered = 1
    assert.isBelow(load.cost(stats, 0), 1)
  })
})
