/** What this process cannot send or read, and what a server cannot decode, is not held against a backend. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Random as Chance, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Backoff,
  Balancer,
  CallOptions,
  Client,
  FailureAccrual,
  Handlers,
  OutlierDetection,
  PeakEwma,
  PowerOfTwo,
  Retry,
  RetryBudget,
  RpcError,
  Service,
  StaticDiscovery
} from "trunkline"
import { PeerPool } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"

const describing = <N extends Schema.Codec<string>, C extends Schema.Codec<string | number>>(name: N, count: C) =>
  Service.make("test.Greeter", {
    greet: Service.unary(Schema.Struct({ name }), Schema.String),
    count: Service.unary(Schema.Struct({ name }), count),
    greetings: Service.serverStreaming(Schema.Struct({ name }), Schema.String)
  })

const Strict = describing(Schema.NonEmptyString, Schema.Number)
/** Sends what the server's schema refuses. */
const Lax = describing(Schema.String, Schema.Number)
/** Expects another answer than the server's. */
const Skewed = describing(Schema.String, Schema.String)

const hosts = ["a:1", "b:1"]

const open = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts)
    yield* network.serve(host, {
      handlers: [
        Handlers.make(Strict, {
          greet: ({ name }) =>
            name === "broken" ? Effect.fail(RpcError.make("INTERNAL", "out of disk")) : Effect.succeed(name),
          count: ({ name }) => Effect.succeed(name.length),
          greetings: ({ name }) => Stream.make(name)
        })
      ]
    })
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make(hosts),
    eager: true,
    picker: PowerOfTwo.make({ load: PeakEwma.make() }),
    signals: [
      FailureAccrual.make({ policy: FailureAccrual.consecutive(3) }),
      OutlierDetection.make({
        comparisons: [OutlierDetection.failurePercentage({ requestVolume: 1, minimumHosts: 1, threshold: 0 })],
        interval: "1 second",
        maxEjectionShare: 1
      })
    ]
  })
  const context = yield* Layer.build(Layer.orDie(layer))
  const pool = yield* Effect.provideContext(PeerPool.PeerPool, context)
  yield* TestClock.adjust(1)
  return { context, pool }
})

const notHeldAgainst = Effect.fnUntraced(function* (
  pool: PeerPool.PeerPool["Service"],
  failing: Effect.Effect<unknown, RpcError.RpcError>,
  code: RpcError.RpcError["code"]
) {
  for (let i = 0; i < 30; i++) assert.strictEqual((yield* Effect.flip(failing)).code, code)
  yield* TestClock.adjust("3 seconds")
  const [set] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
  assert.strictEqual(set!.ready.length, hosts.length)
  for (const { stats } of pool.peers()) {
    assert.deepStrictEqual([stats.failed, stats.lastError], [0, undefined])
    assert.isAtLeast(stats.cost, 0)
  }
})

const program = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Effect.provide(TestNetwork.layer), Chance.withSeed("blame"))

describe("not held against the peers", () => {
  it.effect("a request that its own schema refuses, unary and of a stream", () =>
    program(
      Effect.gen(function* () {
        const { context, pool } = yield* open
        const client = yield* Effect.provideContext(Client.make(Strict), context)
        yield* notHeldAgainst(pool, client.greet({ name: "" }), "INTERNAL")
        yield* notHeldAgainst(pool, Stream.runDrain(client.greetings({ name: "" })), "INTERNAL")
      })
    )
  )

  it.effect("a request that the server's schema refuses", () =>
    program(
      Effect.gen(function* () {
        const { context, pool } = yield* open
        const client = yield* Effect.provideContext(Client.make(Lax), context)
        yield* notHeldAgainst(pool, client.greet({ name: "" }), "INVALID_ARGUMENT")
        yield* notHeldAgainst(pool, Stream.runDrain(client.greetings({ name: "" })), "INVALID_ARGUMENT")
      })
    )
  )

  it.effect("a response that the client's schema refuses", () =>
    program(
      Effect.gen(function* () {
        const { context, pool } = yield* open
        const client = yield* Effect.provideContext(Client.make(Skewed), context)
        yield* notHeldAgainst(pool, client.count({ name: "x" }), "INTERNAL")
      })
    )
  )

  it.effect("messages that are larger than the call may send or receive", () =>
    program(
      Effect.gen(function* () {
        const { context, pool } = yield* open
        const client = yield* Effect.provideContext(Client.make(Strict), context)
        const large = client.greet({ name: "x".repeat(100) })
        yield* notHeldAgainst(pool, CallOptions.withMaxSendBytes(10)(large), "RESOURCE_EXHAUSTED")
        yield* notHeldAgainst(pool, CallOptions.withMaxReceiveBytes(10)(large), "RESOURCE_EXHAUSTED")
      })
    )
  )
})

it.effect("a server that fails is: INTERNAL of a handler ejects it", () =>
  program(
    Effect.gen(function* () {
      const { context, pool } = yield* open
      const client = yield* Effect.provideContext(Client.make(Strict), context)
      for (let i = 0; i < 20; i++) yield* Effect.ignore(CallOptions.failFast(client.greet({ name: "broken" })))
      const [set] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
      assert.strictEqual(set!.ready.length, 0)
    })
  )
)

it.effect("what cannot be sent is not tried again, and the budget hears nothing of it", () =>
  program(
    Effect.gen(function* () {
      const { context } = yield* open
      const client = yield* Effect.provideContext(Client.make(Strict), context)
      const told: Array<string> = []
      const budget: RetryBudget.RetryBudget = {
        ...RetryBudget.infinite,
        observe: (outcome) => void told.push(outcome),
        withdraw: () => {
          told.push("withdrawn")
          return true
        }
      }
      const policy = Retry.onCodes(["INTERNAL", "RESOURCE_EXHAUSTED"], Backoff.exponential())
      const large = CallOptions.withMaxSendBytes(10)(client.greet({ name: "x".repeat(100) }))
      for (const call of [client.greet({ name: "" }), large]) {
        const error = yield* call.pipe(
          Retry.withPolicy(policy),
          Effect.provideService(RetryBudget.Current, budget),
          Effect.flip
        )
        assert.deepStrictEqual([error.attempts.length, error.stopped], [1, "not_retryable"])
      }
      assert.deepStrictEqual(told, [])
    })
  )
)
