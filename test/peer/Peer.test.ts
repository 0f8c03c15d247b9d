import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Random, Schedule, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Endpoint } from "trunkline"
import { Connector, Peer } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"

const host = "backend:1"
const serve = Effect.flatMap(TestNetwork.TestNetwork, (network) =>
  network.serve(host, { handlers: [echoHandlers("a")] })
)
const inMemory = Effect.provide(TestNetwork.layer)

/** Lets everything that is ready to run do so. */
const settle = TestClock.adjust(0)

const states = (peer: Peer.Peer) => peer.status.state

describe("connecting", () => {
  it.effect("nothing connects before it is asked to", () =>
    Effect.gen(function* () {
      yield* serve
      const network = yield* TestNetwork.TestNetwork
      const peer = yield* Peer.make(endpoint(host))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(states(peer), "Idle")
      assert.strictEqual(network.connections(host), 0)
      peer.requestConnect()
      yield* settle
      assert.strictEqual(states(peer), "Ready")
      assert.strictEqual(network.connections(host), 1)
    }).pipe(inMemory)
  )

  it.effect("a refused connect is tried again after 1 s, then x1.6, each +-20 %", () =>
    Effect.gen(function* () {
      const attempts: Array<number> = []
      const refusing = Effect.gen(function* () {
        const network = yield* TestNetwork.make
        return Connector.Connector.of({
          connect: (to: Endpoint.Endpoint) =>
            Effect.andThen(
              Effect.clockWith((clock) => Effect.sync(() => attempts.push(clock.currentTimeMillisUnsafe()))),
              network.connector.connect(to)
            )
        })
      })
      const peer = yield* Peer.make(endpoint(host)).pipe(
        Effect.provideServiceEffect(Connector.Connector, refusing),
        Random.withSeed("backoff")
      )
      peer.requestConnect()
      yield* settle
      assert.strictEqual(states(peer), "Down")
      assert.strictEqual(peer.status.cause, "connection refused by backend:1")
      yield* TestClock.adjust("1 hour")
      const gaps = attempts.slice(1).map((at, i) => at - attempts[i]!)
      for (const [i, gap] of gaps.entries()) {
        const expected = Math.min(120_000, 1000 * 1.6 ** i)
        assert.isAtLeast(gap, Math.floor(expected * 0.8))
        assert.isAtMost(gap, Math.ceil(expected * 1.2))
      }
      assert.isAbove(gaps.length, 20)
    })
  )

  it.effect("a server that accepts and stays silent is given up at 20 s and tried again", () =>
    Effect.gen(function* () {
      yield* serve
      const network = yield* TestNetwork.TestNetwork
      yield* network.silence(host)
      const peer = yield* Peer.make(endpoint(host), { reconnect: Schedule.spaced("1 second") })
      peer.requestConnect()
      yield* TestClock.adjust(19_999)
      assert.strictEqual(states(peer), "Connecting")
      yield* TestClock.adjust(1)
      assert.strictEqual(states(peer), "Down")
      assert.strictEqual(peer.status.cause, "not ready within 20s")
      yield* network.unsilence(host)
      yield* TestClock.adjust(999)
      assert.strictEqual(states(peer), "Down")
      yield* TestClock.adjust(1)
      assert.strictEqual(states(peer), "Ready")
      assert.strictEqual(peer.status.cause, undefined)
    }).pipe(inMemory)
  )

  it.effect("a lost connection leaves the peer idle until it is asked again, and backoff starts anew", () =>
    Effect.gen(function* () {
      yield* serve
      const network = yield* TestNetwork.TestNetwork
      const peer = yield* Peer.make(endpoint(host), { reconnect: Schedule.exponential("1 second", 2) })
      peer.requestConnect()
      yield* TestClock.adjust("1 minute")
      yield* network.kill(host)
      yield* settle
      assert.strictEqual(states(peer), "Idle")
      assert.strictEqual(peer.connection, undefined)
      peer.requestConnect()
      yield* settle
      assert.strictEqual(states(peer), "Down")
      yield* network.restart(host)
      yield* TestClock.adjust(999)
      assert.strictEqual(states(peer), "Down")
      yield* TestClock.adjust(1)
      assert.strictEqual(states(peer), "Ready")
    }).pipe(inMemory)
  )

  it.effect("what was asked last counts", () =>
    Effect.gen(function* () {
      yield* serve
      const peer = yield* Peer.make(endpoint(host))
      peer.requestDisconnect()
      peer.requestConnect()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(states(peer), "Ready")
      peer.requestDisconnect()
      yield* TestClock.adjust("1 second")
      assert.strictEqual(states(peer), "Idle")
    }).pipe(inMemory)
  )

  it.effect("a server that hangs up at once is connected to once a second, not in a loop", () =>
    Effect.gen(function* () {
      yield* serve
      const network = yield* TestNetwork.TestNetwork
      let connects = 0
      const peer = yield* Peer.make(endpoint(host))
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.gen(function* () {
            peer.requestConnect()
            if (states(peer) === "Ready") {
              connects++
              yield* network.disconnect(host)
            }
            yield* Effect.sleep(10)
          })
        )
      )
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(connects, 9)
      assert.isAtMost(connects, 11)
    }).pipe(inMemory)
  )
})

describe("closing", () => {
  const open = Effect.gen(function* () {
    yield* serve
    const scope = yield* Scope.make()
    const peer = yield* Scope.provide(Peer.make(endpoint(host)), scope)
    peer.requestConnect()
    yield* settle
    return { peer, scope, network: yield* TestNetwork.TestNetwork }
  })

  it.effect("an unused connection closes at once", () =>
    Effect.gen(function* () {
      const { network, peer, scope } = yield* open
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(states(peer), "Gone")
      assert.strictEqual(network.connections(host), 0)
    }).pipe(inMemory)
  )

  it.effect("waits for calls under way, and no longer than 10 s", () =>
    Effect.gen(function* () {
      const { network, peer, scope } = yield* open
      peer.connection!.enter()
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(9999)
      assert.strictEqual(states(peer), "Gone")
      assert.strictEqual(network.connections(host), 1)
      assert.strictEqual(closing.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      assert.strictEqual(network.connections(host), 0)
    }).pipe(inMemory)
  )

  it.effect("closes when the last call has ended", () =>
    Effect.gen(function* () {
      const { network, peer, scope } = yield* open
      const connection = peer.connection!
      connection.enter()
      connection.enter()
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      connection.leave()
      yield* settle
      assert.strictEqual(network.connections(host), 1)
      connection.leave()
      yield* Fiber.join(closing)
      assert.strictEqual(network.connections(host), 0)
    }).pipe(inMemory)
  )

  it.effect("a peer closed while it connects leaves nothing behind", () =>
    Effect.gen(function* () {
      yield* serve
      const network = yield* TestNetwork.TestNetwork
      yield* network.setLatency(host, "1 second")
      const scope = yield* Scope.make()
      const peer = yield* Scope.provide(Peer.make(endpoint(host)), scope)
      peer.requestConnect()
      yield* settle
      assert.strictEqual(states(peer), "Connecting")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(states(peer), "Gone")
      assert.strictEqual(network.connections(host), 0)
    }).pipe(inMemory)
  )
})
