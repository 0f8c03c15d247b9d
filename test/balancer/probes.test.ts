/** A peer on probation is let one call, and comes back whatever becomes of that call. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Random, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  FailureAccrual,
  Handlers,
  RoundRobin,
  RpcError,
  type ServerCall,
  StaticDiscovery
} from "trunkline"
import { Connector, PeerPool, type Signal, HealthVerdict } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"

const hosts = ["a:1", "b:1"]
const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })
const inMemory = Effect.provide(TestNetwork.layer)

type Expand = (call: ServerCall.ServerCall) => Stream.Stream<{ readonly server: string }, RpcError.RpcError>

/** Two backends of which a:1 fails as long as it is ill, in a pool that has just ejected it. */
const open = Effect.fnUntraced(function* (
  options: Partial<Balancer.Options> = {},
  expand: Expand = () => Stream.never
) {
  const network = yield* TestNetwork.TestNetwork
  const served = new Map<string, number>()
  let ill = true
  for (const server of hosts) {
    const answer = Effect.suspend(() => {
      served.set(server, (served.get(server) ?? 0) + 1)
      return ill && server === "a:1" ? Effect.fail(RpcError.make("UNAVAILABLE", "ill")) : Effect.succeed({ server })
    })
    yield* network.serve(server, {
      handlers: [
        Handlers.partial(EchoService, {
          lookup: () => answer,
          echo: ({ delayMillis }) => Effect.andThen(Effect.sleep(delayMillis), answer),
          expand: (_, call) => expand(call)
        })
      ]
    })
  }
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make(hosts),
    picker: RoundRobin.make(),
    signals: [FailureAccrual.make({ policy: FailureAccrual.consecutive(3), delay: "5 seconds" })],
    eager: true,
    ...options
  })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const pool = Context.get(context, PeerPool.PeerPool)
  yield* settle
  for (let i = 0; i < 10; i++) yield* Effect.exit(echo.lookup({}))
  yield* settle
  ill = false
  /** Which servers a few calls find. */
  const found = Effect.gen(function* () {
    yield* settle
    served.clear()
    for (let i = 0; i < 10; i++) yield* echo.lookup({})
    return [...served.keys()].sort()
  })
  assert.deepStrictEqual(yield* found, ["b:1"])
  // From now on a:1 is on probation.
  yield* TestClock.adjust("10 seconds")
  yield* settle
  return { echo, found, network, pool }
})

type Echo = Client.Client<typeof EchoService>

/** Starts two calls, of which one is the probe. */
const both = Effect.fnUntraced(function* <A, E, R>(call: Effect.Effect<A, E, R>) {
  const fibers = yield* Effect.forEach([1, 2], () => Effect.forkScoped(call))
  yield* settle
  return fibers
})

describe("a probe that does not end", () => {
  const hung: ReadonlyArray<[name: string, call: (echo: Echo) => Effect.Effect<unknown, RpcError.RpcError>]> = [
    ["a quiet stream", (echo) => Stream.runDrain(echo.expand({}))],
    ["a unary call without a deadline", (echo) => echo.echo({ delayMillis: 86_400_000 })]
  ]

  it.effect.each(hung)("such as %s keeps others away for 10 seconds, and no longer", ([, call]) =>
    Effect.gen(function* () {
      const { echo, found, pool } = yield* open()
      yield* both(call(echo))
      assert.strictEqual(pool.stats.probes, 1)
      yield* TestClock.adjust(9999)
      assert.deepStrictEqual(yield* found, ["b:1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* found, hosts)
      assert.strictEqual(pool.stats.probes, 2)
    }).pipe(inMemory, Random.withSeed("hung"))
  )

  it.effect("keeps others away as long as the pool says", () =>
    Effect.gen(function* () {
      const { echo, found } = yield* open({ probeTimeout: "1 minute" })
      yield* both(Stream.runDrain(echo.expand({})))
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(yield* found, ["b:1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* found, hosts)
    }).pipe(inMemory)
  )

  it.effect("lets one call through each time its time is over, and the first that ends well decides", () =>
    Effect.gen(function* () {
      const { echo, found, pool } = yield* open()
      yield* both(echo.echo({ delayMillis: 35_000 }))
      for (const probes of [2, 3, 4]) {
        yield* TestClock.adjust("10 seconds")
        yield* both(echo.echo({ delayMillis: 86_400_000 }))
        assert.strictEqual(pool.stats.probes, probes)
      }
      // The first one ends after all.
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* found, hosts)
      assert.strictEqual(pool.stats.probes, 4)
    }).pipe(inMemory)
  )
})

describe("a stream that is the probe", () => {
  it.effect("is over with its first message", () =>
    Effect.gen(function* () {
      const { echo, found } = yield* open({}, () => Stream.concat(Stream.make({ server: "x" }), Stream.never))
      yield* both(Stream.runDrain(echo.expand({})))
      assert.deepStrictEqual(yield* found, hosts)
    }).pipe(inMemory)
  )

  it.effect("is over with its headers", () =>
    Effect.gen(function* () {
      const { echo, found } = yield* open({}, (call) =>
        Stream.concat(Stream.fromEffectDrain(Effect.orDie(call.sendHeaders)), Stream.never)
      )
      yield* both(Stream.runDrain(echo.expand({})))
      assert.deepStrictEqual(yield* found, hosts)
    }).pipe(inMemory)
  )

  it.effect("and fails before it says anything keeps the peer out", () =>
    Effect.gen(function* () {
      const { echo, found, pool } = yield* open({}, () => Stream.fail(RpcError.make("UNAVAILABLE", "still ill")))
      yield* both(Effect.exit(Stream.runDrain(echo.expand({}))))
      assert.deepStrictEqual(yield* found, ["b:1"])
      assert.strictEqual(pool.stats.probes, 1)
    }).pipe(inMemory)
  )
})

describe("a probation is given back", () => {
  /** A signal that says one thing, once, and looks at no attempt: what is given back is the pool's own doing. */
  const once: Signal.Signal = {
    name: "once",
    make: Effect.sync(() => {
      const verdict = HealthVerdict.probe("was ill")
      return {
        observe: undefined,
        verdicts: (peers) =>
          Stream.map(peers, (all) => new Map(all.filter(({ id }) => id === "a:1").map((peer) => [peer, verdict])))
      }
    })
  }
  const openOnce = Effect.fnUntraced(function* () {
    const network = yield* TestNetwork.TestNetwork
    for (const server of hosts) {
      const echo = ({ delayMillis }: { readonly delayMillis: number }) =>
        Effect.as(Effect.sleep(delayMillis), { server })
      yield* network.serve(server, {
        handlers: [Handlers.partial(EchoService, { echo, expand: () => Stream.never })]
      })
    }
    const layer = Balancer.layer({
      discovery: StaticDiscovery.make(hosts),
      picker: RoundRobin.make(),
      signals: [once],
      eager: true
    })
    const context = yield* Layer.build(Layer.orDie(layer))
    const echo = yield* Effect.provideContext(Client.make(EchoService), context)
    yield* settle
    return { echo, network, stats: Context.get(context, PeerPool.PeerPool).stats }
  })

  it.effect("when its call is interrupted, unary or stream", () =>
    Effect.gen(function* () {
      const { echo, stats } = yield* openOnce()
      for (const [i, call] of [
        Effect.asVoid(echo.echo({ delayMillis: 1000 })),
        Stream.runDrain(echo.expand({})),
        Stream.runDrain(Stream.take(echo.expand({}), 1))
      ].entries()) {
        const calls = yield* both(call)
        assert.strictEqual(stats.probes, i + 1)
        yield* Fiber.interruptAll(calls)
        yield* settle
      }
    }).pipe(inMemory)
  )

  it.effect("when its call was never sent, and not when that came to an end", () =>
    Effect.gen(function* () {
      let unsent = 3
      const { connect } = yield* Connector.Connector
      const busy = Connector.Connector.of({
        connect: (to) =>
          Effect.map(connect(to), (connection) => ({
            ...connection,
            transport: {
              ...connection.transport,
              unary: (method, request, call) =>
                to.id === "a:1" && unsent-- > 0
                  ? Effect.fail(RpcError.make("UNAVAILABLE", "no room", { peer: to.id, progress: "not_started" }))
                  : connection.transport.unary(method, request, call)
            }
          }))
      })
      const { echo, stats } = yield* openOnce().pipe(Effect.provideService(Connector.Connector, busy))
      // Each goes to the other peer for nothing, and the next one is the probe again.
      for (let i = 0; i < 20; i++) {
        const call = yield* Effect.forkScoped(echo.echo({}))
        yield* settle
        yield* Fiber.join(call)
      }
      assert.strictEqual(stats.probes, 4)
      // It has told: no time limit gives it back.
      yield* TestClock.adjust("1 hour")
      for (let i = 0; i < 5; i++) yield* both(echo.echo({}))
      assert.strictEqual(stats.probes, 4)
    }).pipe(inMemory)
  )

  it.effect("to a call that waits for it", () =>
    Effect.gen(function* () {
      const { echo, network, stats } = yield* openOnce()
      yield* network.kill("b:1")
      yield* settle
      const probe = yield* Effect.forkScoped(echo.echo({ delayMillis: 60_000 }))
      yield* settle
      const waiting = yield* Effect.forkScoped(echo.echo({}))
      yield* settle
      assert.strictEqual(stats.probes, 1)
      assert.isUndefined(waiting.pollUnsafe())
      yield* Fiber.interrupt(probe)
      yield* settle
      assert.strictEqual((yield* Fiber.join(waiting)).server, "a:1")
    }).pipe(inMemory)
  )
})
