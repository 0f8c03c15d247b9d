import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, RoundRobin, StaticDiscovery, Transport } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const host = "backend:1"

/** A host, and a client connected to it. */
const connected = Effect.gen(function* () {
  const network = yield* TestNetwork.TestNetwork
  yield* network.serve(host, { handlers: [echoHandlers("a")] })
  const transport = yield* Balancer.make({
    discovery: StaticDiscovery.make([host]),
    picker: RoundRobin.make(),
    eager: true
  })
  const echo = yield* Effect.provideService(Client.make(EchoService), Transport.Transport, transport)
  yield* TestClock.adjust(0)
  return { echo, network }
})

const inMemory = Effect.provide(TestNetwork.layer)

/** Asserts that a fiber is done at a time and not a millisecond before. */
const endsAt = Effect.fnUntraced(function* <A, E>(fiber: Fiber.Fiber<A, E>, millis: number) {
  yield* TestClock.adjust(millis - 1)
  assert.strictEqual(fiber.pollUnsafe(), undefined)
  yield* TestClock.adjust(1)
  return yield* Fiber.join(fiber)
})

describe("TestNetwork", () => {
  it.effect("latency is paid on each way", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* connected
      yield* network.setLatency(host, 50)
      yield* endsAt(yield* Effect.forkChild(echo.lookup({})), 100)
    }).pipe(inMemory)
  )

  it.effect.each(["unary", "server_streaming", "client_streaming", "bidi_streaming"] as const)(
    "a deadline ends a %s call at its millisecond",
    (kind) =>
      Effect.gen(function* () {
        const { echo, network } = yield* connected
        yield* network.freeze(host)
        const call = {
          unary: echo.echo({}),
          server_streaming: Stream.runDrain(echo.expand({})),
          client_streaming: echo.collect(Stream.never),
          bidi_streaming: Stream.runDrain(echo.chat(Stream.never))
        }[kind]
        const bounded: Effect.Effect<unknown, { readonly code: string }> = call.pipe(CallOptions.withDeadline(1000))
        const error = yield* endsAt(yield* Effect.forkChild(Effect.flip(bounded)), 1000)
        assert.strictEqual(error.code, "DEADLINE_EXCEEDED")
      }).pipe(inMemory)
  )

  it.effect("a frozen host answers when it thaws", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* connected
      yield* network.freeze(host)
      const call = yield* Effect.forkChild(echo.lookup({ text: "late" }))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* network.thaw(host)
      assert.strictEqual((yield* Fiber.join(call)).text, "late")
    }).pipe(inMemory)
  )

  it.effect("a killed host fails its calls and streams as UNAVAILABLE", () =>
    Effect.gen(function* () {
      const { echo, network } = yield* connected
      const calls = yield* Effect.forEach(
        [echo.echo({ delayMillis: 1000 }), Stream.runDrain(echo.chat(Stream.never)), echo.collect(Stream.never)],
        (call: Effect.Effect<unknown, { readonly code: string }>) => Effect.forkChild(Effect.flip(call))
      )
      yield* TestClock.adjust(10)
      yield* network.kill(host)
      const errors = yield* Fiber.joinAll(calls)
      assert.deepStrictEqual(
        errors.map((error) => error.code),
        ["UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE"]
      )
    }).pipe(inMemory)
  )

  it.effect(
    "a server that stops drains first: the handlers' own hooks, then the server's, while calls still come",
    () =>
      Effect.gen(function* () {
        const network = yield* TestNetwork.TestNetwork
        const order: Array<string> = []
        const note = (what: string) =>
          Effect.sync(() => void order.push(`${what}, ${network.connections(host)} connected`))
        const scope = yield* Scope.make()
        const handlers = { ...echoHandlers("a"), drain: note("handlers") }
        yield* Scope.provide(network.serve(host, { handlers: [handlers], onDrain: note("server") }), scope)
        yield* Balancer.make({ discovery: StaticDiscovery.make([host]), picker: RoundRobin.make(), eager: true })
        yield* TestClock.adjust(0)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(order, ["handlers, 1 connected", "server, 1 connected"])
        assert.strictEqual(network.connections(host), 0)
      }).pipe(inMemory)
  )

  it.effect("a slow reader holds the server back: no more than a window is ahead of it", () =>
    Effect.gen(function* () {
      const { echo } = yield* connected
      let produced = 0
      const requests = Stream.range(1, 1000).pipe(
        Stream.rechunk(1),
        Stream.map((index) => {
          produced = index
          return { text: String(index) }
        })
      )
      const read: Array<string> = []
      yield* echo.chat(requests).pipe(
        CallOptions.withWindow(4),
        Stream.runForEach((reply) =>
          Effect.andThen(
            Effect.sync(() => read.push(reply.text)),
            Effect.sleep(100)
          )
        ),
        Effect.forkScoped
      )
      for (let i = 0; i < 50; i++) {
        yield* TestClock.adjust(100)
        // Four at the client, four at the server, and one in the hand of each of the two senders.
        assert.isAtMost(produced - read.length, 4 + 4 + 2)
      }
      assert.isAtLeast(read.length, 50)
    }).pipe(inMemory)
  )
})
