import { assert, describe, it } from "@effect/vitest"
import { Effect, pipe, Schema } from "effect"
import { HealthVerdict } from "trunkline/extend"

/** What a signal may say. Weights are powers of two, so that products are exact whatever the order. */
const said = Schema.Struct({
  status: Schema.Literals(["Ready", "Probe", "Ejected"]),
  weight: Schema.Literals([1, 0.5, 0.25]),
  cause: Schema.Literals(["slow", "failing", "new"]),
  until: Schema.Literals([0, 10, 20])
})
const any = Schema.UndefinedOr(said)
const verdicts = { said: Schema.Tuple([any, any, any]) }

const order: ReadonlyArray<HealthVerdict.Status> = ["Ready", "Probe", "Ejected"]

/** A law about any three verdicts, that of a peer that is well among them. */
const law = (
  name: string,
  check: (a: HealthVerdict.HealthVerdict, b: HealthVerdict.HealthVerdict, c: HealthVerdict.HealthVerdict) => void
) =>
  it.effect.prop(name, verdicts, ({ said: [a, b, c] }) =>
    Effect.sync(() => check(a ?? HealthVerdict.healthy, b ?? HealthVerdict.healthy, c ?? HealthVerdict.healthy))
  )

describe("merge", () => {
  law("is associative", (a, b, c) =>
    assert.deepStrictEqual(
      HealthVerdict.merge(HealthVerdict.merge(a, b), c),
      HealthVerdict.merge(a, HealthVerdict.merge(b, c))
    )
  )

  law("is commutative", (a, b) => assert.deepStrictEqual(HealthVerdict.merge(a, b), HealthVerdict.merge(b, a)))

  law("is idempotent, but for the weight, which each signal gives once", (a) =>
    assert.deepStrictEqual(HealthVerdict.merge(a, a), { ...a, weight: a.weight * a.weight })
  )

  law("only lowers", (a, b) => {
    const both = HealthVerdict.merge(a, b)
    assert.isAtLeast(order.indexOf(both.status), order.indexOf(a.status))
    assert.isAtMost(both.weight, a.weight)
  })

  law("leaves what is said as it is beside a peer that is well", (a) =>
    assert.strictEqual(HealthVerdict.merge(a, HealthVerdict.healthy), a)
  )

  it("takes cause and time from the worse one", () => {
    const failing = HealthVerdict.ejected("failing", 100)
    assert.deepStrictEqual(HealthVerdict.merge(HealthVerdict.weighted(0.5, "new", 700), failing), {
      ...failing,
      weight: 0.5
    })
    assert.strictEqual(HealthVerdict.merge(HealthVerdict.probe("failing"), HealthVerdict.healthy).cause, "failing")
    assert.strictEqual(pipe(HealthVerdict.ejected("down"), HealthVerdict.merge(failing)).cause, "down")
  })
})

describe("a weight outside of 0 to 1", () => {
  it.each([
    [NaN, 1],
    [-1, 0],
    [-Infinity, 0],
    [2, 1],
    [Infinity, 1]
  ])("%d counts as %d, also in a verdict made by hand", (weight, counted) => {
    assert.strictEqual(HealthVerdict.weighted(weight, "new").weight, counted)
    const made: HealthVerdict.HealthVerdict = { status: "Ready", weight, cause: "new", until: Infinity }
    assert.strictEqual(HealthVerdict.merge(made, HealthVerdict.healthy).weight, counted)
    assert.strictEqual(HealthVerdict.merge(HealthVerdict.weighted(0.5, "other"), made).weight, counted * 0.5)
  })
})
