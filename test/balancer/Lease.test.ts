import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Schema, Scheduler, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Deadline, type Endpoint, RpcError, StaticDiscovery } from "trunkline"
import { Discovery, PeerRegistry } from "trunkline/extend"
import { endpoint } from "../support/endpoints.ts"
import { settle, hosts, serveAll, client, inMemory } from "../support/balanced.ts"

describe("leases", () => {
  /** A client of one ready peer, and what that peer counts. */
  const onePeer = Effect.gen(function* () {
    const network = yield* serveAll
    const registry = yield* PeerRegistry.make({ drainTimeout: 0 })
    const { stats } = yield* registry.retain(endpoint("a:1"))
    const echo = yield* client({ discovery: StaticDiscovery.make(["a:1"]), eager: true }).pipe(
      Effect.provideService(PeerRegistry.PeerRegistry, registry)
    )
    yield* settle
    return { echo, network, stats }
  })

  it.effect("a call is counted while it runs and off however it ends", () =>
    Effect.gen(function* () {
      const { echo, network, stats } = yield* onePeer
      yield* echo.lookup({})
      assert.strictEqual(stats.pending, 0)
      yield* Effect.flip(echo.lookup({ failCode: 13 }))
      assert.deepStrictEqual([stats.pending, stats.succeeded, stats.failed], [0, 1, 1])

      const interrupted = yield* Effect.forkChild(echo.echo({ delayMillis: 1000 }))
      yield* settle
      assert.strictEqual(stats.pending, 1)
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(stats.pending, 0)

      const timedOut = yield* Effect.forkChild(
        Effect.flip(echo.echo({ delayMillis: 1000 }).pipe(CallOptions.withTimeout(100)))
      )
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(timedOut)).code, "DEADLINE_EXCEEDED")
      assert.strictEqual(stats.pending, 0)

      const reading = yield* Deferred.make<void>()
      const stream = yield* Effect.forkChild(
        Stream.runForEach(echo.expand({ count: 1000, delayMillis: 10 }), () => Deferred.succeed(reading, undefined))
      )
      yield* TestClock.adjust(10)
      yield* Deferred.await(reading)
      assert.strictEqual(stats.pending, 1)
      yield* Fiber.interrupt(stream)
      assert.strictEqual(stats.pending, 0)

      const killed = yield* Effect.forkChild(Effect.flip(echo.echo({ delayMillis: 1000 })))
      yield* settle
      yield* network.kill("a:1")
      assert.strictEqual((yield* Fiber.join(killed)).code, "UNAVAILABLE")
      assert.strictEqual(stats.pending, 0)
    }).pipe(inMemory)
  )

  it.effect("a peer owes an answer to unary calls, and to streams none", () =>
    Effect.gen(function* () {
      const { echo, stats } = yield* onePeer
      const clock = yield* Clock.Clock
      const stream = yield* Effect.forkChild(Stream.runDrain(echo.expand({ count: 3, delayMillis: 1000 })))
      yield* settle
      assert.deepStrictEqual([stats.pending, stats.unanswered], [1, 0])
      yield* TestClock.adjust(100)
      const asked = Deadline.nowUnsafe(clock)
      const quick = yield* Effect.forkChild(echo.echo({ delayMillis: 50 }))
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 60 }))
      yield* settle
      assert.deepStrictEqual([stats.pending, stats.unanswered, stats.askedAt], [3, 2, asked])
      yield* TestClock.adjust(50)
      yield* Fiber.join(quick)
      assert.deepStrictEqual([stats.pending, stats.unanswered, stats.askedAt], [2, 1, asked])
      yield* Fiber.interrupt(slow)
      assert.deepStrictEqual([stats.pending, stats.unanswered], [1, 0])
      yield* Effect.flip(echo.lookup({ failCode: 13 }))
      assert.deepStrictEqual([stats.pending, stats.unanswered, stats.askedAt], [1, 0, asked + 50])
      yield* Fiber.interrupt(stream)
    }).pipe(inMemory)
  )

  it.effect("a reader's own failure is not the peer's", () =>
    Effect.gen(function* () {
      const { echo, stats } = yield* onePeer
      const another = RpcError.make("UNAVAILABLE", "of another backend")
      yield* Effect.flip(Stream.runForEach(echo.expand({ count: 3 }), () => Effect.fail(another)))
      assert.deepStrictEqual([stats.pending, stats.succeeded, stats.failed], [0, 0, 0])
      yield* Stream.runDrain(echo.expand({ count: 3 }))
      assert.deepStrictEqual([stats.pending, stats.succeeded, stats.failed], [0, 1, 0])
      yield* Effect.flip(Stream.runDrain(echo.expand({ count: 3, failCode: 14 })))
      assert.deepStrictEqual([stats.pending, stats.succeeded, stats.failed], [0, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("an interruption at any point of a call leaves no lease behind", () =>
    Effect.gen(function* () {
      const { echo, stats } = yield* onePeer
      const calls: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        echo.echo({ delayMillis: 1000 }),
        Stream.runDrain(echo.expand({ count: 1, delayMillis: 1000 }))
      ]
      // A call that yields every few operations, interrupted after each number of yields, has been at every point.
      for (const call of calls) {
        for (let operations = 3; operations < 9; operations++) {
          for (let yields = 0; yields < 40; yields++) {
            const fiber = yield* Effect.forkChild(Effect.provideService(call, Scheduler.MaxOpsBeforeYield, operations))
            for (let i = 0; i < yields; i++) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            const counts = [stats.pending, stats.unanswered]
            assert.deepStrictEqual(counts, [0, 0], `${operations} operations, ${yields} yields`)
          }
        }
      }
    }).pipe(inMemory)
  )

  const steps = Schema.Array(
    Schema.Tuple([
      Schema.Literals([
        "unary",
        "stream",
        "interrupt",
        "kill",
        "restart",
        "disconnect",
        "drop peer",
        "add peer",
        "tick"
      ]),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
    ])
  )

  it.effect.prop(
    "in any interleaving of starts, ends, interrupts, faults and membership: pending is the number of live leases, and 0 at the end",
    { steps },
    ({ steps }) =>
      Effect.gen(function* () {
        const network = yield* serveAll
        const registry = yield* PeerRegistry.make({ drainTimeout: "1 second" })
        const peers = yield* Effect.forEach(hosts, (host) => registry.retain(endpoint(host)))
        const sets = yield* SubscriptionRef.make<ReadonlyArray<Endpoint.Endpoint>>(hosts.map(endpoint))
        const echo = yield* client({
          discovery: Discovery.make("all", SubscriptionRef.changes(sets)),
          eager: true
        }).pipe(Effect.provideService(PeerRegistry.PeerRegistry, registry))
        const calls: Array<Fiber.Fiber<unknown, unknown>> = []
        const host = (n: number) => hosts[n % hosts.length]!
        const perform: Record<(typeof steps)[number][0], (n: number) => Effect.Effect<unknown>> = {
          unary: (n) => start(echo.echo({ delayMillis: n * 10 })),
          stream: (n) => start(Stream.runDrain(echo.expand({ count: n, delayMillis: 10 }))),
          interrupt: (n) => (calls.length === 0 ? Effect.void : Fiber.interrupt(calls[n % calls.length]!)),
          kill: (n) => network.kill(host(n)),
          restart: (n) => network.restart(host(n)),
          disconnect: (n) => network.disconnect(host(n)),
          "drop peer": (n) => SubscriptionRef.update(sets, (all) => all.filter(({ id }) => id !== host(n))),
          "add peer": (n) =>
            SubscriptionRef.update(sets, (all) => [...all.filter(({ id }) => id !== host(n)), endpoint(host(n))]),
          tick: (n) => TestClock.adjust(n * 7)
        }
        const start = (call: Effect.Effect<unknown, unknown>) =>
          Effect.map(Effect.forkChild(Effect.exit(call)), (fiber) => calls.push(fiber))

        for (const [step, n] of steps) {
          yield* perform[step](n)
          for (const peer of peers) assert.isAtLeast(peer.stats.pending, 0)
          const live = calls.filter((call) => call.pollUnsafe() === undefined).length
          assert.isAtMost(
            peers.reduce((sum, peer) => sum + peer.stats.pending, 0),
            live
          )
        }
        // In many steps: a fiber that yields this often reaches its sleep after the clock has passed it.
        for (let i = 0; i < 60; i++) yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(calls.filter((call) => call.pollUnsafe() === undefined).length, 0)
        assert.deepStrictEqual(
          peers.map((peer) => peer.stats.pending),
          [0, 0, 0]
        )
      }).pipe(
        Effect.scoped,
        inMemory,
        // Yielding every few operations puts an interruption into every gap there is.
        Effect.provideService(Scheduler.MaxOpsBeforeYield, 5)
      ),
    { timeout: 30_000 }
  )

  it.effect("two pools over one registry share a connection", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      const clients = yield* Effect.all([client({ eager: true }), client({ eager: true })]).pipe(
        Effect.provideServiceEffect(PeerRegistry.PeerRegistry, PeerRegistry.make())
      )
      yield* settle
      yield* Effect.forEach(clients, (echo) => echo.lookup({}))
      assert.deepStrictEqual(hosts.map(network.connections), [1, 1, 1])
    }).pipe(inMemory)
  )
})
