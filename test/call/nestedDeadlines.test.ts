/** Limits of time that are put around each other: what a call keeps to, and what its server is told. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  Deadline,
  Handlers,
  RoundRobin,
  Service,
  StaticDiscovery,
  Transport
} from "trunkline"
import { Call } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { type Wire, wires } from "../support/wires.ts"

const seen = Effect.map(CallOptions.Current, (options) => options)

describe("nested limits of time", () => {
  it.effect("the earlier deadline holds, whichever is inside, and `replaceDeadline` extends it", () =>
    Effect.gen(function* () {
      const deadlineOf = (...around: ReadonlyArray<(self: typeof seen) => typeof seen>) =>
        Effect.map(
          around.reduce((self, put) => put(self), seen),
          ({ deadlineMillis }) => deadlineMillis
        )
      const { replaceDeadline, withDeadline } = CallOptions
      assert.strictEqual(yield* deadlineOf(withDeadline(1000), withDeadline(5000)), 1000)
      assert.strictEqual(yield* deadlineOf(withDeadline(5000), withDeadline(1000)), 1000)
      assert.strictEqual(yield* deadlineOf(withDeadline("1 hour"), replaceDeadline(60_000), withDeadline(1000)), 60_000)
      assert.strictEqual(yield* deadlineOf(replaceDeadline(500), withDeadline(1000)), 500)
      assert.strictEqual(yield* deadlineOf(replaceDeadline("Infinity"), withDeadline(1000)), Infinity)
      assert.strictEqual(yield* deadlineOf(withDeadline("Infinity"), withDeadline(1000)), 1000)
    })
  )

  it.effect("bounds each call by itself, and nothing that is no call", () =>
    Effect.gen(function* () {
      const work = Effect.sleep("1 hour").pipe(Effect.as("done"), CallOptions.withDeadline("1 second"))
      const fiber = yield* Effect.forkChild(work)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
    })
  )

  it.effect("no attempt has more time than any of the limits around it gives, nor than the deadline", () =>
    Effect.gen(function* () {
      const random = yield* Random.Random
      const below = (most: number) => 1 + Math.floor(random.nextDoubleUnsafe() * most)
      const clock = yield* Effect.clockWith(Effect.succeed)
      for (let run = 0; run < 300; run++) {
        const limits = Array.from({ length: below(3) }, () => ({
          time: below(50),
          multiplier: random.nextDoubleUnsafe() < 0.5 ? 1 : below(4),
          max: random.nextDoubleUnsafe() < 0.5 ? Infinity : below(200)
        }))
        const deadline = below(400)
        const puts = limits.map(({ max, multiplier, time }) =>
          CallOptions.withTimeout(time, { multiplier, ...(max === Infinity ? undefined : { max }) })
        )
        puts.splice(below(puts.length + 1) - 1, 0, CallOptions.withDeadline(deadline))
        const options = yield* puts.reduce((self, put) => put(self), seen)
        const call = new Call.Call(options, clock, Deadline.none)
        for (let attempt = 1; attempt <= 6; attempt++) {
          const allowed = limits.map(({ max, multiplier, time }) => Math.min(max, time * multiplier ** (attempt - 1)))
          const most = Math.min(...allowed, deadline)
          assert.isAtMost(call.attemptDeadline - call.start, most, JSON.stringify({ limits, attempt }))
          // One limit that grows is followed exactly; of several the slowest growth holds.
          if (limits.filter(({ multiplier }) => multiplier > 1).length < 2) {
            assert.strictEqual(call.attemptDeadline - call.start, most, JSON.stringify({ limits, attempt }))
          }
          call.nextAttempt(call.start)
        }
      }
    }).pipe(Random.withSeed("nested timeouts"))
  )

  it.effect("`replaceTimeout` gives a longer time inside a shorter one", () =>
    Effect.gen(function* () {
      const { maxTimeoutMillis, timeoutMillis, timeoutMultiplier } = yield* seen.pipe(
        CallOptions.replaceTimeout("10 seconds", { multiplier: 2, max: "1 minute" }),
        CallOptions.withTimeout("1 second")
      )
      assert.deepStrictEqual([timeoutMillis, timeoutMultiplier, maxTimeoutMillis], [10_000, 2, 60_000])
    })
  )
})

const Left = Service.make("test.Left", {
  one: Service.unary(Schema.Void, Schema.Number),
  many: Service.serverStreaming(Schema.Void, Schema.Number)
})

type Kind = "one" | "many"

/** Serves how many milliseconds a call has left, and makes a client of it. */
const clientOf = (wire: Wire) =>
  Effect.gen(function* () {
    const handlers = Handlers.make(Left, {
      one: (_, call) => Effect.sync(() => call.deadline - Deadline.nowUnsafe(call.clock)),
      many: (_, call) => Stream.sync(() => call.deadline - Deadline.nowUnsafe(call.clock))
    })
    const transport = yield* Balancer.make({
      discovery: StaticDiscovery.make([yield* wire.serve([handlers])]),
      picker: RoundRobin.make(),
      eager: true
    })
    const client = yield* Effect.provideService(Client.make(Left), Transport.Transport, transport)
    return {
      one: client.one(undefined),
      many: Effect.map(Stream.runCollect(client.many(undefined)), (all) => all[0]!)
    }
  })

for (const wire of wires) {
  describe(`the deadline a server is told ${wire.name}`, () => {
    wire.it.each(["one", "many"] as const)(
      "is the earlier of nested ones, or the one that replaces them: %s",
      (kind: Kind) =>
        Effect.gen(function* () {
          const left = (yield* clientOf(wire))[kind]
          const { replaceDeadline, withDeadline } = CallOptions
          assert.isAtMost(yield* left.pipe(withDeadline("1 minute"), withDeadline("1 hour")), 60_000)
          assert.isAtMost(yield* left.pipe(withDeadline("1 hour"), withDeadline("1 minute")), 60_000)
          const extended = yield* left.pipe(replaceDeadline("1 hour"), withDeadline("1 minute"))
          assert.isAtMost(extended, 3_600_000)
          assert.isAtLeast(extended, 3_500_000)
        }).pipe(Effect.provide(wire.layer), Effect.scoped)
    )

    wire.it("is the served call's where that is earlier, whatever a handler asks for", () =>
      Effect.gen(function* () {
        const backend = yield* clientOf(wire)
        const asked = [
          CallOptions.withDeadline("1 hour"),
          CallOptions.replaceDeadline("1 hour"),
          CallOptions.waitForReady
        ]
        const handlers = Handlers.make(Left, {
          one: () =>
            Effect.map(Effect.forEach(asked, (put) => put(backend.one)).pipe(Effect.orDie), (all) => Math.max(...all)),
          many: () => Stream.empty
        })
        const transport = yield* Balancer.make({
          discovery: StaticDiscovery.make([yield* wire.serve([handlers])]),
          picker: RoundRobin.make(),
          eager: true
        })
        const front = yield* Effect.provideService(Client.make(Left), Transport.Transport, transport)
        const left = yield* front.one(undefined).pipe(CallOptions.withDeadline("1 minute"))
        assert.isAtMost(left, 60_000)
        assert.isAtLeast(left, 30_000)
      }).pipe(Effect.provide(wire.layer), Effect.scoped)
    )
  })
}

describe("nested deadlines in memory", () => {
  it.effect("end a call at the millisecond of the earlier one, in any order of options", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const handlers = Handlers.make(Left, { one: () => Effect.never, many: () => Stream.never })
      yield* network.serve("a:1", { handlers: [handlers] })
      const transport = yield* Balancer.make({ discovery: StaticDiscovery.make(["a:1"]), picker: RoundRobin.make() })
      const client = yield* Effect.provideService(Client.make(Left), Transport.Transport, transport)
      const puts = [
        CallOptions.withDeadline(700),
        CallOptions.withDeadline(900),
        CallOptions.withTimeout(800),
        CallOptions.waitForReady
      ]
      for (let turn = 0; turn < puts.length; turn++) {
        const order = [...puts.slice(turn), ...puts.slice(0, turn)]
        const around: typeof CallOptions.waitForReady = (self) => order.reduce((inner, put) => put(inner), self)
        const start = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        const ended = (call: Effect.Effect<unknown, { readonly code: string }>) =>
          Effect.flatMap(Effect.flip(around(call)), ({ code }) =>
            Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (now) => [code, now - start]))
          )
        const fibers = [
          yield* Effect.forkChild(ended(client.one(undefined))),
          yield* Effect.forkChild(ended(Stream.runDrain(client.many(undefined))))
        ]
        yield* TestClock.adjust("1 minute")
        for (const fiber of fibers) {
          assert.deepStrictEqual(yield* Fiber.join(fiber), ["DEADLINE_EXCEEDED", 700])
        }
      }
    }).pipe(Effect.provide(TestNetwork.layer), Effect.scoped)
  )
})
