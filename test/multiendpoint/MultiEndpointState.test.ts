import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as State from "../../src/multiendpoint/MultiEndpointState.ts"
import { TestNetwork } from "trunkline/testing"
import { rules, running, settings, type Timings, type World } from "../support/multiEndpoints.ts"

const recovery = 20
const delay = 40

/** What a timeline says: something happens, time passes, or this is current (and so many switches have been). */
type Line =
  | `${string} up`
  | `${string} down`
  | number
  | { readonly is: string; readonly fallback?: number; readonly recover?: number; readonly replace?: number }
  | { readonly update: ReadonlyArray<string>; readonly timings: Timings }

const is = (current: string, switches?: Partial<Record<State.Reason, number>>): Line => ({ is: current, ...switches })

interface Timeline {
  readonly name: string
  readonly endpoints?: ReadonlyArray<string>
  readonly timings: Timings
  readonly lines: ReadonlyArray<Line>
}

const timelines: ReadonlyArray<Timeline> = [
  {
    name: "without recovery and delay every change shows at once, and it sticks to the last when all are down",
    timings: {},
    lines: [
      is("first"),
      "second up",
      is("second", { fallback: 1 }),
      "third up",
      is("second", { fallback: 1 }),
      "first up",
      is("first", { fallback: 1, recover: 1 }),
      "second down",
      is("first"),
      "first down",
      is("third", { fallback: 2, recover: 1 }),
      "third down",
      is("third", { fallback: 2, recover: 1 })
    ]
  },
  {
    name: "a new endpoint has its time to recover before another takes over",
    timings: { recovery },
    lines: ["second up", is("first"), recovery - 1, is("first"), 2, is("second", { fallback: 1 })]
  },
  {
    name: "recovery from end to end",
    timings: { recovery },
    lines: [
      "second up",
      is("first"),
      30,
      is("second", { fallback: 1 }),
      "third up",
      is("second"),
      "second down",
      is("second"),
      10,
      "second up",
      is("second"),
      20,
      is("second", { fallback: 1 }),
      "second down",
      recovery - 1,
      is("second"),
      2,
      is("third", { fallback: 2 }),
      "first up",
      is("first", { fallback: 2, recover: 1 }),
      "first down",
      recovery - 1,
      is("first"),
      2,
      is("third", { fallback: 3, recover: 1 }),
      "third down",
      10,
      "second up",
      is("second", { fallback: 3, recover: 2 }),
      "second down",
      30,
      is("second", { fallback: 3, recover: 2 })
    ]
  },
  {
    name: "a second report of the same loss gives no more time",
    timings: { recovery },
    lines: [
      "first up",
      "second up",
      1000,
      "first down",
      10,
      "first down",
      9,
      is("first"),
      2,
      is("second", { fallback: 1 })
    ]
  },
  {
    name: "back just before its time is over, and it never left",
    timings: { recovery },
    lines: [
      "first up",
      "second up",
      "first down",
      recovery - 1,
      "first up",
      1,
      is("first"),
      1000,
      is("first", { fallback: 0 })
    ]
  },
  {
    name: "back at the very context its time is over, and it is available in the end",
    timings: { recovery },
    lines: ["first up", "second up", "first down", recovery, "first up", is("first", { fallback: 1, recover: 1 })]
  },
  {
    name: "the delay passes before it goes back",
    timings: { delay },
    lines: [
      "second up",
      is("second", { fallback: 1 }),
      "first up",
      delay - 1,
      is("second"),
      2,
      is("first", { fallback: 1, recover: 1 })
    ]
  },
  {
    name: "down again just before the delay is over, and nothing switches",
    timings: { delay },
    lines: ["second up", "first up", delay - 1, "first down", 2, is("second"), 1000, is("second", { recover: 0 })]
  },
  {
    name: "what is down is left at once, whatever the delay",
    timings: { delay },
    lines: ["first up", "second up", "first down", is("second", { fallback: 1 })]
  },
  {
    name: "the delay holds for a current endpoint that is recovering too",
    timings: { delay, recovery: 1000 },
    lines: ["second up", 1000, is("second"), "second down", "first up", delay - 1, is("second"), 2, is("first")]
  },
  {
    name: "what falls due in one jump of the clock happens in order: recovery, then switch",
    timings: { delay: recovery, recovery },
    lines: [
      "second up",
      recovery + 1,
      is("second"),
      "second down",
      "first up",
      1000,
      is("first", { fallback: 1, recover: 1 })
    ]
  },
  {
    name: "a better target keeps the time of the first",
    timings: { delay },
    lines: [
      "third up",
      is("third"),
      "second up",
      delay / 2,
      "first up",
      delay / 2 - 1,
      is("third"),
      2,
      is("first", { fallback: 1, recover: 1 })
    ]
  },
  {
    name: "reordered, it goes over after the delay",
    timings: { delay },
    lines: [
      "first up",
      "second up",
      { update: ["second", "first"], timings: { delay } },
      delay - 1,
      is("first"),
      2,
      is("second", { recover: 1, replace: 0 })
    ]
  },
  {
    name: "no longer listed, it is replaced at once by the best that is available",
    timings: { delay },
    lines: [
      "first up",
      "third up",
      { update: ["second", "third"], timings: { delay } },
      is("third", { replace: 1 }),
      "second up",
      delay - 1,
      is("third"),
      2,
      is("second", { replace: 1, recover: 1 })
    ]
  },
  {
    name: "no longer listed and nothing available, it is replaced by the first",
    timings: {},
    lines: [{ update: ["second", "third"], timings: {} }, is("second", { replace: 1 })]
  },
  {
    name: "an address that is listed twice has its last place",
    endpoints: ["first", "second", "first"],
    timings: {},
    lines: [is("second"), "first up", is("first"), "second up", is("second", { fallback: 1, recover: 1 })]
  },
  {
    name: "must not handle: a switch that was cancelled by a loss fires and leads to an endpoint that is down",
    timings: { delay: 200 },
    lines: [
      "second up",
      "first up",
      100,
      "second down",
      is("first"),
      "third up",
      "first down",
      is("third"),
      99,
      is("third"),
      2,
      is("third"),
      1000,
      is("third", { fallback: 2, recover: 1 })
    ]
  },
  {
    name: "must not handle: a switch that was set before an update leads to an endpoint that is not listed",
    endpoints: ["first", "second"],
    timings: { delay: 200 },
    lines: [
      "second up",
      "first up",
      "third up",
      100,
      { update: ["third", "fourth"], timings: { delay: 200 } },
      is("third", { replace: 1 }),
      99,
      is("third"),
      2,
      is("third"),
      1000,
      is("third", { replace: 1, recover: 0, fallback: 1 })
    ]
  },
  {
    name: "must not handle: a flap inherits the time of a switch that is off",
    timings: { delay },
    lines: ["second up", "first up", 30, "first down", 5, "first up", 6, is("second"), 33, is("second"), 2, is("first")]
  },
  {
    name: "must not handle: an update does not change the timings",
    timings: {},
    lines: [
      "first up",
      "second up",
      { update: ["first", "second"], timings: { delay, recovery } },
      "first down",
      recovery - 1,
      is("first"),
      2,
      is("second"),
      "first up",
      delay - 1,
      is("second"),
      2,
      is("first")
    ]
  },
  {
    name: "a shorter timing holds for what is under way",
    timings: { delay: 1000, recovery: 1000 },
    lines: [
      "second up",
      1001,
      is("second"),
      "first up",
      { update: ["first", "second"], timings: { delay, recovery: 1000 } },
      delay - 1,
      is("second"),
      2,
      is("first"),
      "first down",
      { update: ["first", "second"], timings: { delay, recovery } },
      recovery - 1,
      is("first"),
      2,
      is("second")
    ]
  },
  {
    name: "removed and named again, an endpoint goes on as it was",
    timings: { delay },
    lines: [
      "first up",
      "second up",
      { update: ["second"], timings: { delay } },
      is("second", { replace: 1 }),
      delay - 1,
      { update: ["first", "second"], timings: { delay } },
      delay - 1,
      is("second"),
      2,
      is("first", { replace: 1, recover: 1 })
    ]
  }
]

const play = (world: World, lines: ReadonlyArray<Line>) =>
  Effect.gen(function* () {
    for (const [i, line] of lines.entries()) {
      if (typeof line === "number") yield* world.pass(line)
      else if (typeof line === "string") {
        const [name, what] = line.split(" ")
        yield* what === "up" ? world.up(name!) : world.down(name!)
      } else if ("update" in line) yield* world.update(line.update, line.timings)
      else {
        const { current, switches } = yield* world.look
        const { is, ...counts } = line
        assert.deepStrictEqual(
          { current, ...Object.fromEntries(Object.keys(counts).map((key) => [key, switches[key as State.Reason]])) },
          { current: is, ...counts },
          `line ${i}`
        )
      }
    }
  })

const all = ["first", "second", "third"]

describe("the rules", () => {
  it.effect.each(timelines)("$name", ({ endpoints, lines, timings }) =>
    Effect.flatMap(rules(endpoints ?? all, timings), (world) => play(world, lines))
  )
})

describe("at work, on a test clock", () => {
  it.effect.each(timelines)("$name", ({ endpoints, lines, timings }) =>
    Effect.flatMap(running(endpoints ?? all, timings), (world) => play(world, lines)).pipe(
      Effect.provide(TestNetwork.layer)
    )
  )
})

describe("jitter", () => {
  it("adds at most its share to the delay, and never takes from it", () => {
    for (const chance of [0, 0.5, 0.999]) {
      const at = (now: number): State.StepContext => ({ now, chance, callCount: () => ({ calls: 0, failures: 0 }) })
      const jittered = { ...settings({ delay: 100 }), jitter: 0.2 }
      const made = State.make({ endpoints: ["a", "b"], settings: jittered, available: new Set(["b"]) }, at(0))
      const [state] = State.step(made, { _tag: "Up", endpoint: "a" }, at(0))
      assert.strictEqual(State.dueAt(state), 100 * (1 + 0.2 * chance))
    }
  })
})

describe("error rates", () => {
  const errorRate = {
    periodMillis: 60_000,
    minFailures: 3,
    rate: 0.42,
    probeIntervalMillis: 1000,
    minProbes: 3,
    minHealthyMillis: 5000
  }

  /** A list of two available endpoints, and calls of the first. */
  const failing = () => {
    const callCount = { calls: 0, failures: 0 }
    let now = 0
    const context = (): State.StepContext => ({
      now,
      chance: 0,
      callCount: (id) => (id === "a" ? { ...callCount } : { calls: 0, failures: 0 })
    })
    let state = State.make(
      { endpoints: ["a", "b"], settings: { ...settings({}), errorRate }, available: new Set(["a", "b"]) },
      context()
    )
    let probes = 0
    const handle = (event: State.Event) => {
      const [next, commands] = State.step(state, event, context())
      state = next
      probes += commands.filter((command) => command._tag === "Probe").length
    }
    return {
      called: (calls: number, failures: number) => {
        callCount.calls += calls
        callCount.failures += failures
      },
      handle,
      pass: (millis: number) => {
        now += millis
        handle({ _tag: "Elapsed" })
      },
      probed: (good: boolean) => handle({ _tag: "Probed", endpoint: "a", good }),
      current: () => state.current,
      probes: () => probes
    }
  }

  it("3 failures of 7 at a threshold of 0.42 switch when the period is over, and not before", () => {
    const list = failing()
    list.called(7, 3)
    list.pass(59_999)
    assert.strictEqual(list.current(), "a")
    list.pass(1)
    assert.strictEqual(list.current(), "b")
  })

  it.each([
    { what: "too few failures", calls: 2, failures: 2 },
    { what: "too small a share", calls: 8, failures: 3 },
    { what: "no calls", calls: 0, failures: 0 }
  ])("$what say nothing", ({ calls, failures }) => {
    const list = failing()
    list.called(calls, failures)
    list.pass(60_000)
    assert.strictEqual(list.current(), "a")
  })

  it("failures of an earlier period do not count again", () => {
    const list = failing()
    list.called(2, 2)
    list.pass(60_000)
    list.called(2, 2)
    list.pass(60_000)
    assert.strictEqual(list.current(), "a")
  })

  it("it comes home after enough good probes over enough time, and a bad one starts the count again", () => {
    const list = failing()
    list.called(3, 3)
    list.pass(60_000)
    assert.strictEqual(list.current(), "b")
    const probe = (good: boolean) => {
      const before = list.probes()
      list.pass(999)
      assert.strictEqual(list.probes(), before)
      list.pass(1)
      assert.strictEqual(list.probes(), before + 1)
      list.probed(good)
    }
    for (const good of [true, true, false]) probe(good)
    // The first good one starts the five seconds; three are enough only when these are over.
    for (let i = 0; i < 5; i++) probe(true)
    assert.strictEqual(list.current(), "b")
    probe(true)
    assert.strictEqual(list.current(), "a")
    const { probes } = list
    const before = probes()
    list.pass(10_000)
    assert.strictEqual(probes(), before)
  })

  it("a count alone is not enough when the time was too short, nor time without the count", () => {
    const list = failing()
    list.called(3, 3)
    list.pass(60_000)
    list.pass(1000)
    for (let i = 0; i < 3; i++) list.probed(true)
    assert.strictEqual(list.current(), "b")
    list.probed(false)
    list.pass(1000)
    list.probed(true)
    list.pass(60_000)
    list.probed(true)
    assert.strictEqual(list.current(), "b")
    list.probed(true)
    assert.strictEqual(list.current(), "a")
  })

  it("a lost connection makes good probes before it count no more", () => {
    const list = failing()
    list.called(3, 3)
    list.pass(60_000)
    list.probed(true)
    list.pass(10_000)
    list.probed(true)
    list.handle({ _tag: "Down", endpoint: "a" })
    list.handle({ _tag: "Up", endpoint: "a" })
    list.probed(true)
    assert.strictEqual(list.current(), "b")
  })

  it("with nothing else available calls stay where they fail", () => {
    const list = failing()
    list.handle({ _tag: "Down", endpoint: "b" })
    list.called(3, 3)
    list.pass(60_000)
    assert.strictEqual(list.current(), "a")
    list.handle({ _tag: "Up", endpoint: "b" })
    assert.strictEqual(list.current(), "b")
  })

  it("switched off by an update, it is available again at once", () => {
    const list = failing()
    list.called(3, 3)
    list.pass(60_000)
    list.handle({ _tag: "Updated", endpoints: ["a", "b"], settings: settings({}), available: new Set(["a", "b"]) })
    assert.strictEqual(list.current(), "a")
    list.pass(1e9)
    assert.strictEqual(list.current(), "a")
  })
})

describe("in any order of events", () => {
  const Name = Schema.Literals(["a", "b", "c", "d"])
  const Time = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))
  const Step = Schema.Union([
    Schema.Struct({ up: Name }),
    Schema.Struct({ down: Name }),
    Schema.Struct({ pass: Time }),
    Schema.Struct({ update: Schema.NonEmptyArray(Name), recovery: Time, delay: Time })
  ])

  it.effect.prop(
    "current is listed, is the best available after a quiet time, one switch is set at most, and switches add up",
    { steps: Schema.Array(Step), recovery: Time, delay: Time },
    ({ delay, recovery, steps }) =>
      Effect.sync(() => {
        let now = 0
        let timings: Timings = { delay, recovery }
        const up = new Set<string>()
        const context = (): State.StepContext => ({ now, chance: 0, callCount: () => ({ calls: 0, failures: 0 }) })
        let state = State.make({ endpoints: ["a", "b", "c"], settings: settings(timings), available: up }, context())
        let seen = 0
        const path: Array<string> = [state.current]

        const check = () => {
          assert.isTrue(state.endpoints.has(state.current))
          for (const [id, endpoint] of state.endpoints) {
            assert.strictEqual(endpoint.availability === "Available", up.has(id))
            assert.strictEqual(endpoint.recoverBy < Infinity, endpoint.availability === "Recovering")
          }
          const best = State.best(state)
          // A switch is only set while there is something better, and never further away than the delay.
          if (state.switchAt < Infinity) {
            assert.isTrue(best !== undefined && best !== state.current)
            assert.isAtMost(state.switchAt, now + timings.delay!)
          }
          assert.isAbove(State.dueAt(state), now)
          const { fallback, recover, replace } = state.switches
          assert.strictEqual(fallback + recover + replace, seen)
          assert.strictEqual(path.at(-1), state.current)
        }

        const handle = (event: State.Event) => {
          const [next, commands] = State.step(state, event, context())
          state = next
          for (const command of commands) {
            if (command._tag !== "Switched") continue
            seen++
            assert.strictEqual(command.from, path.at(-1))
            path.push(command.to)
          }
          check()
        }

        for (const step of steps) {
          if ("up" in step) {
            if (state.endpoints.has(step.up)) up.add(step.up)
            handle({ _tag: "Up", endpoint: step.up })
          } else if ("down" in step) {
            up.delete(step.down)
            handle({ _tag: "Down", endpoint: step.down })
          } else if ("pass" in step) {
            now += step.pass
            handle({ _tag: "Elapsed" })
          } else {
            timings = { delay: step.delay, recovery: step.recovery }
            for (const id of up) if (!step.update.includes(id as "a")) up.delete(id)
            handle({ _tag: "Updated", endpoints: step.update, settings: settings(timings), available: new Set(up) })
          }
        }
        now += Math.max(timings.recovery!, timings.delay!)
        handle({ _tag: "Elapsed" })
        const best = State.best(state)
        if (best !== undefined) assert.strictEqual(state.current, best)
      })
  )

  const errorRate = {
    periodMillis: 50,
    minFailures: 1,
    rate: 0.5,
    probeIntervalMillis: 10,
    minProbes: 2,
    minHealthyMillis: 15
  }
  const Failing = Schema.Union([
    Schema.Struct({ up: Name }),
    Schema.Struct({ down: Name }),
    Schema.Struct({ pass: Time }),
    Schema.Struct({ called: Name, failed: Schema.Boolean }),
    Schema.Struct({ probed: Name, good: Schema.Boolean })
  ])

  it.effect.prop(
    "what fails its calls is probed by one probe at a time, and is home again when it has been well for long enough",
    { steps: Schema.Array(Failing), recovery: Time, delay: Time },
    ({ delay, recovery, steps }) =>
      Effect.sync(() => {
        let now = 0
        const up = new Set<string>()
        const callCounts = new Map<string, { readonly calls: number; readonly failures: number }>()
        const callCount = (id: string) => callCounts.get(id) ?? { calls: 0, failures: 0 }
        const context = (): State.StepContext => ({ now, chance: 0, callCount })
        const names = ["a", "b", "c", "d"]
        let state = State.make(
          { endpoints: names, settings: { ...settings({ delay, recovery }), errorRate }, available: up },
          context()
        )
        const probing = new Set<string>()
        const handle = (event: State.Event) => {
          const [next, commands] = State.step(state, event, context())
          state = next
          for (const command of commands) {
            if (command._tag !== "Probe") continue
            assert.isFalse(probing.has(command.endpoint), `two probes of ${command.endpoint}`)
            probing.add(command.endpoint)
          }
          assert.isTrue(state.endpoints.has(state.current))
          // Nobody probes what is in use.
          for (const id of probing) assert.isDefined(state.endpoints.get(id)!.failing)
        }
        const probed = (endpoint: string, good: boolean) => {
          if (probing.delete(endpoint)) handle({ _tag: "Probed", endpoint, good })
        }
        const call = (id: string, failed: boolean) => {
          const { calls, failures } = callCount(id)
          callCounts.set(id, { calls: calls + 1, failures: failures + (failed ? 1 : 0) })
        }
        for (const step of steps) {
          if ("up" in step) {
            up.add(step.up)
            handle({ _tag: "Up", endpoint: step.up })
          } else if ("down" in step) {
            up.delete(step.down)
            handle({ _tag: "Down", endpoint: step.down })
          } else if ("pass" in step) {
            now += step.pass
            handle({ _tag: "Elapsed" })
          } else if ("called" in step) call(step.called, step.failed)
          else probed(step.probed, step.good)
        }
        // From here on everybody is well.
        for (const end = now + 1000; now < end; now = Math.min(end, Math.max(now, State.dueAt(state)))) {
          handle({ _tag: "Elapsed" })
          for (const id of [...probing]) probed(id, true)
        }
        handle({ _tag: "Elapsed" })
        for (const { failing } of state.endpoints.values()) assert.isUndefined(failing)
        const first = names.find((name) => up.has(name))
        if (first !== undefined) assert.strictEqual(state.current, first)
      })
  )
})
