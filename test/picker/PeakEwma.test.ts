import { assert, describe, it } from "@effect/vitest"
import { PeakEwma, PeerStats } from "trunkline"

const fresh = () => new PeerStats.PeerStats()

describe("PeakEwma", () => {
  it("believes a slow answer at once", () => {
    const load = PeakEwma.make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    load.observe(stats, "success", 200, 1)
    assert.strictEqual(load.cost(stats, 1), 200)
  })

  it("forgives slowly: after tau a third of the difference is left", () => {
    const load = PeakEwma.make({ tau: "10 seconds" })
    const stats = fresh()
    load.observe(stats, "success", 100, 0)
    load.observe(stats, "success", 10, 10_000)
    assert.approximately(load.cost(stats, 10_000), 10 + 90 / Math.E, 1e-9)
  })

  it("decays with time alone, without writing", () => {
    const load = PeakEwma.make({ tau: "10 seconds" })
    const stats = fresh()
    load.observe(stats, "success", 100, 0)
    assert.approximately(load.cost(stats, 20_000), 100 * Math.exp(-2), 1e-9)
    assert.strictEqual(load.cost(stats, 0), 100)
  })

  it("multiplies by the calls under way and the one to come", () => {
    const load = PeakEwma.make()
    const stats = fresh()
    load.observe(stats, "success", 10, 0)
    stats.pending = 3
    assert.strictEqual(load.cost(stats, 0), 40)
  })

  it("gives a peer never measured one probe and no second", () => {
    const load = PeakEwma.make()
    const [cold, slow] = [fresh(), fresh()]
    load.observe(slow, "success", 60_000, 0)
    assert.isBelow(load.cost(cold, 0), load.cost(slow, 0))
    cold.pending = 1
    assert.isAbove(load.cost(cold, 0), load.cost(slow, 0))
  })

  it.each(["failure", "rejected"] as const)("a fast %s counts as 5 s", (outcome) => {
    const load = PeakEwma.make()
    const stats = fresh()
    load.observe(stats, outcome, 1, 0)
    assert.strictEqual(load.cost(stats, 0), 5000)
  })

  it("a failure slower than the penalty counts as it was", () => {
    const load = PeakEwma.make({ penalty: "1 second" })
    const stats = fresh()
    load.observe(stats, "failure", 3000, 0)
    assert.strictEqual(load.cost(stats, 0), 3000)
  })

  it("a call given up early says nothing good, one given up late says it was slow", () => {
    const load = PeakEwma.make()
    const stats = fresh()
    load.observe(stats, "success", 100, 0)
    load.observe(stats, "ignorable", 1, 0)
    assert.strictEqual(load.cost(stats, 0), 100)
    load.observe(stats, "ignorable", 500, 0)
    assert.strictEqual(load.cost(stats, 0), 500)
  })

  it("a clock that steps back does not inflate the estimate", () => {
    const load = PeakEwma.make()
    const stats = fresh()
    load.observe(stats, "success", 100, 1000)
    assert.strictEqual(load.cost(stats, 0), 100)
  })

  it("a measured peer stays measured, however fast it is", () => {
    const load = PeakEwma.make()
    const stats = fresh()
    load.observe(stats, "success", 0, 0)
    stats.pending = 1
    assert.isBelow(load.cost(stats, 0), 1)
  })
})
