/** A balancer that sends calls only where the server says it serves. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, Deadline, Health, PickError, RoundRobin, StaticDiscovery } from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const settle = Effect.repeat(TestClock.adjust(0), { times: 5 })
const inMemory = Effect.provide(TestNetwork.layer)
const service = "test.Echo"

/** Serves a host whose health the test decides; without one if it says so. */
const serve = Effect.fnUntraced(function* (host: string, health: boolean) {
  const network = yield* TestNetwork.TestNetwork
  if (!health) return yield* Effect.as(network.serve(host, { handlers: [echoHandlers(host)] }), undefined)
  const made = yield* Health.make({ [service]: "SERVING" })
  yield* network
    .serve(host, { handlers: [echoHandlers(host), Health.handlers] })
    .pipe(Effect.provideService(Health.Health, made))
  return made
})

const open = Effect.fnUntraced(function* (hosts: ReadonlyArray<string>, options?: Parameters<typeof Health.signal>[0]) {
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make(hosts),
    picker: RoundRobin.make(),
    signals: [Health.signal({ service, ...options })],
    eager: true
  })
  const context = yield* Layer.build(Layer.orDie(layer))
  const pool = Context.get(context, PeerPool.PeerPool)
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  yield* settle
  /** The servers of some calls, or the error of the first that failed. */
  const servers = (calls: number) =>
    Effect.forEach(Array.from({ length: calls }), () => echo.lookup({}).pipe(CallOptions.failFast)).pipe(
      Effect.map((replies) => [...new Set(replies.map(({ server }) => server))].sort())
    )
  const why = Effect.map(Effect.flip(servers(1)), ({ cause }) =>
    cause instanceof PickError.NoPeerReady ? cause.peers[0]?.cause : undefined
  )
  return { network: yield* TestNetwork.TestNetwork, pool, servers, why }
})

describe("Health.signal", () => {
  it.effect("keeps calls from a server that says it does not serve, and sends them again when it does", () =>
    Effect.gen(function* () {
      const a = yield* serve("a:1", true)
      yield* serve("b:1", true)
      const { network, servers } = yield* open(["a:1", "b:1"])
      assert.deepStrictEqual(yield* servers(10), ["a:1", "b:1"])
      for (const status of ["NOT_SERVING", "UNKNOWN"] as const) {
        yield* a!.set(service, status)
        yield* settle
        assert.deepStrictEqual(yield* servers(10), ["b:1"])
      }
      assert.strictEqual(network.connections("a:1"), 1)
      yield* a!.clear(service)
      yield* settle
      assert.deepStrictEqual(yield* servers(10), ["b:1"])
      yield* a!.set(service, "SERVING")
      yield* settle
      assert.deepStrictEqual(yield* servers(10), ["a:1", "b:1"])
    }).pipe(inMemory)
  )

  it.effect("leaves a server that drains before its connection is gone", () =>
    Effect.gen(function* () {
      const a = yield* serve("a:1", true)
      yield* serve("b:1", true)
      const { servers } = yield* open(["a:1", "b:1"])
      yield* a!.drain
      yield* settle
      assert.deepStrictEqual(yield* servers(10), ["b:1"])
    }).pipe(inMemory)
  )

  it.effect("sends no call before the server has spoken, and says so", () =>
    Effect.gen(function* () {
      yield* serve("a:1", true)
      const network = yield* TestNetwork.TestNetwork
      yield* network.setLatency("a:1", 10)
      const { pool, servers, why } = yield* open(["a:1"])
      yield* TestClock.adjust(10)
      yield* settle
      assert.strictEqual(pool.peers()[0]?.status.state, "Ready")
      assert.strictEqual(yield* why, "its server has not said yet whether it serves")
      for (let i = 0; i < 5; i++) yield* Effect.andThen(TestClock.adjust(10), settle)
      yield* network.setLatency("a:1", 0)
      assert.deepStrictEqual(yield* servers(1), ["a:1"])
    }).pipe(inMemory)
  )

  it.effect("counts a server without a health service as healthy, says so once, and does not ask again", () =>
    Effect.gen(function* () {
      const said: Array<unknown> = []
      const logger = Logger.make(({ message }) => void said.push(message))
      yield* Effect.gen(function* () {
        yield* serve("a:1", false)
        yield* serve("b:1", false)
        const { servers } = yield* open(["a:1", "b:1"])
        assert.deepStrictEqual(yield* servers(10), ["a:1", "b:1"])
        yield* TestClock.adjust("1 hour")
      }).pipe(Effect.provide(Logger.layer([logger])))
      assert.deepStrictEqual(said.flat(), ["a server has no health service; such servers count as healthy"])
    }).pipe(inMemory)
  )

  it.effect("keeps calls away while a broken watch is not back, and tries again with backoff", () =>
    Effect.gen(function* () {
      const a = yield* serve("a:1", true)
      const { servers, why } = yield* open(["a:1"], { backoff: Schedule.exponential("1 second", 2) })
      const { length } = yield* Effect.forEach(
        [1, 2, 3],
        Effect.fnUntraced(function* (round) {
          // A watch that the server ends.
          yield* a!.shutdown
          yield* settle
          assert.include(yield* why, "health: [UNAVAILABLE] the server is shutting down", `round ${round}`)
          yield* a!.resume
          yield* TestClock.adjust(999)
          yield* settle
          assert.isDefined(yield* why)
          // The server has spoken, so the delay is the first again.
          yield* TestClock.adjust(1)
          yield* settle
          assert.deepStrictEqual(yield* servers(1), ["a:1"])
        })
      )
      assert.strictEqual(length, 3)
    }).pipe(inMemory)
  )

  it.effect("watches anew on a new connection", () =>
    Effect.gen(function* () {
      const a = yield* serve("a:1", true)
      const { network, servers, why } = yield* open(["a:1"])
      yield* TestClock.adjust("1 minute")
      yield* network.disconnect("a:1")
      yield* settle
      assert.deepStrictEqual(yield* servers(1), ["a:1"])
      yield* a!.set(service, "NOT_SERVING")
      yield* settle
      assert.strictEqual(yield* why, "its server says NOT_SERVING")
    }).pipe(inMemory)
  )

  it.effect("is not a call of the peer: it counts as no load and holds up no drain", () =>
    Effect.gen(function* () {
      yield* serve("a:1", true)
      const network = yield* TestNetwork.TestNetwork
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { pool, servers } = yield* open(["a:1"])
          yield* servers(1)
          assert.deepStrictEqual(
            pool.peers().map(({ connection, stats }) => [stats.pending, stats.started, connection?.active]),
            [[0, 1, 0]]
          )
        })
      )
      assert.strictEqual(network.connections("a:1"), 0)
    }).pipe(inMemory)
  )

  it.effect("does not end with the deadline its pool was made under", () =>
    Effect.gen(function* () {
      const a = yield* serve("a:1", true)
      const { servers, why } = yield* open(["a:1"]).pipe(
        CallOptions.withDeadline("1 second"),
        Effect.provideService(Deadline.Current, 1000)
      )
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.deepStrictEqual(yield* servers(1), ["a:1"])
      yield* a!.set(service, "NOT_SERVING")
      yield* settle
      assert.strictEqual(yield* why, "its server says NOT_SERVING")
    }).pipe(inMemory)
  )
})
