/** What signals say decides who gets calls, and no picker knows of it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, CallOptions, Client, LeastPending, PickError, RoundRobin, StaticDiscovery } from "trunkline"
import { PeerPool, Signal, HealthVerdict, StateRef } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const settle = TestClock.adjust(0)
const inMemory = Effect.provide(TestNetwork.layer)
const hosts = ["a:1", "b:1", "c:1"]

type Said = Readonly<Record<string, HealthVerdict.HealthVerdict>>

/** A signal that says what the test wants it to. */
const puppet = (initial: Said = {}) => {
  let said = initial
  const woken = StateRef.make<void>(undefined)
  const observed: Array<string> = []
  const fed: Array<string> = []
  let made = 0
  const signal: Signal.Signal = {
    name: "puppet",
    make: Effect.sync(() => {
      made++
      return {
        observe: (peer, outcome, elapsed, now) => void observed.push(`${peer.id} ${outcome} ${elapsed} ${now}`),
        verdicts: Signal.driven((peers) => {
          fed.push(peers.map((peer) => `${peer.id} ${peer.status.state}`).join())
          const named = peers.filter(({ id }) => id in said)
          return { verdicts: new Map(named.map((peer) => [peer, said[peer.id]!])), next: Infinity }
        }, woken)
      }
    })
  }
  const sayNow = (next: Said) => {
    said = next
    woken.set()
  }
  const say = (next: Said) =>
    Effect.andThen(
      Effect.sync(() => sayNow(next)),
      settle
    )
  return { signal, say, sayNow, observed, fed, made: () => made }
}

const open = Effect.fnUntraced(function* (options: Partial<Balancer.Options>, names: ReadonlyArray<string> = hosts) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of names) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make(names),
    picker: RoundRobin.make(),
    eager: true,
    ...options
  })
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  yield* settle
  yield* settle
  return { echo, network, pool: Context.get(context, PeerPool.PeerPool) }
})

const counts = Effect.fnUntraced(function* (echo: Client.Client<typeof EchoService>, calls: number) {
  const seen: Record<string, number> = {}
  for (let i = 0; i < calls; i++) {
    const { server } = yield* echo.lookup({})
    seen[server] = (seen[server] ?? 0) + 1
  }
  return seen
})

describe("a pool's signals", () => {
  it.effect("keep calls from an ejected peer while its connection stays, and let them back", () =>
    Effect.gen(function* () {
      const { say, signal } = puppet()
      const { echo, network, pool } = yield* open({ signals: [signal] })
      yield* say({ "b:1": HealthVerdict.ejected("ill") })
      assert.deepStrictEqual(yield* counts(echo, 10), { "a:1": 5, "c:1": 5 })
      assert.strictEqual(network.connections("b:1"), 1)
      const [set] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
      assert.deepStrictEqual([set!.peers.length, set!.connected.length, set!.ready.length], [3, 3, 2])
      yield* say({})
      assert.deepStrictEqual(yield* counts(echo, 9), { "a:1": 3, "b:1": 3, "c:1": 3 })
    }).pipe(inMemory)
  )

  it.effect("are made once per pool, fed with all peers, and told of every attempt", () =>
    Effect.gen(function* () {
      const { fed, made, observed, signal } = puppet()
      const { echo } = yield* open({ signals: [signal] }, ["a:1"])
      assert.strictEqual(made(), 1)
      assert.strictEqual(fed.at(-1), "a:1 Ready")
      yield* TestClock.adjust(100)
      yield* echo.lookup({})
      yield* Effect.flip(echo.lookup({ failCode: 14 }))
      yield* Effect.flip(echo.lookup({ failCode: 8 }))
      yield* Effect.flip(echo.lookup({ failCode: 5 }))
      const slow = yield* Effect.forkChild(Effect.exit(echo.echo({ delayMillis: 50 })))
      yield* TestClock.adjust(50)
      yield* Fiber.join(slow)
      const left = yield* Effect.forkChild(echo.echo({ delayMillis: 50 }))
      yield* TestClock.adjust(20)
      yield* Fiber.interrupt(left)
      assert.deepStrictEqual(observed, [
        "a:1 success 0 100",
        "a:1 failure 0 100",
        "a:1 rejected 0 100",
        "a:1 success 0 100",
        "a:1 success 50 150",
        "a:1 ignorable 20 170"
      ])
    }).pipe(inMemory)
  )

  it.effect("are told of a stream when it begins, and again if it breaks", () =>
    Effect.gen(function* () {
      const { observed, signal } = puppet()
      const { echo } = yield* open({ signals: [signal] }, ["a:1"])
      yield* Stream.runDrain(echo.expand({ count: 3 }))
      yield* Effect.flip(Stream.runDrain(echo.expand({ count: 3, failCode: 14 })))
      assert.deepStrictEqual(observed, ["a:1 success 0 0", "a:1 success 0 0", "a:1 failure 0 0"])
    }).pipe(inMemory)
  )

  it.effect("are merged: every one has to agree, and weights multiply", () =>
    Effect.gen(function* () {
      const [first, second] = [puppet(), puppet()]
      const { echo, pool } = yield* open({ signals: [first.signal, second.signal] })
      yield* first.say({ "a:1": HealthVerdict.ejected("ill"), "b:1": HealthVerdict.weighted(0.5, "new") })
      yield* second.say({ "a:1": HealthVerdict.weighted(0.5, "new"), "b:1": HealthVerdict.weighted(0.25, "small") })
      assert.deepStrictEqual(yield* counts(echo, 4), { "b:1": 2, "c:1": 2 })
      const [set] = yield* Stream.runCollect(Stream.take(pool.changes, 1))
      assert.deepStrictEqual(pool.peers().map(set!.weightOf), [0.5, 0.125, 1])
      yield* first.say({})
      assert.strictEqual((yield* counts(echo, 9))["a:1"], 3)
    }).pipe(inMemory)
  )

  it.effect("that end or break lower nobody", () =>
    Effect.gen(function* () {
      for (const end of [Stream.empty, Stream.die(new Error("a bug"))]) {
        const { say, signal } = puppet({ "a:1": HealthVerdict.ejected("ill") })
        const broken = puppet()
        const limited: Signal.Signal = {
          name: "limited",
          make: Effect.map(signal.make, (detector) => ({
            ...detector,
            verdicts: (peers, standing) =>
              detector.verdicts(peers, standing).pipe(
                Stream.takeUntil((said) => said.size === 2),
                Stream.concat(end)
              )
          }))
        }
        const { echo } = yield* open({ signals: [limited, broken.signal] })
        assert.deepStrictEqual(yield* counts(echo, 4), { "b:1": 2, "c:1": 2 })
        yield* say({ "a:1": HealthVerdict.ejected("ill"), "b:1": HealthVerdict.ejected("ill") })
        assert.deepStrictEqual(yield* counts(echo, 3), { "a:1": 1, "b:1": 1, "c:1": 1 })
      }
    }).pipe(inMemory)
  )

  it.effect("are in the report of a call that found nobody", () =>
    Effect.gen(function* () {
      const { say, signal } = puppet()
      const { echo } = yield* open({ signals: [signal] }, ["a:1"])
      yield* say({ "a:1": HealthVerdict.ejected("5 failures in a row") })
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      assert(error.cause instanceof PickError.NoPeerReady)
      assert.deepStrictEqual(error.cause.peers, [{ peer: "a:1", state: "Ejected", cause: "5 failures in a row" }])
      assert.include(error.message, "a:1 Ejected (5 failures in a row)")
    }).pipe(inMemory)
  )

  it.effect("wake who waits for a peer", () =>
    Effect.gen(function* () {
      const { say, signal } = puppet()
      const { echo } = yield* open({ signals: [signal] }, ["a:1"])
      yield* say({ "a:1": HealthVerdict.ejected("ill") })
      const waiting = yield* Effect.forkChild(echo.lookup({}).pipe(CallOptions.waitForReady))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* say({})
      assert.strictEqual((yield* Fiber.join(waiting)).server, "a:1")
    }).pipe(inMemory)
  )

  it.effect("changing in one tick make one new picker", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 100 }, (_, i) => `h${i}:1`)
      const { say, signal } = puppet()
      const { pool } = yield* open({ signals: [signal] }, names)
      const before = pool.stats.rebuilds
      yield* say(Object.fromEntries(names.map((name) => [name, HealthVerdict.weighted(0.5, "new")])))
      assert.strictEqual(pool.stats.rebuilds, before + 1)
      // The same again is no change.
      yield* say(Object.fromEntries(pool.peers().map(({ id }) => [id, HealthVerdict.healthy])))
      assert.strictEqual(pool.stats.rebuilds, before + 2)
      assert.isBelow(before, 10)
    }).pipe(inMemory)
  )
})

describe("a peer on probation", () => {
  const once = { "b:1": HealthVerdict.probe("was ill") }

  it.effect("gets one call, whatever the picker and however many start at once", () =>
    Effect.gen(function* () {
      for (const picker of [RoundRobin.make(), LeastPending.make()]) {
        const { say, signal } = puppet()
        const { echo, pool } = yield* open({ signals: [signal], picker })
        yield* say(once)
        const calls = yield* Effect.forEach(Array.from({ length: 50 }), () =>
          Effect.forkChild(echo.echo({ delayMillis: 100 }))
        )
        yield* TestClock.adjust(100)
        const servers = (yield* Fiber.joinAll(calls)).map(({ server }) => server)
        assert.strictEqual(servers.filter((server) => server === "b:1").length, 1)
        assert.strictEqual(pool.stats.probes, 1)
        // It has had its call; only a new verdict brings another.
        assert.hasAllKeys(yield* counts(echo, 20), ["a:1", "c:1"])
      }
    }).pipe(inMemory)
  )

  it.effect("gets one more for each new verdict", () =>
    Effect.gen(function* () {
      const { say, signal } = puppet()
      const { echo } = yield* open({ signals: [signal] })
      yield* say(once)
      assert.strictEqual((yield* counts(echo, 10))["b:1"], 1)
      yield* say({ "b:1": HealthVerdict.probe("was ill") })
      assert.strictEqual((yield* counts(echo, 10))["b:1"], 1)
      // What another signal says does not renew it.
      yield* say({ ...once, "a:1": HealthVerdict.weighted(0.5, "new") })
      yield* counts(echo, 10)
      yield* say({ ...once, "a:1": HealthVerdict.weighted(0.25, "new") })
      assert.strictEqual((yield* counts(echo, 10))["b:1"], undefined)
    }).pipe(inMemory)
  )

  it.effect("does not make a fail-fast call fail that others could serve", () =>
    Effect.gen(function* () {
      const { say, sayNow, signal } = puppet()
      const { echo } = yield* open({ signals: [signal], picker: LeastPending.make() }, ["a:1", "b:1"])
      yield* say({ "b:1": HealthVerdict.ejected("ill") })
      const busy = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(echo.echo({ delayMillis: 100 })))
      yield* settle
      // In one tick: the first call makes its picker out of date, and that still insists on b, which is idle.
      sayNow(once)
      const calls = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(Effect.exit(echo.echo({ delayMillis: 10 }).pipe(CallOptions.failFast)), {
          startImmediately: true
        })
      )
      yield* TestClock.adjust(100)
      for (const exit of yield* Fiber.joinAll(calls)) assert.isTrue(Exit.isSuccess(exit))
      yield* Fiber.joinAll(busy)
    }).pipe(inMemory)
  )
})
