/** The rules of a channel pool, as tables: scaling, penalties, silence, options. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Options from "../../src/channelpool/ChannelPoolOptions.ts"
import * as Penalty from "../../src/channelpool/Penalty.ts"
import * as Scaling from "../../src/channelpool/Scaling.ts"
import { UnresponsiveDetector } from "../../src/channelpool/UnresponsiveDetector.ts"

const settings = (max: number, rest?: Partial<Scaling.Settings>): Scaling.Settings => ({
  min: 1,
  max,
  minLoad: 2,
  maxLoad: 5,
  coolDownMillis: 10,
  ...rest
})

describe("adding channels", () => {
  it.each([
    { what: "one at 10 calls: three by two at most", max: 5, load: 10, active: 1, selected: 10, to: 3 },
    { what: "two with 0 and 12, the first picked: the sum decides", max: 4, load: 13, active: 2, selected: 1, to: 4 },
    { what: "one of two is hot", max: 5, load: 7, active: 2, selected: 7, to: 3 },
    { what: "31 calls on four of at most five", max: 5, load: 31, active: 4, selected: 8, to: 5 },
    {
      what: "48 channels at a load for 480: a third as many again",
      max: 100,
      load: 1440,
      active: 48,
      selected: 6,
      to: 63
    },
    { what: "full", max: 4, load: 100, active: 4, selected: 25, to: 4 }
  ])("$what", ({ active, load, max, selected, to }) => {
    const sample = { active, load, size: active }
    assert.isTrue(Scaling.isHigh(settings(max), selected, sample))
    assert.strictEqual(active + Scaling.grow(settings(max), Scaling.initial, { ...sample, now: 0 })[1], to)
  })

  it("only what calls can go to counts as active, and what is being opened counts to the limit", () => {
    assert.strictEqual(Scaling.grow(settings(5), Scaling.initial, { active: 1, load: 7, size: 2, now: 0 })[1], 2)
    assert.strictEqual(Scaling.grow(settings(5), Scaling.initial, { active: 1, load: 20, size: 4, now: 0 })[1], 1)
  })

  it.each([
    { load: 9, selected: 5, high: false },
    { load: 10, selected: 5, high: true },
    { load: 6, selected: 6, high: true }
  ])("$load calls on two channels, $selected on the one picked: high is $high", ({ high, load, selected }) => {
    assert.strictEqual(Scaling.isHigh(settings(5), selected, { active: 2, load, size: 2 }), high)
  })

  it("the pause begins with the order, and ends to the millisecond", () => {
    const sample = (active: number) => ({ active, load: 21, size: active })
    const [first, add] = Scaling.grow(settings(9), Scaling.initial, { ...sample(2), now: 100 })
    assert.strictEqual(add, 2)
    for (const now of [100, 109])
      assert.deepStrictEqual(Scaling.grow(settings(9), first, { ...sample(4), now }), [first, 0])
    assert.strictEqual(Scaling.grow(settings(9), first, { ...sample(4), now: 110 })[1], 2)
  })

  it("nothing to add claims no pause", () => {
    const [state, add] = Scaling.grow(settings(9), Scaling.initial, { active: 4, load: 5, size: 4, now: 100 })
    assert.deepStrictEqual([state, add], [Scaling.initial, 0])
  })

  it("penalties of an idle pool add channels once, and no more", () => {
    const small = settings(6, { minLoad: 1, maxLoad: 2 })
    const [state, add] = Scaling.grow(small, Scaling.initial, { active: 2, load: 4, size: 2, now: 0 })
    assert.strictEqual(add, 2)
    assert.isFalse(Scaling.isHigh(small, 2, { active: 4, load: 4, size: 4 }))
    assert.strictEqual(Scaling.grow(small, state, { active: 4, load: 4, size: 4, now: 1000 })[1], 0)
  })
})

describe("taking channels away", () => {
  const checks = (from: number, load: (active: number) => number, times: number, rest?: Partial<Scaling.Settings>) => {
    let state = Scaling.initial
    let active = from
    return Array.from({ length: times }, () => {
      const [next, remove] = Scaling.shrink(settings(100, rest), state, { active, load: load(active), size: active })
      state = next
      active -= remove
      return active
    })
  }

  it.each([
    { what: "six with a call each", from: 6, load: (n: number) => n, times: 3, minLoad: 10, seen: [6, 6, 4] },
    { what: "48", from: 48, load: () => 0, times: 6, minLoad: 10, seen: [48, 48, 46, 46, 46, 44] },
    { what: "never below the least", from: 2, load: () => 0, times: 6, minLoad: 10, seen: [2, 2, 1, 1, 1, 1] },
    { what: "just quiet enough", from: 4, load: () => 8, times: 3, minLoad: 2, seen: [4, 4, 2] },
    { what: "not quiet enough", from: 4, load: () => 9, times: 4, minLoad: 2, seen: [4, 4, 4, 4] }
  ])("$what", ({ from, load, minLoad, seen, times }) => {
    assert.deepStrictEqual(checks(from, load, times, { minLoad }), seen)
  })

  it("one check that is not quiet starts the count again", () => {
    const loads = [0, 0, 99, 0, 0, 0]
    let check = 0
    assert.deepStrictEqual(
      checks(4, () => loads[check++]!, 6),
      [4, 4, 4, 4, 4, 2]
    )
  })
})

describe("whatever the samples", () => {
  const count = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  it.prop(
    "the size stays between the bounds, and no step is larger than it may be",
    {
      loads: Schema.Array(count(0, 500)),
      min: count(1, 5),
      more: count(0, 40),
      minLoad: count(0, 10),
      gap: count(1, 20)
    },
    ({ gap, loads, min, minLoad, more }) => {
      const bounds = { min, max: min + more, minLoad, maxLoad: minLoad + gap, coolDownMillis: 10 }
      let state = Scaling.initial
      let size = min
      loads.forEach((load, i) => {
        const sample = { active: size, load, size }
        const [grown, add] = Scaling.grow(bounds, state, { ...sample, now: i * 5 })
        const [next, remove] = Scaling.shrink(bounds, grown, { ...sample, active: size + add, size: size + add })
        state = next
        assert.isAtMost(add, Math.max(2, Math.ceil(size * 0.3)))
        assert.isAtMost(remove, 2)
        size += add - remove
        assert.isTrue(size >= bounds.min && size <= bounds.max)
      })
    }
  )
})

describe("penalties", () => {
  it.each([
    { at: 0, weighs: 20 },
    { at: 2000, weighs: 16 },
    { at: 5000, weighs: 10 },
    { at: 9000, weighs: 2 },
    { at: 9999, weighs: 1 },
    { at: 10_000, weighs: 0 }
  ])("two failures of 10 weigh $weighs after $at ms, and in full for scaling until then", ({ at, weighs }) => {
    const tens = { step: 10, cap: 20, millis: 10_000 }
    const penalty = Penalty.charge(Penalty.charge(Penalty.none, tens, 0), tens, 0)
    assert.strictEqual(Penalty.forPick(penalty, tens, at), weighs)
    assert.strictEqual(Penalty.forScaling(penalty, at), at < 10_000 ? 20 : 0)
  })

  it("a failure adds to what is left, up to the cap; one after the end starts from one step", () => {
    const fives = { step: 5, cap: 25, millis: 10_000 }
    let penalty = Penalty.charge(Penalty.none, fives, 0)
    assert.strictEqual(Penalty.forPick(penalty, fives, 5000), 3)
    penalty = Penalty.charge(penalty, fives, 5000)
    assert.strictEqual(Penalty.forPick(penalty, fives, 5000), 10)
    for (let i = 0; i < 10; i++) penalty = Penalty.charge(penalty, fives, 6000)
    assert.strictEqual(Penalty.forPick(penalty, fives, 6000), 25)
    assert.strictEqual(Penalty.forPick(Penalty.charge(penalty, fives, 16_000), fives, 16_000), 5)
  })
})

describe("silence", () => {
  const tries = (at: ReadonlyArray<number>, silence: UnresponsiveDetector) =>
    at.map((now) => silence.recordTimeout(now, now))

  it.each([
    { what: "the third after the time", at: [10, 50, 101], seen: [false, false, true] },
    { what: "exactly the time", at: [10, 50, 100], seen: [false, false, true] },
    { what: "three within the time, and one more after it", at: [10, 50, 99, 101], seen: [false, false, false, true] }
  ])("$what", ({ at, seen }) => {
    assert.deepStrictEqual(tries(at, new UnresponsiveDetector({ failures: 3, millis: 100 }, 0)), seen)
  })

  it("whatever is heard starts the count and the time again", () => {
    const silence = new UnresponsiveDetector({ failures: 3, millis: 100 }, 0)
    tries([10, 20], silence)
    silence.recordResponse(90)
    assert.deepStrictEqual(tries([120, 130, 180, 191], silence), [false, false, false, true])
  })

  it("calls under way when something was heard do not count", () => {
    const silence = new UnresponsiveDetector({ failures: 1, millis: 100 }, 0)
    silence.recordResponse(50)
    assert.isFalse(silence.recordTimeout(49, 500))
    assert.isTrue(silence.recordTimeout(51, 500))
  })

  it("the time doubles with each replacement until something is heard", () => {
    const silence = new UnresponsiveDetector({ failures: 1, millis: 100 }, 0)
    silence.recordReplacement(0)
    assert.deepStrictEqual(tries([199, 200], silence), [false, true])
    silence.recordReplacement(200)
    assert.strictEqual(silence.window, 400)
    silence.recordResponse(300)
    assert.strictEqual(silence.window, 100)
  })
})

describe("options", () => {
  it("have defaults that fit each other, whichever is given", () => {
    for (const options of [undefined, { min: 1 }, { min: 20 }, { max: 1 }, { maxLoad: 1 }, { initial: 10 }]) {
      const { initial, max, maxLoad, min, minLoad } = Result.getOrThrow(Options.read(options))
      assert.isTrue(min <= initial && initial <= max && minLoad < maxLoad, JSON.stringify(options))
    }
  })

  it.each<{ readonly options: Options.Options; readonly field: string }>([
    { options: { max: 0 }, field: "max" },
    { options: { min: 1.5 }, field: "min" },
    { options: { min: 3, max: 2 }, field: "min" },
    { options: { min: 2, max: 4, initial: 5 }, field: "initial" },
    { options: { maxLoad: 0 }, field: "maxLoad" },
    { options: { minLoad: 5, maxLoad: 5 }, field: "minLoad" },
    { options: { coolDown: Infinity }, field: "coolDown" },
    { options: { penalty: { step: -1 } }, field: "penalty.step" },
    { options: { penalty: { duration: 0 } }, field: "penalty.duration" },
    { options: { unresponsive: { failures: 0, silence: 1 } }, field: "unresponsive.failures" },
    { options: { unresponsive: { failures: 1, silence: 0 } }, field: "unresponsive.silence" }
  ])("that are wrong say which: $field", ({ field, options }) => {
    const read = Options.read(options)
    assert(Result.isFailure(read))
    assert.strictEqual(read.failure.field, field)
  })
})
