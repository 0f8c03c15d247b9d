import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Deferred, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Handlers, Health, RoundRobin, StaticDiscovery, type Transport } from "trunkline"
import { GrpcJsConnector, GrpcJsServer } from "trunkline/grpc-js"
import type { HealthCheckResponse_ServingStatus } from "../../src/services/gen/grpc/health/v1/health_pb.ts"
import { memory, type Wire, wires } from "../support/wires.ts"

const poolOf = (address: string) =>
  Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))

const served = (health: Health.Health["Service"]): Handlers.Handlers =>
  Handlers.provideContext(Health.handlers, Context.make(Health.Health, health))

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

/** Runs a program with a server's health and a transport to that server. */
const withHealth = <A, E>(
  wire: Wire,
  program: (health: Health.Health["Service"]) => Effect.Effect<A, E, Transport.Transport | Scope.Scope>
) =>
  Effect.flatMap(Health.make({ "demo.Echo": "SERVING" }), (health) => calling(wire, [served(health)], program(health)))

/** Watches in the background, to be asked for one status at a time. */
const listen = Effect.fnUntraced(function* (service?: string) {
  const heard = yield* Queue.unbounded<Health.Status>()
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(Health.watch(service), (status) => Queue.offer(heard, status))
  )
  return { next: Queue.take(heard), rest: Queue.clear(heard), fiber }
})

for (const wire of wires) {
  describe(`Check ${wire.name}`, () => {
    wire.it("answers for the server as a whole, and for each service it was told of", () =>
      withHealth(wire, (health) =>
        Effect.gen(function* () {
          assert.strictEqual(yield* Health.check(), "SERVING")
          assert.strictEqual(yield* Health.check("demo.Echo"), "SERVING")
          yield* health.set("demo.Echo", "NOT_SERVING")
          yield* health.set("demo.Late", "UNKNOWN")
          assert.strictEqual(yield* Health.check("demo.Echo"), "NOT_SERVING")
          assert.strictEqual(yield* Health.check("demo.Late"), "UNKNOWN")
          assert.strictEqual(yield* Health.check(), "SERVING")
        })
      )
    )

    wire.it("of an unknown service is NOT_FOUND, however long its name", () =>
      withHealth(wire, (health) =>
        Effect.gen(function* () {
          for (const service of ["demo.Other", "x".repeat(1_000_000), "demo.Echo "]) {
            const error = yield* Effect.flip(Health.check(service))
            assert.strictEqual(error.message, "[NOT_FOUND] the server has no service of that name")
          }
          yield* health.clear("demo.Echo")
          assert.strictEqual((yield* Effect.flip(Health.check("demo.Echo"))).code, "NOT_FOUND")
          assert.strictEqual(yield* Health.check(), "SERVING")
        })
      )
    )

    wire.it("of a server without the health service is UNIMPLEMENTED, for Watch too", () =>
      calling(
        wire,
        [],
        Effect.gen(function* () {
          assert.strictEqual((yield* Effect.flip(Health.check())).code, "UNIMPLEMENTED")
          assert.strictEqual((yield* Effect.flip(Stream.runDrain(Health.watch()))).code, "UNIMPLEMENTED")
        })
      )
    )

    wire.it("hears a status of a later protocol as UNKNOWN", () => {
      const later: { status: HealthCheckResponse_ServingStatus } = { status: 17 as HealthCheckResponse_ServingStatus }
      const handlers = Handlers.make(Health.v1, { check: () => Effect.succeed(later), watch: () => Stream.make(later) })
      return calling(
        wire,
        [handlers],
        Effect.gen(function* () {
          assert.strictEqual(yield* Health.check(), "UNKNOWN")
          assert.deepStrictEqual(yield* Stream.runCollect(Health.watch()), ["UNKNOWN"])
        })
      )
    })
  })

  describe(`Watch ${wire.name}`, () => {
    wire.it("says the status at once, and then every change of that service alone", () =>
      withHealth(wire, (health) =>
        Effect.gen(function* () {
          const echo = yield* listen("demo.Echo")
          assert.strictEqual(yield* echo.next, "SERVING")
          yield* health.set("demo.Echo", "NOT_SERVING")
          assert.strictEqual(yield* echo.next, "NOT_SERVING")
          yield* health.set("demo.Echo", "NOT_SERVING")
          yield* health.set("demo.Other", "SERVING")
          yield* health.set("", "NOT_SERVING")
          yield* health.set("demo.Echo", "UNKNOWN")
          assert.strictEqual(yield* echo.next, "UNKNOWN")
          assert.deepStrictEqual(yield* echo.rest, [])
        })
      )
    )

    wire.it("of an unknown service waits for it to be known, and hears when it is forgotten", () =>
      withHealth(wire, (health) =>
        Effect.gen(function* () {
          const late = yield* listen("demo.Late")
          assert.strictEqual(yield* late.next, "SERVICE_UNKNOWN")
          yield* health.set("demo.Late", "SERVING")
          assert.strictEqual(yield* late.next, "SERVING")
          yield* health.clear("demo.Late")
          assert.strictEqual(yield* late.next, "SERVICE_UNKNOWN")
          yield* health.set("demo.Late", "NOT_SERVING")
          assert.strictEqual(yield* late.next, "NOT_SERVING")
        })
      )
    )

    wire.it("hears of a drain, which no set undoes, and of the end of it", () =>
      withHealth(wire, (health) =>
        Effect.gen(function* () {
          const [whole, echo, other] = [yield* listen(), yield* listen("demo.Echo"), yield* listen("demo.Other")]
          yield* health.set("demo.Echo", "UNKNOWN")
          for (const { next } of [whole, echo, other]) yield* next
          yield* health.drain
          assert.strictEqual(yield* whole.next, "NOT_SERVING")
          yield* health.set("", "SERVING")
          yield* health.set("demo.Echo", "SERVING")
          yield* health.set("demo.Other", "SERVING")
          assert.strictEqual(yield* Health.check(), "NOT_SERVING")
          assert.strictEqual(yield* Health.check("demo.Echo"), "NOT_SERVING")
          assert.strictEqual((yield* Effect.flip(Health.check("demo.Other"))).code, "NOT_FOUND")
          yield* health.resume
          assert.strictEqual(yield* whole.next, "SERVING")
          assert.strictEqual(yield* Health.check("demo.Echo"), "SERVING")
          yield* health.set("demo.Other", "SERVING")
          assert.strictEqual(yield* other.next, "SERVING")
        })
      )
    )

    wire.it("ends with a shutdown, after its last word, and so does a watch that comes later", () =>
      withHealth(wire, (health) =>
        Effect.gen(function* () {
          const [echo, other] = [yield* listen("demo.Echo"), yield* listen("demo.Other")]
          for (const { next } of [echo, other]) yield* next
          yield* health.shutdown
          const error = yield* Effect.flip(Fiber.join(echo.fiber))
          assert.strictEqual(error.message, "[UNAVAILABLE] the server is shutting down")
          assert.deepStrictEqual(yield* echo.rest, ["NOT_SERVING"])
          assert.strictEqual((yield* Effect.flip(Fiber.join(other.fiber))).code, "UNAVAILABLE")
          assert.deepStrictEqual(yield* other.rest, [])

          const late = yield* listen()
          assert.strictEqual((yield* Effect.flip(Fiber.join(late.fiber))).code, "UNAVAILABLE")
          assert.deepStrictEqual(yield* late.rest, ["NOT_SERVING"])
        })
      )
    )

    wire.it("ends when its client leaves", () =>
      Effect.gen(function* () {
        const health = yield* Health.make()
        const left = yield* Deferred.make<void>()
        let open = 0
        const counted = Health.Health.of({
          ...health,
          watch: (service) =>
            health
              .watch(service)
              .pipe(
                Stream.onStart(Effect.sync(() => void open++)),
                Stream.ensuring(Effect.suspend(() => (--open === 0 ? Deferred.succeed(left, undefined) : Effect.void)))
              )
        })
        yield* calling(
          wire,
          [served(counted)],
          Effect.gen(function* () {
            const [one, two] = [yield* listen(), yield* listen()]
            for (const { next } of [one, two]) yield* next
            assert.strictEqual(open, 2)
            yield* Fiber.interrupt(one.fiber)
            yield* health.set("", "NOT_SERVING")
            assert.strictEqual(yield* two.next, "NOT_SERVING")
            assert.deepStrictEqual(yield* one.rest, [])
            yield* Fiber.interrupt(two.fiber)
            yield* Deferred.await(left)
            assert.strictEqual(open, 0)
            assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(Health.watch(), 1)), ["NOT_SERVING"])
          })
        )
      })
    )
  })
}

describe("Health", () => {
  it.effect("shows a slow reader the latest and no status twice in a row", () =>
    Effect.gen(function* () {
      const health = yield* Health.make()
      // While it looks at one status, the status changes twice.
      const meanwhile = new Map<Health.Status, ReadonlyArray<Health.ServingStatus>>([
        ["SERVING", ["UNKNOWN", "NOT_SERVING"]],
        ["NOT_SERVING", ["UNKNOWN", "NOT_SERVING"]]
      ])
      const seen: Array<Health.Status> = []
      const reader = Stream.runForEach(health.watch(""), (status) => {
        seen.push(status)
        return Effect.forEach(meanwhile.get(status) ?? [], (next) => health.set("", next))
      })
      const fiber = yield* Effect.forkChild(reader)
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(seen, ["SERVING", "NOT_SERVING"])
      assert.isUndefined(fiber.pollUnsafe())
    })
  )

  it.effect("starts as it is told, shuts down with its scope, and ends its watches then", () =>
    Effect.gen(function* () {
      const { health, watcher } = yield* Effect.scoped(
        Effect.gen(function* () {
          const health = yield* Health.Health
          assert.strictEqual(yield* health.status(""), "NOT_SERVING")
          assert.strictEqual(yield* health.status("demo.Echo"), "SERVING")
          const watcher = yield* Effect.forkDetach(Stream.runCollect(health.watch("demo.Echo")))
          yield* Effect.yieldNow
          return { health, watcher }
        }).pipe(Effect.provide(Health.layer({ "": "NOT_SERVING", "demo.Echo": "SERVING" })))
      )
      assert.deepStrictEqual(yield* Fiber.join(watcher), ["SERVING", "NOT_SERVING"])
      yield* health.set("demo.Echo", "SERVING")
      assert.strictEqual(yield* health.status("demo.Echo"), "NOT_SERVING")
    })
  )

  it.effect("drains once, resumes once, forgets while it drains, and resumes from a shutdown", () =>
    Effect.gen(function* () {
      const health = yield* Health.make({ "demo.Echo": "NOT_SERVING", "demo.Gone": "SERVING" })
      yield* health.resume
      assert.strictEqual(yield* health.status("demo.Echo"), "NOT_SERVING", "there was nothing to resume from")
      yield* health.shutdown
      yield* health.drain
      assert.deepStrictEqual(yield* Stream.runCollect(health.watch("")), ["NOT_SERVING"], "still shut down")
      yield* health.clear("demo.Gone")
      yield* health.resume
      assert.strictEqual(yield* health.status("demo.Echo"), "SERVING")
      assert.strictEqual(yield* health.status("demo.Gone"), "SERVICE_UNKNOWN")
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(health.watch(""), 1)), ["SERVING"])
    })
  )

  it.live("ends its watches when the server begins to stop, so that the server need not wait for them", () =>
    Effect.gen(function* () {
      const health = yield* Health.make()
      const server = yield* Scope.make()
      const options = { handlers: [served(health)], drainTimeout: "1 hour" } as const
      const { address } = yield* Scope.provide(GrpcJsServer.make(options), server)
      yield* Effect.gen(function* () {
        const watcher = yield* listen()
        assert.strictEqual(yield* watcher.next, "SERVING")
        yield* Scope.close(server, Exit.void)
        assert.strictEqual((yield* Effect.flip(Fiber.join(watcher.fiber))).code, "UNAVAILABLE")
        assert.deepStrictEqual(yield* watcher.rest, ["NOT_SERVING"])
      }).pipe(Effect.scoped, Effect.provide(poolOf(address)))
    }).pipe(Effect.provide(GrpcJsConnector.layer()))
  )

  it.effect("is heard when it changes, to the millisecond, until the deadline of the watch", () =>
    withHealth(memory, (health) =>
      Effect.gen(function* () {
        const heard: Array<[number, Health.Status]> = []
        const start = yield* Clock.currentTimeMillis
        const started = yield* Deferred.make<void>()
        const watcher = Stream.runForEach(Health.watch("demo.Echo"), (status) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            heard.push([now - start, status])
            return Deferred.succeed(started, undefined)
          })
        ).pipe(CallOptions.withDeadline("1 hour"), Effect.flip)
        const fiber = yield* Effect.forkChild(watcher)
        yield* Deferred.await(started)
        yield* TestClock.adjust("10 minutes")
        yield* health.set("demo.Echo", "NOT_SERVING")
        yield* TestClock.adjust("49 minutes")
        yield* health.drain
        yield* health.resume
        yield* TestClock.adjust("59999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(fiber)).code, "DEADLINE_EXCEEDED")
        assert.deepStrictEqual(heard, [
          [0, "SERVING"],
          [600_000, "NOT_SERVING"],
          [3_540_000, "SERVING"]
        ])
      })
    )
  )
})
