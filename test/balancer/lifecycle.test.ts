/** From the first connection to the last: giving up, closing, going idle. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, PickError, RoundRobin, StaticDiscovery } from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const settle = TestClock.adjust(0)
const inMemory = Effect.provide(TestNetwork.layer)

/** A network with hosts, and a pool over them with a client, in a scope of their own. */
const open = Effect.fnUntraced(function* (hosts: ReadonlyArray<string>, options?: Partial<Balancer.Options>) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const scope = yield* Scope.make()
  const layer = Balancer.layer({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), ...options })
  const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const pool = Context.get(context, PeerPool.PeerPool)
  yield* settle
  return { close: Scope.close(scope, Exit.void), echo, network, pool }
})

describe("closed", () => {
  it.effect("completes when the last call has ended, and not before", () =>
    Effect.gen(function* () {
      const { close, echo, pool } = yield* open(["a:1"], { eager: true })
      const closed = yield* Effect.forkChild(pool.closed)
      const call = yield* Effect.forkChild(echo.echo({ delayMillis: 2000 }))
      yield* settle
      yield* Effect.forkChild(close)
      yield* TestClock.adjust(1999)
      assert.strictEqual(closed.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      yield* Fiber.join(call)
      yield* Fiber.join(closed)
    }).pipe(inMemory)
  )

  it.effect("completes at the drain limit, whatever still runs", () =>
    Effect.gen(function* () {
      const { close, echo, pool } = yield* open(["a:1"], { eager: true, drainTimeout: "3 seconds" })
      const closed = yield* Effect.forkChild(pool.closed)
      const call = yield* Effect.forkChild(Effect.exit(echo.echo({ delayMillis: 60_000 })))
      yield* settle
      yield* Effect.forkChild(close)
      yield* TestClock.adjust(2999)
      assert.strictEqual(closed.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      yield* Fiber.join(closed)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(call)))
    }).pipe(inMemory)
  )
})

describe("bounded connection attempts", () => {
  /** Two attempts, a second apart. */
  const twice = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))

  it.effect("when they are used up the pool shuts down, and calls fail typed", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open(["a:1"], { reconnect: twice })
      yield* network.kill("a:1")
      const closed = yield* Effect.forkChild(Effect.flip(pool.closed))
      const waiting = yield* Effect.forkChild(Effect.flip(echo.lookup({}).pipe(CallOptions.waitForReady)))
      yield* TestClock.adjust(999)
      assert.strictEqual(closed.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      const exhausted = yield* Fiber.join(closed)
      assert.deepStrictEqual(exhausted.peers, [{ peer: "a:1", state: "Gone", cause: "connection refused by a:1" }])

      for (const error of [yield* Fiber.join(waiting), yield* Effect.flip(echo.lookup({}))]) {
        assert.strictEqual(error.code, "UNAVAILABLE")
        assert(error.cause instanceof PickError.PoolClosed)
        assert.strictEqual(error.cause.exhausted, exhausted)
        assert.include(error.message, "gave up on a:1 (connection refused by a:1)")
      }
      yield* network.restart("a:1")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(network.connections("a:1"), 0)
    }).pipe(inMemory)
  )

  it.effect("a connection that was ready starts the count anew, and a loss after it counts", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open(["a:1"], { reconnect: twice, eager: true })
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("10 seconds")
        yield* network.kill("a:1")
        yield* settle
        yield* network.restart("a:1")
        yield* TestClock.adjust("1 second")
        yield* echo.lookup({})
      }
      const closed = yield* Effect.forkChild(Effect.flip(pool.closed))
      yield* network.kill("a:1")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(closed))._tag, "ConnectionsExhausted")
    }).pipe(inMemory)
  )

  it.effect("are counted per backend: one that gave up leaves the others to it", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open(["a:1", "b:1"], { reconnect: twice, eager: true })
      const closed = yield* Effect.forkChild(Effect.flip(pool.closed))
      yield* TestClock.adjust("10 seconds")
      yield* network.kill("a:1")
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(closed.pollUnsafe(), undefined)
      assert.strictEqual((yield* echo.lookup({})).server, "b:1")
      assert.deepStrictEqual(
        pool.peers().map((peer) => peer.status.state),
        ["Gone", "Ready"]
      )
    }).pipe(inMemory)
  )
})

describe("idle timeout", () => {
  const idle = { idleTimeout: "5 minutes" } as const
  const fiveMinutes = 300_000

  it.effect("disconnects so long after the last call, and the next call connects again", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open(["a:1"], idle)
      yield* echo.lookup({})
      yield* TestClock.adjust(fiveMinutes - 1)
      assert.strictEqual(network.connections("a:1"), 1)
      yield* echo.lookup({})
      yield* TestClock.adjust(fiveMinutes - 1)
      assert.strictEqual(network.connections("a:1"), 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(network.connections("a:1"), 0)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(network.connections("a:1"), 0)
      assert.strictEqual((yield* echo.lookup({})).server, "a:1")
      assert.strictEqual(network.connections("a:1"), 1)
    }).pipe(inMemory)
  )

  it.effect("counts from the end of a call, however long", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* open(["a:1"], idle)
      const call = yield* Effect.forkChild(echo.echo({ delayMillis: fiveMinutes * 2 + 1000 }))
      yield* TestClock.adjust(fiveMinutes * 2 + 1000)
      yield* Fiber.join(call)
      yield* TestClock.adjust(fiveMinutes - 1)
      assert.strictEqual(network.connections("a:1"), 1)
      yield* TestClock.adjust(1)
      assert.strictEqual(network.connections("a:1"), 0)
    }).pipe(inMemory)
  )

  it.effect(
    "does not begin while a call waits for a peer",
    () =>
      Effect.gen(function* () {
        const { echo, network } = yield* open(["a:1"], { ...idle, reconnect: Schedule.spaced("1 second") })
        yield* network.kill("a:1")
        const call = yield* Effect.forkChild(echo.lookup({}).pipe(CallOptions.waitForReady))
        yield* TestClock.adjust("1 hour")
        yield* network.restart("a:1")
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(call)).server, "a:1")
      }).pipe(inMemory),
    // An hour of connects, one a second.
    20_000
  )

  it.effect("also ends tries to connect that nobody waits for", () =>
    Effect.gen(function* () {
      const { echo, network, pool } = yield* open(["a:1"], { ...idle, reconnect: Schedule.spaced("1 second") })
      yield* network.kill("a:1")
      yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      yield* settle
      assert.strictEqual(pool.peers()[0]?.status.state, "Down")
      yield* TestClock.adjust(fiveMinutes)
      assert.strictEqual(pool.peers()[0]?.status.state, "Idle")
    }).pipe(inMemory)
  )
})
