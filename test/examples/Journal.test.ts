import { assert, describe, it } from "@effect/vitest"
import { RpcError } from "trunkline"
import { Journal } from "../../examples/demo/Journal.ts"

/** A journal on a clock that the test turns. */
const begun = () => {
  const clock = { now: 0 }
  const journal = new Journal(() => clock.now)
  clock.now = 700
  journal.start("first")
  return { clock, journal, at: (millis: number) => (clock.now = 700 + millis) }
}

describe("Journal", () => {
  it("counts a call for the phase it began in, and from when it was due", () => {
    const { at, journal } = begun()
    at(10)
    const end = journal.call(4)
    journal.begin("second")
    at(24)
    end(undefined)
    const [first, second] = journal.phases
    assert.deepStrictEqual([first!.calls, first!.failed, first!.latency.max], [1, 0, 20])
    assert.deepStrictEqual([second!.calls, second!.start], [0, 10])
  })

  it("keeps the first failure", () => {
    const { journal } = begun()
    journal.call(0)("one")
    journal.call(0)("two")
    assert.strictEqual(journal.failure, "one")
    assert.strictEqual(
      journal.sum((phase) => phase.failed),
      2
    )
  })

  it("counts attempts by backend, and says when the first was answered", () => {
    const { at, journal } = begun()
    const [failing, slow, quick] = [journal.attempt("a"), journal.attempt("a"), journal.attempt("a")]
    journal.attempt("b")
    at(5)
    failing(true)
    at(6)
    quick(false)
    at(9)
    slow(false)
    const [phase] = journal.phases
    assert.deepStrictEqual(phase!.of("a"), { attempts: 3, failed: 1, cutOff: 0, answered: 6 })
    assert.strictEqual(phase!.attempts, 4)
    assert.strictEqual(journal.latencies("a").whole.count, 3)
  })

  it("knows which attempts a new phase cut off", () => {
    const { journal } = begun()
    const [before, cutOff, answered] = [journal.attempt("a"), journal.attempt("a"), journal.attempt("a")]
    before(true)
    journal.begin("second")
    cutOff(true)
    answered(false)
    assert.include(journal.phases[0]!.of("a"), { attempts: 3, failed: 2, cutOff: 1 })
  })

  it("counts retries by code, in the phase they are made in", () => {
    const { journal } = begun()
    journal.retry(RpcError.make("UNAVAILABLE", "x"))
    journal.begin("second")
    journal.retry(RpcError.make("UNAVAILABLE", "x"))
    assert.deepStrictEqual([...journal.retries], [["UNAVAILABLE", 2]])
    assert.deepStrictEqual(
      journal.phases.map((phase) => phase.retries),
      [1, 1]
    )
  })

  it("forgets what came before the start, but not what was told", () => {
    const journal = new Journal(() => 0)
    journal.tell("ready")
    journal.call(0)("failed")
    journal.start("first")
    assert.strictEqual(
      journal.sum((phase) => phase.calls),
      0
    )
    assert.deepStrictEqual(
      journal.events.map((event) => event.text),
      ["ready"]
    )
  })
})
