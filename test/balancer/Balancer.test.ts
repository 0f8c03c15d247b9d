import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream, SubscriptionRef } from "effect"
import { TestClock } from "effect/testing"
import {
  type Balancer,
  CallOptions,
  type Endpoint,
  ErrorDetails,
  Handlers,
  PickError,
  PickFirst,
  PowerOfTwo,
  RpcError,
  StaticDiscovery
} from "trunkline"
import { Discovery, Picker } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { settle, hosts, serveAll, client, inMemory, servers, counts } from "../support/balanced.ts"

describe("connecting", () => {
  it.effect("opens nothing before the first call", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      const echo = yield* client()
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(hosts.map(network.connections), [0, 0, 0])
      yield* echo.lookup({})
      yield* settle
      assert.deepStrictEqual(hosts.map(network.connections), [1, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("opens everything at once when eager", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      yield* client({ eager: true })
      yield* settle
      assert.deepStrictEqual(hosts.map(network.connections), [1, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("a connection lost while nothing is wrong is opened again without a call", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      yield* client({ eager: true })
      yield* TestClock.adjust("1 minute")
      yield* network.setLatency("b:1", 10)
      yield* network.disconnect("b:1")
      yield* TestClock.adjust(9)
      assert.strictEqual(network.connections("b:1"), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(network.connections("b:1"), 1)
    }).pipe(inMemory)
  )
})

describe("balancing", () => {
  it.effect("every peer gets its turn", () =>
    Effect.gen(function* () {
      yield* serveAll
      const echo = yield* client({ eager: true })
      yield* settle
      assert.deepStrictEqual(counts(yield* servers(echo, 300)), { "a:1": 100, "b:1": 100, "c:1": 100 })
    }).pipe(inMemory)
  )

  it.effect("a killed peer gets no call after the one that failed, and its turn again once it is back", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      const echo = yield* client({ eager: true })
      yield* TestClock.adjust("1 minute")
      yield* network.kill("b:1")
      const results = yield* Effect.forEach(Array.from({ length: 60 }), () => Effect.exit(echo.lookup({})))
      assert.isAtMost(results.filter(Exit.isFailure).length, 1)
      yield* network.restart("b:1")
      // One reconnect delay (1 s +-20 %), and then it takes part again.
      yield* TestClock.adjust("1200 millis")
      assert.strictEqual(counts(yield* servers(echo, 30))["b:1"], 10)
    }).pipe(inMemory)
  )

  it.effect("pick first stays with one peer, moves on when it is lost, and opens no more than it needs", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      const echo = yield* client({ picker: PickFirst.make() })
      assert.deepStrictEqual(counts(yield* servers(echo, 10)), { "a:1": 10, "b:1": 0, "c:1": 0 })
      assert.deepStrictEqual(hosts.map(network.connections), [1, 0, 0])
      yield* network.kill("a:1")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(counts(yield* servers(echo, 10)), { "a:1": 0, "b:1": 10, "c:1": 0 })
      assert.deepStrictEqual(hosts.map(network.connections), [0, 1, 0])
    }).pipe(inMemory)
  )
})

describe("with no peer ready", () => {
  const deafWith = Effect.fnUntraced(function* (options?: Partial<Balancer.Options>) {
    const network = yield* TestNetwork.TestNetwork
    yield* network.silence("a:1")
    return yield* client({ discovery: StaticDiscovery.make(["a:1", "b:1"]), ...options })
  })
  const deaf = deafWith()

  it.effect("a call waits no longer than the choose timeout and says what is wrong with each peer", () =>
    Effect.gen(function* () {
      const echo = yield* deafWith({ chooseTimeout: "500 millis" })
      const call = yield* Effect.forkChild(Effect.flip(echo.lookup({})))
      yield* TestClock.adjust(499)
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.code, "UNAVAILABLE")
      assert(error.cause instanceof PickError.NoPeerReady)
      assert.strictEqual(error.cause.waitedMillis, 500)
      assert.deepStrictEqual(error.cause.peers, [
        { peer: "a:1", state: "Connecting", cause: undefined },
        { peer: "b:1", state: "Down", cause: "connection refused by b:1" }
      ])
      assert.strictEqual(
        error.message,
        "[UNAVAILABLE] a:1, b:1 has 2 peers, none ready; waited 500 ms; a:1 Connecting (no answer yet: is this the server's port, and was there time enough?); b:1 Down (connection refused by b:1)"
      )
    }).pipe(inMemory)
  )

  it.effect("a call with a deadline waits as long as that", () =>
    Effect.gen(function* () {
      const echo = yield* deaf
      const call = yield* Effect.forkChild(Effect.flip(echo.lookup({}).pipe(CallOptions.withDeadline("3 seconds"))))
      yield* TestClock.adjust(2999)
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(call)).code, "DEADLINE_EXCEEDED")
    }).pipe(inMemory)
  )

  it.effect("a wait-for-ready call waits without end, and is served when a peer is ready", () =>
    Effect.gen(function* () {
      const echo = yield* deaf
      const network = yield* TestNetwork.TestNetwork
      const call = yield* Effect.forkChild(echo.lookup({}).pipe(CallOptions.waitForReady))
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(call.pollUnsafe(), undefined)
      yield* network.serve("b:1", { handlers: [echoHandlers("b:1")] })
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual((yield* Fiber.join(call)).server, "b:1")
    }).pipe(inMemory)
  )

  it.effect("the attempt's own time starts when it has a peer", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      yield* Effect.forEach(hosts, (host) => network.setLatency(host, 60))
      const echo = yield* client()
      // 60 ms to connect, then 120 ms for the call: too long only if the wait counted.
      const call = yield* Effect.forkChild(echo.lookup({}).pipe(CallOptions.withTimeout(150)))
      yield* TestClock.adjust(180)
      yield* Fiber.join(call)
    }).pipe(inMemory)
  )
})

describe("discovery", () => {
  const changing = Effect.gen(function* () {
    const network = yield* serveAll
    const sets = yield* SubscriptionRef.make<ReadonlyArray<Endpoint.Endpoint>>([endpoint("a:1"), endpoint("b:1")])
    const echo = yield* client({ discovery: Discovery.make("changing", SubscriptionRef.changes(sets)), eager: true })
    yield* settle
    return { echo, network, set: (...names: ReadonlyArray<string>) => SubscriptionRef.set(sets, names.map(endpoint)) }
  })

  it.effect("a new endpoint is used, a removed one is left, a kept one keeps its connection", () =>
    Effect.gen(function* () {
      const { echo, network, set } = yield* changing
      assert.deepStrictEqual(counts(yield* servers(echo, 10)), { "a:1": 5, "b:1": 5, "c:1": 0 })
      yield* set("b:1", "c:1")
      yield* settle
      assert.deepStrictEqual(counts(yield* servers(echo, 10)), { "a:1": 0, "b:1": 5, "c:1": 5 })
      assert.deepStrictEqual(hosts.map(network.connections), [0, 1, 1])
    }).pipe(inMemory)
  )

  it.effect("a removed peer finishes its calls before it closes", () =>
    Effect.gen(function* () {
      const { echo, network, set } = yield* changing
      const calls = yield* Effect.forEach(["1", "2"], (text) =>
        Effect.forkChild(echo.echo({ text, delayMillis: 5000 }))
      )
      yield* settle
      yield* set("c:1")
      yield* TestClock.adjust(4999)
      assert.strictEqual(network.connections("a:1"), 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(
        (yield* Fiber.joinAll(calls)).map((reply) => reply.text),
        ["1", "2"]
      )
      yield* settle
      assert.deepStrictEqual(hosts.map(network.connections), [0, 0, 1])
    }).pipe(inMemory)
  )

  it.effect("a set that fails to come keeps the last good one, and is asked for again", () =>
    Effect.gen(function* () {
      yield* serveAll
      let subscriptions = 0
      const failing = Stream.suspend(() => {
        subscriptions++
        return Stream.concat(
          subscriptions === 1 ? Stream.make([endpoint("a:1")]) : Stream.empty,
          Stream.fail(new Discovery.DiscoveryError({ target: "names", problem: "NotFound" }))
        )
      })
      const echo = yield* client({ discovery: Discovery.make("names", failing), eager: true })
      yield* TestClock.adjust("1 minute")
      assert.isAtLeast(subscriptions, 4)
      assert.deepStrictEqual(counts(yield* servers(echo, 10)), { "a:1": 10, "b:1": 0, "c:1": 0 })
    }).pipe(inMemory)
  )

  it.effect("a name that does not resolve is in the error of the call", () =>
    Effect.gen(function* () {
      const unknown = Discovery.make(
        "nowhere:1",
        Stream.fail(new Discovery.DiscoveryError({ target: "nowhere:1", problem: "NotFound" }))
      )
      const echo = yield* client({ discovery: unknown })
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      assert.include(error.message, "nowhere:1 has no peers")
      const later = yield* Effect.forkChild(Effect.flip(echo.lookup({})))
      yield* TestClock.adjust(500)
      assert.include((yield* Fiber.join(later)).message, 'discovery of "nowhere:1": NotFound')
    }).pipe(inMemory)
  )

  it.effect("a peer that fails asks discovery to look again", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      let asked = 0
      const discovery: Discovery.Discovery = {
        target: "asked",
        subscribe: (refresh) =>
          Effect.succeed(
            Stream.merge(
              Stream.concat(Stream.make([endpoint("a:1")]), Stream.never),
              Stream.drain(Stream.tap(refresh, () => Effect.sync(() => asked++)))
            )
          )
      }
      yield* client({ discovery, eager: true })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(asked, 0)
      yield* network.kill("a:1")
      yield* settle
      assert.isAtLeast(asked, 1)
    }).pipe(inMemory)
  )
})

describe("closing", () => {
  it.effect("new calls fail typed, running ones finish", () =>
    Effect.gen(function* () {
      const network = yield* serveAll
      const scope = yield* Scope.make()
      const echo = yield* Scope.provide(client({ eager: true }), scope)
      yield* settle
      const running = yield* Effect.forkChild(echo.echo({ text: "slow", delayMillis: 2000 }))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* settle
      const error = yield* Effect.flip(echo.lookup({}))
      assert.strictEqual(error.message, "[UNAVAILABLE] the pool of a:1, b:1, c:1 is closed")
      yield* TestClock.adjust(2000)
      assert.strictEqual((yield* Fiber.join(running)).text, "slow")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(hosts.map(network.connections), [0, 0, 0])
    }).pipe(inMemory)
  )

  it.effect("what still runs after 10 s is cancelled", () =>
    Effect.gen(function* () {
      yield* serveAll
      const scope = yield* Scope.make()
      const echo = yield* Scope.provide(client({ eager: true }), scope)
      yield* settle
      const running = yield* Effect.forkChild(Effect.flip(echo.echo({ delayMillis: 60_000 })))
      yield* settle
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust(9999)
      assert.strictEqual(running.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      yield* Fiber.join(closing)
      const error = yield* Fiber.join(running)
      assert.include(error.message, "the connection was closed")
    }).pipe(inMemory)
  )
})

describe("a picker that refuses", () => {
  const refusing = (_tag: "Fail" | "Drop"): Picker.PickerPolicy => ({
    load: undefined,
    pickers: (sets) =>
      Stream.map(sets, ({ ready }) => ({
        pick: () => (ready.length === 0 ? Picker.queue : { _tag, error: RpcError.make("UNAVAILABLE", "refused") })
      }))
  })
  const call = (_tag: "Fail" | "Drop") =>
    Effect.gen(function* () {
      yield* serveAll
      const echo = yield* client({ picker: connecting(refusing(_tag)) })
      return yield* Effect.flip(echo.lookup({}).pipe(CallOptions.withDeadline("2 seconds"), CallOptions.waitForReady))
    }).pipe(inMemory)
  /** The same policy, after it has asked everybody to connect. */
  const connecting = (policy: Picker.PickerPolicy): Picker.PickerPolicy => ({
    ...policy,
    pickers: (sets) =>
      policy.pickers(Stream.tap(sets, ({ peers }) => Effect.sync(() => peers.forEach((peer) => peer.requestConnect()))))
  })

  it.effect("fails a call with its reason, also one that already waits", () =>
    Effect.gen(function* () {
      yield* serveAll
      const echo = yield* client({ picker: connecting(refusing("Fail")) })
      const waiting = yield* Effect.forkChild(Effect.flip(echo.lookup({})))
      yield* settle
      assert.strictEqual((yield* Fiber.join(waiting)).message, "[UNAVAILABLE] refused")
      assert.strictEqual((yield* Effect.flip(echo.lookup({}))).message, "[UNAVAILABLE] refused")
    }).pipe(inMemory)
  )

  it.effect("lets a call wait that waits for a ready peer", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.forkChild(call("Fail"))
      yield* TestClock.adjust(1999)
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(waiting)).code, "DEADLINE_EXCEEDED")
    })
  )

  it.effect("drops even that one, and says so", () =>
    Effect.gen(function* () {
      const waiting = yield* Effect.forkChild(call("Drop"))
      yield* settle
      const error = yield* Fiber.join(waiting)
      assert.deepStrictEqual([error.message, error.progress], ["[UNAVAILABLE] refused", "dropped"])
    })
  )
})

describe("the load", () => {
  it.effect("is told how long a failing server asks to be left alone", () =>
    Effect.gen(function* () {
      const seen: Array<readonly [string, number | undefined]> = []
      const load: Picker.Load = {
        cost: () => 0,
        observe: (_stats, outcome, _elapsed, _now, retryAfter) => void seen.push([outcome, retryAfter])
      }
      const network = yield* TestNetwork.TestNetwork
      const busy = ErrorDetails.attach(RpcError.make("RESOURCE_EXHAUSTED", "busy"), ErrorDetails.retryInfo("7 seconds"))
      const handlers = Handlers.partial(EchoService, {
        lookup: ({ text }) => (text === "" ? Effect.fail(busy) : Effect.succeed({ text }))
      })
      yield* network.serve("a:1", { handlers: [handlers] })
      const picker = PowerOfTwo.make({ load: { make: () => load } })
      const echo = yield* client({ discovery: StaticDiscovery.make(["a:1"]), picker })
      yield* echo.lookup({ text: "well" })
      yield* Effect.flip(echo.lookup({}))
      assert.deepStrictEqual(seen, [
        ["success", 0],
        ["rejected", 7000]
      ])
    }).pipe(inMemory)
  )
})
