import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Deadline, Handlers, Hedge, Metrics, Retry, RpcError, Service } from "trunkline"
import { Call } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { http2, memory } from "../support/wires.ts"
import { measured, numbers, sumOf, total } from "../support/numbers.ts"
import { clientOf } from "../support/spans.ts"

const service = "trunkline.test.EchoService"

/** Fails so many times, then answers. */
const failing = (times: number) => {
  let left = times
  return Handlers.make(EchoService, {
    echo: () => (left-- > 0 ? Effect.fail(RpcError.make("UNAVAILABLE", "later")) : Effect.succeed({})),
    lookup: () => Effect.never,
    expand: () => Stream.empty,
    collect: () => Effect.succeed({}),
    chat: () => Stream.empty
  })
}

const onNetwork = Layer.merge(TestNetwork.layer, measured())

describe("Metrics", () => {
  it.effect("are off, unless a layer turns them on", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [echoHandlers("a")] })
      const echo = yield* clientOf("a:1")
      yield* echo.echo({})
      assert.deepStrictEqual(yield* numbers, [])
    }).pipe(Effect.provideService(Metrics.Current, undefined), Effect.provide(onNetwork))
  )

  it.effect("a call that succeeds at first", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [echoHandlers("a")] })
      const echo = yield* clientOf("a:1")
      yield* echo.echo({ text: "12345", payload: new Uint8Array(100) })
      const sent = { "grpc.method": `${service}/Echo`, "grpc.target": "a:1" }
      const ended = { ...sent, "grpc.status": "OK" }
      const bytes = 2 + 5 + 2 + 100
      assert.strictEqual(yield* total("grpc.client.attempt.started", sent), 1)
      assert.strictEqual(yield* total("grpc.client.attempt.duration", ended), 1)
      assert.strictEqual(yield* total("grpc.client.call.duration", ended), 1)
      assert.strictEqual(yield* sumOf("grpc.client.attempt.sent_total_compressed_message_size", ended), bytes)
      // The answer also says who gave it.
      assert.strictEqual(yield* sumOf("grpc.client.attempt.rcvd_total_compressed_message_size", ended), bytes + 3)
      assert.strictEqual(yield* total("grpc.client.call.retries"), 0)
      assert.strictEqual(yield* total("grpc.client.call.retry_delay"), 0)
      const served = { "grpc.method": `${service}/Echo`, "grpc.status": "OK" }
      assert.strictEqual(yield* total("grpc.server.call.started", { "grpc.method": `${service}/Echo` }), 1)
      assert.strictEqual(yield* total("grpc.server.call.duration", served), 1)
      assert.strictEqual(yield* sumOf("grpc.server.call.rcvd_total_compressed_message_size", served), bytes)
      assert.strictEqual(yield* sumOf("grpc.server.call.sent_total_compressed_message_size", served), bytes + 3)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("a retried call: its attempts, and how long there was none", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [failing(2)] })
      const echo = yield* clientOf("a:1")
      const retry = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("250 millis"))
      const fiber = yield* Effect.forkChild(echo.echo({}).pipe(Retry.withPolicy(retry)))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(yield* total("grpc.client.attempt.started"), 3)
      assert.strictEqual(yield* total("grpc.client.attempt.duration", { "grpc.status": "UNAVAILABLE" }), 2)
      assert.strictEqual(yield* total("grpc.client.attempt.duration", { "grpc.status": "OK" }), 1)
      assert.strictEqual(yield* total("grpc.client.call.duration", { "grpc.status": "OK" }), 1)
      assert.strictEqual(yield* sumOf("grpc.client.call.duration"), 0.5)
      assert.strictEqual(yield* sumOf("grpc.client.call.retries"), 2)
      assert.strictEqual(yield* total("grpc.client.call.retries"), 1)
      assert.strictEqual(yield* sumOf("grpc.client.call.retry_delay"), 0.5)
      assert.strictEqual(yield* total("trunkline.retry_budget.withdrawals", { "trunkline.client": service }), 2)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("a hedged call, and one that is left", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [failing(0)] })
      const echo = yield* clientOf("a:1")
      const hedge = Hedge.make({ after: "1 second", maxAttempts: 3 })
      const fiber = yield* Effect.forkChild(echo.lookup({}).pipe(Hedge.withHedge(hedge)))
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(yield* total("trunkline.pool.pending"), 2)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* total("trunkline.pool.pending"), 0)
      assert.strictEqual(yield* total("grpc.client.attempt.started"), 2)
      assert.strictEqual(yield* total("grpc.client.attempt.duration", { "grpc.status": "CANCELLED" }), 2)
      assert.strictEqual(yield* total("grpc.client.call.duration", { "grpc.status": "CANCELLED" }), 1)
      assert.strictEqual(yield* sumOf("grpc.client.call.hedges"), 1)
      assert.strictEqual(yield* total("grpc.client.call.retries"), 0)
      assert.strictEqual(yield* sumOf("grpc.client.call.retry_delay"), 0)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("labels are bounded: methods of the service, and targets as the program says", () =>
    Effect.gen(function* () {
      const target = "greeter"
      const known = Service.from(EchoService).methods.echo
      const { attempts } = yield* Metrics.client([known], target)
      const answer = Effect.succeed({ message: undefined, headers: new Map(), trailers: new Map() })
      const unary = attempts.unary(() => answer as never)
      const call = new Call.Call(CallOptions.Current.defaultValue(), yield* Clock.Clock, Deadline.none)
      for (const path of [known.path, "/made/Up", "/made/Up2"]) yield* unary({ ...known, path }, {} as never, call)
      const started = (yield* numbers).filter(({ id }) => id === "grpc.client.attempt.started")
      assert.deepStrictEqual(
        started.map(({ labels, number }) => [labels["grpc.method"], labels["grpc.target"], number]),
        [
          [`${service}/Echo`, "greeter", 1],
          ["other", "greeter", 2]
        ]
      )
      assert.strictEqual(Metrics.targetLabel({}, undefined), "other")
      assert.strictEqual(Metrics.targetLabel({}, "10.0.0.1:1"), "10.0.0.1:1")
      assert.strictEqual(Metrics.targetLabel({ target: () => "backends" }, "10.0.0.1:1"), "backends")
    }).pipe(Effect.provide(measured()))
  )

  it.effect("a pool: its peers by state, and what their connections went through", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("a:1", { handlers: [echoHandlers("a")] })
      const echo = yield* clientOf("a:1", "b:1")
      yield* echo.echo({})
      yield* TestClock.adjust("100 millis")
      const states = (state: string) => total("trunkline.pool.peers", { "trunkline.state": state })
      assert.deepStrictEqual([yield* states("Ready"), yield* states("Down")], [1, 1])
      assert.strictEqual(yield* total("grpc.subchannel.open_connections"), 1)
      assert.isAtLeast(yield* total("trunkline.pool.picker_rebuilds"), 1)
      assert.strictEqual(yield* total("trunkline.pool.panicked"), 0)
      for (let i = 0; i < 3; i++) {
        yield* network.disconnect("a:1")
        yield* TestClock.adjust("2 seconds")
      }
      assert.strictEqual(yield* total("grpc.subchannel.disconnections"), 3)
      assert.strictEqual(yield* total("grpc.subchannel.connection_attempts_succeeded"), 4)
      assert.isAtLeast(yield* total("grpc.subchannel.connection_attempts_failed"), 2)
    }).pipe(Effect.provide(onNetwork))
  )

  it.effect("a pool that is gone reports nothing", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(clientOf("a:1"))
      assert.deepStrictEqual(yield* numbers, [])
    }).pipe(Effect.provide(onNetwork))
  )
})

// grpc-js answers these by itself, before anything of ours could count them.
describe.each([memory, http2])("on a server $name", (wire) => {
  wire.it("a call that no handler serves is counted, under a name that nobody can make up", () =>
    Effect.gen(function* () {
      const address = yield* wire.serve([Handlers.partial(EchoService, { lookup: () => Effect.succeed({}) })])
      const echo = yield* clientOf(address)
      yield* echo.lookup({})
      for (const call of [echo.echo({}), Stream.runDrain(echo.expand({}))]) {
        assert.strictEqual((yield* Effect.flip(call)).code, "UNIMPLEMENTED")
      }
      const served = (yield* numbers).filter(({ id }) => id === "grpc.server.call.duration")
      assert.deepStrictEqual(
        served.map(({ labels, number }) => [labels["grpc.method"], labels["grpc.status"], number]),
        [
          [`${service}/Lookup`, "OK", 1],
          ["other", "UNIMPLEMENTED", 2]
        ]
      )
      assert.strictEqual(yield* total("grpc.server.call.started", { "grpc.method": "other" }), 2)
    }).pipe(Effect.provide(Layer.provideMerge(wire.layer, measured())))
  )
})
