import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  Handlers,
  LoadReport,
  RoundRobin,
  ServerLoad,
  StaticDiscovery,
  type Transport
} from "trunkline"
import { adapters } from "../support/adapters.ts"
import { memory, type Wire, wires } from "../support/wires.ts"

const poolOf = (address: string) =>
  Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))

/** Runs a program with a transport to a server that serves `handlers`. */
const calling = <A, E>(
  wire: Wire,
  handlers: ReadonlyArray<Handlers.Handlers>,
  program: Effect.Effect<A, E, Transport.Transport | Scope.Scope>
) =>
  Effect.gen(function* () {
    const address = yield* wire.serve(handlers)
    return yield* Effect.scoped(program).pipe(Effect.provide(poolOf(address)))
  }).pipe(Effect.provide(wire.layer))

/** Runs a program with the load of a server and a transport to that server. */
const withLoad = <A, E>(
  wire: Wire,
  minInterval: "30 seconds" | "20 millis" | undefined,
  program: (load: ServerLoad.ServerLoad["Service"]) => Effect.Effect<A, E, Transport.Transport | Scope.Scope>
) =>
  Effect.gen(function* () {
    const load = yield* ServerLoad.make({ cpuUtilization: 0.5 })
    const context = Context.make(ServerLoad.ServerLoad, load)
    const handlers = Handlers.provideContext(ServerLoad.handlers({ minInterval }), context)
    return yield* calling(wire, [handlers], program(load))
  })

/** Watches in the background, to be asked for one report at a time. */
const listen = Effect.fnUntraced(function* (interval: "1 millis" | "1 second") {
  const heard = yield* Queue.unbounded<LoadReport.LoadReport>()
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(ServerLoad.watch(interval), (report) => Queue.offer(heard, report))
  )
  return { next: Queue.take(heard), rest: Queue.clear(heard), fiber }
})

const cpu = (cpuUtilization: number): LoadReport.LoadReport => ({ ...LoadReport.empty, cpuUtilization })

for (const wire of wires) {
  describe(`watch ${wire.name}`, () => {
    wire.it("hears the load at once, and again after an interval whether it changed or not", () =>
      withLoad(wire, "20 millis", (load) =>
        Effect.gen(function* () {
          const { next } = yield* listen("1 millis")
          assert.deepStrictEqual(yield* next, cpu(0.5))
          yield* wire.pass("20 millis")
          assert.deepStrictEqual(yield* next, cpu(0.5))
          yield* load.update({ memoryUtilization: 0.25, utilization: { disk: 1 } })
          const updated = { ...cpu(0.5), memoryUtilization: 0.25, utilization: { disk: 1 } }
          // On sockets a report of the load before may be on its way.
          for (let heard = 0; heard < 10; heard++) {
            yield* wire.pass("20 millis")
            const report = yield* next
            if (report.memoryUtilization > 0) return assert.deepStrictEqual(report, updated)
          }
          assert.fail("the new load was never heard")
        })
      )
    )

    wire.it("ends with UNAVAILABLE when the server shuts down, whatever is left of the interval", () =>
      withLoad(wire, "30 seconds", (load) =>
        Effect.gen(function* () {
          const { fiber, next } = yield* listen("1 second")
          yield* next
          yield* load.shutdown
          const error = yield* Effect.flip(Fiber.join(fiber))
          assert.strictEqual(error.message, "[UNAVAILABLE] the server is shutting down")
        })
      )
    )

    wire.it("of a server that does not report is UNIMPLEMENTED", () =>
      calling(
        wire,
        [],
        Effect.gen(function* () {
          const error = yield* Effect.flip(Stream.runDrain(ServerLoad.watch("1 second")))
          assert.strictEqual(error.code, "UNIMPLEMENTED")
        })
      )
    )
  })
}

describe("a server that stops", () => {
  it.live.each(adapters)("does not wait for who watches its load: $name", ({ connector, serve }) =>
    Effect.gen(function* () {
      const load = yield* ServerLoad.make()
      const handlers = Handlers.provideContext(ServerLoad.handlers(), Context.make(ServerLoad.ServerLoad, load))
      const server = yield* Scope.make()
      const { address } = yield* Scope.provide(serve({ handlers: [handlers], drainTimeout: "1 hour" }), server)
      yield* Effect.gen(function* () {
        const { fiber, next } = yield* listen("1 second")
        yield* next
        yield* Effect.timeout(Scope.close(server, Exit.void), "5 seconds")
        assert.strictEqual((yield* Effect.flip(Fiber.join(fiber))).code, "UNAVAILABLE")
      }).pipe(Effect.scoped, Effect.provide(poolOf(address)), Effect.provide(connector()))
    })
  )
})

/** When reports are heard within two minutes, in milliseconds. */
const heardBy = (watch: Stream.Stream<unknown, unknown, Transport.Transport>) =>
  Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    const heard: Array<number> = []
    const began = yield* Deferred.make<void>()
    const fiber = yield* Effect.forkChild(
      Stream.runForEach(watch, () =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          heard.push(now - start)
          return Deferred.succeed(began, undefined)
        })
      ).pipe(CallOptions.withDeadline("2 minutes"), Effect.ignore)
    )
    yield* Deferred.await(began)
    for (let step = 0; step < 24; step++) yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(fiber)
    return heard
  })

describe("the interval", () => {
  const asking = (reportInterval: { readonly seconds: bigint; readonly nanos: number } | undefined) =>
    Stream.unwrap(Effect.map(Client.make(ServerLoad.v3), (client) => client.streamCoreMetrics({ reportInterval })))
  const everyHalfMinute = [0, 30_000, 60_000, 90_000]

  it.effect.each([
    ["is the one the client asks for", ServerLoad.watch("50 seconds"), [0, 50_000, 100_000]],
    ["is not less than the minimum", ServerLoad.watch("1 millis"), everyHalfMinute],
    ["is the minimum where none is asked for", asking(undefined), everyHalfMinute],
    ["is the minimum where less than nothing is asked for", asking({ seconds: -5n, nanos: 0 }), everyHalfMinute],
    ["may be longer than any clock runs", ServerLoad.watch("Infinity"), [0]],
    ["is whole milliseconds", ServerLoad.watch(50_000.1), [0, 50_001, 100_002]]
  ] as const)("%s", ([, watch, expected]) =>
    withLoad(memory, undefined, () =>
      Effect.map(heardBy(watch), (heard) => assert.deepStrictEqual(heard, [...expected]))
    )
  )
})

describe("ServerLoad", () => {
  it.effect("update keeps the metrics that are not named, replace forgets them, and neither takes what cannot be", () =>
    Effect.gen(function* () {
      const load = yield* ServerLoad.ServerLoad
      yield* load.update({ utilization: { disk: 0.5 } })
      yield* load.update({ cpuUtilization: 0 })
      assert.deepStrictEqual(yield* load.report, { ...cpu(0), errorsPerSecond: 1, utilization: { disk: 0.5 } })
      const before = yield* load.report
      const error = yield* Effect.flip(load.update({ cpuUtilization: 1, memoryUtilization: 2 }))
      assert.strictEqual(error.message, "memoryUtilization: 2 is not between 0 and 1")
      assert.strictEqual((yield* Effect.flip(load.replace({ errorsPerSecond: -1 }))).metric, "errorsPerSecond")
      assert.deepStrictEqual(yield* load.report, before)
      yield* load.replace({ memoryUtilization: 1 })
      assert.deepStrictEqual(yield* load.report, { ...LoadReport.empty, memoryUtilization: 1 })
    }).pipe(Effect.provide(ServerLoad.layer({ cpuUtilization: 0.5, errorsPerSecond: 1 })))
  )

  it.effect("does not begin with a metric that cannot be", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(ServerLoad.make({ requestsPerSecond: NaN })))
      assert.strictEqual(error.metric, "requestsPerSecond")
    })
  )

  it.effect("ends its watches with its scope", () =>
    Effect.gen(function* () {
      const watcher = yield* Effect.scoped(
        Effect.gen(function* () {
          const load = yield* ServerLoad.make()
          const watcher = yield* Effect.forkDetach(Stream.runCollect(load.watch("1 hour")))
          // First it gets to its sleep.
          yield* TestClock.adjust(0)
          yield* TestClock.adjust("1 hour")
          return watcher
        })
      )
      assert.deepStrictEqual(yield* Fiber.join(watcher), [LoadReport.empty, LoadReport.empty])
    })
  )
})
