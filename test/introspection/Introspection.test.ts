import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  FailureAccrual,
  Introspection,
  MethodPolicy,
  Retry,
  RetryBudget,
  RoundRobin,
  StaticDiscovery,
  Transport
} from "trunkline"
import { Discovery, Snapshot } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { endpoint } from "../support/endpoints.ts"

const hosts = ["a:1", "b:1", "c:1"]

const serveAll = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  yield* Effect.forEach(hosts, (host) => network.serve(host, { handlers: [echoHandlers(host)] }), { discard: true })
  return network
})

const transport = Balancer.make({ discovery: StaticDiscovery.make(hosts), picker: RoundRobin.make(), eager: true })

const look = Effect.flatMap(Introspection.Introspection, ({ snapshot }) => snapshot)

const settle = Effect.forEach(Array.from({ length: 30 }), () => Effect.yieldNow, { discard: true })

const seen = Effect.provide([TestNetwork.layer, Introspection.layer()])

describe("a pool", () => {
  it.effect("is seen with its peers, and what they did", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      const invoker = yield* transport
      const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, invoker)
      yield* settle
      for (const host of hosts) yield* network.setLatency(host, 5)
      yield* Effect.forkChild(Effect.forEach(Array.from({ length: 9 }), () => echo.lookup({})))
      yield* TestClock.adjust(100)
      yield* Effect.forkChild(Effect.exit(echo.lookup({ failCode: 14, text: "no more" })))
      yield* TestClock.adjust("1 second")

      const { at, pools, version } = yield* look
      assert.deepStrictEqual([version, at, pools.length], [1, 1100, 1])
      const { discovery, peers, picker, target } = pools[0]!
      assert.deepStrictEqual([target, picker], ["a:1, b:1, c:1", "RoundRobin"])
      assert.deepStrictEqual(discovery, { updatedAt: 0, error: undefined })
      assert.deepStrictEqual(
        peers.map(({ address, state }) => [address, state]),
        hosts.map((host) => [host, "Ready"])
      )
      assert.strictEqual(
        peers.reduce((sum, { started }) => sum + started, 0),
        10
      )
      assert.deepStrictEqual(peers.map(({ failed }) => failed).sort(), [0, 0, 1])
      const failing = peers.find(({ failed }) => failed === 1)!
      assert.strictEqual(failing.lastError?.text, "[UNAVAILABLE] no more")
      assert.isAbove(failing.lastError!.at, 100)
      const { recent } = peers.find(({ failed }) => failed === 0)!
      assert.deepStrictEqual([recent.calls, recent.share], [3, 0.3])
      assert.strictEqual(recent.latencyMillis, 10)
    }).pipe(Effect.scoped, seen)
  )

  it.effect("shows which of its peers is down and why, and what discovery complains of", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      yield* Balancer.make({
        discovery: Discovery.make(
          "the cellar",
          Stream.concat(
            Stream.succeed(hosts.map(endpoint)),
            Stream.fail(new Discovery.DiscoveryError({ target: "the cellar", problem: "flooded" }))
          )
        ),
        picker: RoundRobin.make(),
        eager: true
      })
      yield* TestClock.adjust("1 minute")
      yield* network.kill("b:1")
      yield* TestClock.adjust("10 millis")
      const pool = (yield* look).pools[0]!
      assert.strictEqual(pool.discovery.error, 'discovery of "the cellar": flooded')
      const b = pool.peers[1]!
      assert.deepStrictEqual([b.id, b.state], ["b:1", "Down"])
      assert.isString(b.cause)
    }).pipe(Effect.scoped, seen)
  )

  it.effect("shows what signals say of its peers, since when and until when", () =>
    Effect.gen(function* () {
      yield* serveAll
      const invoker = yield* Balancer.make({
        discovery: StaticDiscovery.make(["a:1"]),
        picker: RoundRobin.make(),
        signals: [FailureAccrual.make({ policy: FailureAccrual.consecutive(2), delay: "10 seconds" })],
        eager: true
      })
      const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, invoker)
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined((yield* look).pools[0]!.peers[0]!.standing)
      const began = yield* Clock.currentTimeMillis
      yield* Effect.exit(echo.lookup({ failCode: 14 }))
      yield* Effect.exit(echo.lookup({ failCode: 14 }))
      yield* TestClock.adjust("2 seconds")
      const { panicked, peers } = (yield* look).pools[0]!
      const { standing, state } = peers[0]!
      assert.deepStrictEqual([state, standing?.status, standing?.weight, panicked], ["Ready", "Ejected", 1, 0])
      assert.match(standing!.cause!, /2/)
      assert.strictEqual(standing!.since, began)
      // The breaker's delay is random in the upper half of its envelope.
      assert.isTrue(standing!.until! >= began + 10_000 && standing!.until! <= began + 20_000, String(standing!.until))
    }).pipe(Effect.scoped, seen)
  )

  it.effect("is no longer seen once its scope has closed", () =>
    Effect.gen(function* () {
      yield* serveAll
      const scope = yield* Scope.make()
      yield* Scope.provide(transport, scope)
      yield* transport
      assert.deepStrictEqual(
        (yield* look).pools.map(({ id }) => id),
        [1, 2]
      )
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(
        (yield* look).pools.map(({ id }) => id),
        [2]
      )
    }).pipe(Effect.scoped, seen)
  )

  it.effect("works the same without anybody to look", () =>
    Effect.gen(function* () {
      yield* serveAll
      const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, yield* transport)
      yield* settle
      assert.include(hosts, (yield* echo.lookup({})).server)
    }).pipe(Effect.scoped, Effect.provide(TestNetwork.layer))
  )
})

describe("a client", () => {
  const client = (policies: Layer.Layer<never>) =>
    Effect.gen(function* () {
      yield* serveAll
      yield* Effect.provide(Client.make(EchoService), policies).pipe(
        Effect.provideService(Transport.Transport, yield* transport)
      )
      return (yield* look).clients[0]!
    }).pipe(Effect.scoped, seen)

  it.effect("shows its budget, and in words what it does", () =>
    Effect.gen(function* () {
      const { budget, policies, service } = yield* client(
        Layer.mergeAll(
          Retry.layer(Retry.onCodes(["ABORTED"], Schedule.spaced("1 second")).pipe(Retry.maxAttempts(3))),
          MethodPolicy.layer({ for: ({ name }) => (name === "Echo" ? { deadlineMillis: 1500 } : undefined) })
        )
      )
      assert.strictEqual(service, EchoService.typeName)
      assert.deepStrictEqual(budget, { balance: 100, withdrawals: 0, exhaustions: 0, shared: false })
      assert.deepStrictEqual(
        policies.map(({ of }) => of),
        ["other methods", "Echo"]
      )
      assert.include(policies[0]!.text, "attempts: at most 3")
      assert.strictEqual(policies[1]!.text, "whole call: at most 1s 500ms")
    })
  )

  it.effect("says that it has no policy, and whose the budget is", () =>
    Effect.gen(function* () {
      const { budget, policies } = yield* client(RetryBudget.layer(Effect.succeed(RetryBudget.infinite)))
      assert.deepStrictEqual(policies, [{ of: "every method", text: "one attempt" }])
      assert.deepStrictEqual([budget.balance, budget.shared], ["unlimited", true])
    })
  )
})

describe("snapshots", () => {
  it.effect("come at once and then each interval", () =>
    Effect.gen(function* () {
      const { snapshots } = yield* Introspection.Introspection
      const fiber = yield* Effect.forkChild(
        snapshots.pipe(
          Stream.map(({ at }) => at),
          Stream.take(3),
          Stream.runCollect
        )
      )
      yield* settle
      for (let i = 0; i < 4; i++) yield* TestClock.adjust("500 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), [0, 500, 1000])
    }).pipe(Effect.provide(Introspection.layer({ interval: "500 millis" })))
  )

  it.effect("are the same after JSON", () =>
    Effect.gen(function* () {
      yield* serveAll
      yield* Effect.provideService(Client.make(EchoService), Transport.Transport, yield* transport)
      yield* TestClock.adjust("2 seconds")
      const json = JSON.stringify(yield* look)
      assert.deepStrictEqual<unknown>(yield* Snapshot.fromJson(json), JSON.parse(json))
    }).pipe(Effect.scoped, seen)
  )

  it.effect("show what a program registers of its own", () =>
    Effect.gen(function* () {
      const done = yield* Deferred.make<void>()
      const list = { name: "main", current: "a:1", endpoints: [], history: [] }
      const fiber = yield* Introspection.register({ _tag: "MultiEndpoint", read: Effect.succeed([list]) }).pipe(
        Effect.andThen(Deferred.await(done)),
        Effect.scoped,
        Effect.forkChild
      )
      yield* settle
      assert.deepStrictEqual((yield* look).multiEndpoints, [{ id: 1, ...list }])
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual((yield* look).multiEndpoints, [])
    }).pipe(Effect.provide(Introspection.layer()))
  )
})
