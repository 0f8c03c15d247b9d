/** One large step of the test's clock is the same course of events as many small ones, whatever stack carries the calls. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Random, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Balancer,
  CallOptions,
  ChannelPool,
  Client,
  RoutePicker,
  Handlers,
  LeastPending,
  Locality,
  MultiEndpoint,
  Panic,
  PickFirst,
  PowerOfTwo,
  Priority,
  Retry,
  RingHash,
  RoundRobin,
  Service,
  StaticDiscovery,
  Sticky,
  type Transport
} from "trunkline"
import { type Connector, Jitter, type Picker } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"

const Who = Service.make("test.Who", { who: Service.unary(Schema.Number, Schema.String) })
class Client_ extends Client.Service<Client_>()("test/Who", Who) {}

const hosts = ["a:1", "b:1", "c:1"]

const leaves: ReadonlyArray<readonly [string, () => Picker.PickerPolicy]> = [
  ["RoundRobin", () => RoundRobin.make()],
  ["PickFirst", () => PickFirst.make()],
  ["LeastPending", () => LeastPending.make()],
  ["PowerOfTwo", () => PowerOfTwo.make()],
  ["RingHash", () => RingHash.make()]
]
type Wrap = (self: Picker.PickerPolicy) => Picker.PickerPolicy
const wraps: ReadonlyArray<readonly [string, Wrap]> = [
  ["Dispatch", (self) => RoutePicker.make({ otherwise: self, keyed: RingHash.make() })],
  ["Priority", (self) => Priority.failover(self)],
  ["Spill", (self) => Priority.spill(self)],
  ["Locality", (self) => Locality.prefer(self, "here")],
  ["Sticky", (self) => Sticky.byKey(self)],
  ["Panic", (self) => Panic.below(self, 0.5)]
]

interface Stack {
  readonly name: string
  readonly layer: Layer.Layer<Client_, unknown, Connector.Connector>
}

/** A stack drawn by lot. */
const stackOf = (chance: () => number): Stack => {
  const any = <A>(all: ReadonlyArray<A>): A => all[Math.floor(chance() * all.length)]!
  const [leaf, make] = any(leaves)
  let picker = make()
  let name = leaf
  for (let depth = Math.floor(chance() * 4); depth > 0; depth--) {
    const [wrap, around] = any(wraps)
    picker = around(picker)
    name = `${wrap}(${name})`
  }
  const reconnect = Schedule.spaced("700 millis")
  const multi = chance() < 0.3
  const channels = chance() < 0.4
  const pool: Layer.Layer<Transport.Transport, unknown, Connector.Connector> = multi
    ? MultiEndpoint.layer({
        multiEndpoints: [{ name: "default", endpoints: hosts, recoveryTimeout: 0, switchingDelay: 0 }],
        discovery: (endpoint) => StaticDiscovery.make([endpoint.id]),
        reconnect,
        picker
      })
    : Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker, reconnect })
  const retry = Retry.layer(
    Retry.onCodes(["UNAVAILABLE"], Backoff.exponential({ initial: "100 millis", jitter: Jitter.none })).pipe(
      Retry.maxAttempts(4)
    )
  )
  const transport = channels ? Layer.provide(pool, ChannelPool.layer({ min: 1, max: 4, reconnect })) : pool
  return {
    name: `${multi ? "MultiEndpoint" : "Balancer"}${channels ? " over ChannelPool" : ""}: ${name}`,
    layer: Client_.layer.pipe(Layer.provide(retry), Layer.provide(transport))
  }
}

/** What happens to the hosts, and which calls are made, drawn by lot. */
const courseOf = (chance: () => number) => {
  const until = (most: number) => Math.floor(chance() * most)
  const latency = chance() < 0.5 ? 0 : 1 + until(30)
  const calls = Array.from({ length: 8 }, (_, n) => ({
    at: n === 0 ? 0 : until(4000),
    deadline: 1 + until(3000),
    takes: chance() < 0.5 ? 0 : until(300)
  }))
  const faults = Array.from({ length: 3 }, () => ({
    at: until(4000),
    what: (["kill", "restart", "disconnect", "freeze", "thaw"] as const)[until(5)]!,
    host: hosts[until(hosts.length)]!
  }))
  return { latency, calls, faults }
}

/** How each call ended and when, with time passing in steps of so many milliseconds. */
const timeline = (seed: string, step: number) =>
  Effect.gen(function* () {
    const random = yield* Random.Random.pipe(Random.withSeed(seed))
    const chance = () => random.nextDoubleUnsafe()
    const { layer } = stackOf(chance)
    const { calls, faults, latency } = courseOf(chance)
    const network = yield* TestNetwork.TestNetwork
    for (const host of hosts) {
      const who = (takes: number) => Effect.as(Effect.sleep(takes), host)
      yield* network.serve(host, { handlers: [Handlers.make(Who, { who })] })
      yield* network.setLatency(host, latency)
    }
    const { who } = yield* Effect.provideContext(Client_, yield* Layer.build(Layer.orDie(layer)))
    const ended: Array<string> = []
    const fibers: Array<Fiber.Fiber<unknown>> = []
    for (const { at, deadline, takes } of calls) {
      const call = who(takes).pipe(
        CallOptions.withDeadline(deadline),
        Effect.match({ onFailure: (error) => error.code, onSuccess: (host) => host }),
        Effect.flatMap((how) => Effect.map(Clock.currentTimeMillis, (now) => ended.push(`${at}: ${how} at ${now}`)))
      )
      fibers.push(yield* Effect.forkChild(Effect.delay(call, at)))
    }
    for (const { at, host, what } of faults) fibers.push(yield* Effect.forkChild(Effect.delay(network[what](host), at)))
    for (let now = 0; now < 10_000; now += step) yield* TestClock.adjust(step)
    for (const fiber of fibers) yield* Fiber.join(fiber)
    return ended.toSorted()
  }).pipe(
    Effect.scoped,
    Effect.provide(TestNetwork.layer),
    Effect.provide(TestClock.layer()),
    Random.withSeed(`${seed}/pool`)
  )

describe("one step of the test's clock", () => {
  for (let run = 0; run < 40; run++) {
    const seed = `stack ${run}`
    it.live(`is worth as many small ones, seed "${seed}"`, () =>
      Effect.gen(function* () {
        const random = yield* Random.Random.pipe(Random.withSeed(seed))
        const { name } = stackOf(() => random.nextDoubleUnsafe())
        const small = yield* timeline(seed, 10)
        assert.strictEqual(small.length, 8)
        assert.deepStrictEqual(yield* timeline(seed, 10_000), small, `one step, seed "${seed}", ${name}`)
        assert.deepStrictEqual(yield* timeline(seed, 2500), small, `four steps, seed "${seed}", ${name}`)
      })
    )
  }

  it.live("answers at once whoever is there at once, whatever picks", () =>
    Effect.gen(function* () {
      for (let run = 0; run < 40; run++) {
        const random = yield* Random.Random.pipe(Random.withSeed(`at once ${run}`))
        const { layer, name } = stackOf(() => random.nextDoubleUnsafe())
        yield* Effect.gen(function* () {
          const network = yield* TestNetwork.TestNetwork
          for (const host of hosts)
            yield* network.serve(host, { handlers: [Handlers.make(Who, { who: () => Effect.succeed(host) })] })
          const { who } = yield* Effect.provideContext(Client_, yield* Layer.build(Layer.orDie(layer)))
          const answered = Effect.andThen(who(0).pipe(CallOptions.withDeadline(1)), Clock.currentTimeMillis)
          const fiber = yield* Effect.forkChild(answered)
          yield* TestClock.adjust("1 hour")
          assert.strictEqual(yield* Fiber.join(fiber), 0, name)
        }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer), Effect.provide(TestClock.layer()))
      }
    })
  )
})
