/** A defect in a part of a pool that runs by itself is logged, shown, and the part is started again. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  CallOptions,
  Client,
  type Endpoint,
  EndpointList,
  Introspection,
  RoundRobin,
  StaticDiscovery
} from "trunkline"
import { Connector, Discovery, PeerPool, PeerRegistry, Picker, Signal, HealthVerdict } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"

const hosts = ["a:1", "b:1", "c:1"]
const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

/** A pool, what it shows, and what has been logged at or above a warning. */
const open = Effect.fnUntraced(function* (options: Partial<Balancer.Options>) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const logged: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) => {
    if (logLevel === "Error" || logLevel === "Warn") logged.push(`${logLevel} ${String(message)} ${String(cause)}`)
  })
  const layer = Balancer.layer({
    discovery: StaticDiscovery.make(["a:1", "b:1"]),
    picker: RoundRobin.make(),
    eager: true,
    ...options
  }).pipe(Layer.provideMerge(Introspection.layer()))
  const context = yield* Layer.build(Layer.orDie(layer)).pipe(Effect.provide(Logger.layer([logger])))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const introspection = Context.get(context, Introspection.Introspection)
  yield* settle
  return {
    echo,
    logged,
    network,
    pool: Context.get(context, PeerPool.PeerPool),
    shown: Effect.map(introspection.snapshot, ({ pools }) => pools[0]!)
  }
})

const inMemory = Effect.provide(TestNetwork.layer)
const asks = (echo: Client.Client<typeof EchoService>) =>
  Effect.map(
    Effect.forEach([1, 2, 3, 4, 5, 6], () => echo.lookup({})),
    (replies) => [...new Set(replies.map(({ server }) => server))].sort()
  )

describe("discovery", () => {
  const broken: ReadonlyArray<[how: string, end: Stream.Stream<never, Discovery.DiscoveryError>, text: string]> = [
    ["dies", Stream.die(new Error("a bug of the resolver")), "a defect: a bug of the resolver"],
    ["ends", Stream.empty, "its stream has ended"],
    ["fails", Stream.fail(new Discovery.DiscoveryError({ target: "d", problem: "no answer" })), "no answer"]
  ]

  it.effect.each(broken)("that %s keeps its last set, says so, and is asked again", ([how, end, text]) =>
    Effect.gen(function* () {
      let subscriptions = 0
      const sets = Stream.suspend((): Stream.Stream<ReadonlyArray<Endpoint.Endpoint>, Discovery.DiscoveryError> =>
        ++subscriptions === 1
          ? Stream.concat(Stream.make([endpoint("a:1")]), end)
          : Stream.concat(Stream.make(["a:1", "b:1"].map(endpoint)), Stream.never)
      )
      const { echo, logged, shown } = yield* open({ discovery: Discovery.make("d", sets) })
      assert.include((yield* shown).discovery.error ?? "", text)
      assert.deepStrictEqual(yield* asks(echo), ["a:1"])
      if (how !== "fails") {
        assert.strictEqual(logged.length, 1)
        assert.include(logged[0]!, 'discovery of "d"')
      }
      if (how === "dies") assert.match(logged[0]!, /^Error .*a bug of the resolver/s)
      yield* TestClock.adjust("3 seconds")
      yield* settle
      assert.deepStrictEqual(yield* asks(echo), ["a:1", "b:1"])
      assert.isUndefined((yield* shown).discovery.error)
    }).pipe(inMemory)
  )

  it.effect("that ends every time is asked less and less often, and is logged once", () =>
    Effect.gen(function* () {
      let subscriptions = 0
      const once = Stream.suspend(() => {
        subscriptions++
        return Stream.make([endpoint("a:1")])
      })
      const { echo, logged } = yield* open({ discovery: Discovery.make("d", once) })
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(subscriptions, 5)
      assert.isAtMost(subscriptions, 30)
      assert.strictEqual(logged.length, 1)
      assert.deepStrictEqual(yield* asks(echo), ["a:1"])
    }).pipe(inMemory)
  )

  it.effect("that gives a set nobody can read is asked again", () =>
    Effect.gen(function* () {
      let subscriptions = 0
      const sets = Stream.suspend(() => {
        const set = ++subscriptions === 1 ? [undefined as unknown as ReturnType<typeof endpoint>] : [endpoint("b:1")]
        return Stream.concat(Stream.make(set), Stream.never)
      })
      const { echo, logged } = yield* open({ discovery: Discovery.make("d", sets) })
      assert.strictEqual(logged.length, 1)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* asks(echo), ["b:1"])
    }).pipe(inMemory)
  )

  it.effect("whose schedule of new subscriptions has ended says that, too", () =>
    Effect.gen(function* () {
      const sets = Stream.concat(Stream.make([endpoint("a:1")]), Stream.die(new Error("a bug")))
      const { echo, logged, shown } = yield* open({
        discovery: Discovery.make(
          "d",
          Stream.suspend(() => sets)
        ),
        rediscover: Schedule.recurs(0)
      })
      assert.strictEqual(logged.length, 2)
      assert.include(logged[1]!, "it is asked no more")
      assert.include((yield* shown).discovery.error ?? "", "a bug")
      assert.deepStrictEqual(yield* asks(echo), ["a:1"])
    }).pipe(inMemory)
  )
})

describe("a picker policy", () => {
  /** Throws when it is built for so many peers, so often. */
  const fragile = (peers: number, times: number) => {
    let left = times
    return Picker.overReady(
      (ready) => {
        if (ready.length === peers && left-- > 0) throw new Error("a bug of the picker")
        let next = 0
        return { pick: () => ready[next++ % ready.length]! }
      },
      { name: "Fragile" }
    )
  }

  it.effect("that dies leaves its last picker, is shown and logged, and is at work again after a while", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1", "b:1"])
      const { echo, logged, shown } = yield* open({ discovery: list, picker: fragile(3, 2) })
      yield* list.update({ additions: ["c:1"] })
      yield* settle
      assert.deepStrictEqual(yield* asks(echo), ["a:1", "b:1"])
      const [problem] = (yield* shown).problems ?? []
      assert.deepInclude(problem, { part: "picker Fragile", text: "a bug of the picker", at: 0 })
      assert.strictEqual(logged.length, 1)
      assert.match(logged[0]!, /^Error picker Fragile of the pool of hosts .*a bug of the picker/s)
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(logged.length, 2)
      yield* TestClock.adjust(200)
      yield* settle
      assert.deepStrictEqual(yield* asks(echo), hosts)
      assert.deepStrictEqual((yield* shown).problems, [])
    }).pipe(inMemory)
  )

  it.effect("that dies every time is started later each time", () =>
    Effect.gen(function* () {
      const { echo, logged } = yield* open({ picker: fragile(2, Infinity) })
      yield* TestClock.adjust("10 minutes")
      assert.isAtLeast(logged.length, 20)
      assert.isAtMost(logged.length, 40)
      // It had a picker when it knew one of its peers, or none at all: a call gets an answer or waits.
      yield* Effect.exit(echo.lookup({}).pipe(CallOptions.withDeadline(0)))
    }).pipe(inMemory)
  )

  it.effect("whose pickers end, or that throws before there is a stream, is started again", () =>
    Effect.gen(function* () {
      let starts = 0
      const policy: Picker.PickerPolicy = {
        load: undefined,
        pickers: (sets) => {
          if (++starts === 1) throw new Error("no stream")
          const pickers = RoundRobin.make().pickers(sets)
          return starts === 2 ? Stream.take(pickers, 1) : pickers
        }
      }
      const { echo, logged } = yield* open({ picker: policy })
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(starts, 3)
      assert.deepStrictEqual(yield* asks(echo), ["a:1", "b:1"])
      assert.include(logged[0]!, "no stream")
      assert.include(logged[1]!, "it ended")
    }).pipe(inMemory)
  )
})

describe("a signal", () => {
  it.effect("that dies says nothing of anybody until it is at work again", () =>
    Effect.gen(function* () {
      let starts = 0
      const signal: Signal.Signal = {
        name: "Doctor",
        make: Effect.succeed({
          observe: undefined,
          verdicts: (peers) => {
            starts++
            return Stream.mapEffect(peers, (all) => {
              const ill = all.find(({ id, status }) => id === "a:1" && status.state === "Ready")
              if (ill === undefined) return Effect.succeed(Signal.noVerdicts)
              if (starts === 1) return Effect.die(new Error("a bug of the signal"))
              return Effect.succeed(new Map([[ill, HealthVerdict.ejected("ill")]]))
            })
          }
        })
      }
      const { echo, logged, shown } = yield* open({ signals: [signal] })
      assert.deepStrictEqual(yield* asks(echo), ["a:1", "b:1"])
      assert.match(logged[0]!, /^Error signal Doctor of the pool of a:1, b:1 .*a bug of the signal/s)
      assert.deepInclude((yield* shown).problems?.[0], { part: "signal Doctor", text: "a bug of the signal" })
      yield* TestClock.adjust(100)
      yield* settle
      assert.strictEqual(starts, 2)
      assert.deepStrictEqual(yield* asks(echo), ["b:1"])
      assert.deepStrictEqual((yield* shown).problems, [])
    }).pipe(inMemory)
  )
})

describe("a connector", () => {
  it.effect("that dies has failed to connect, and is asked again", () =>
    Effect.gen(function* () {
      const { connector } = yield* TestNetwork.make
      let connects = 0
      const fragile = Connector.Connector.of({
        connect: (to) => (++connects === 1 ? Effect.die(new Error("a bug of the connector")) : connector.connect(to))
      })
      const { pool, logged } = yield* open({
        discovery: StaticDiscovery.make(["a:1"]),
        reconnect: Schedule.spaced("1 second")
      }).pipe(Effect.provideService(Connector.Connector, fragile))
      assert.deepInclude(pool.peers()[0]!.status, { state: "Down", cause: "a defect: a bug of the connector" })
      assert.match(logged[0]!, /^Error .*a:1.*a bug of the connector/s)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(connects, 2)
    }).pipe(inMemory)
  )

  it.effect("has another try with whoever holds a peer after it gave up for the others", () =>
    Effect.gen(function* () {
      const registry = yield* PeerRegistry.make({ reconnect: Schedule.recurs(0) })
      const network = yield* TestNetwork.TestNetwork
      const first = yield* registry.retain(endpoint("a:1"))
      first.requestConnect()
      yield* settle
      assert.strictEqual(first.status.state, "Gone")
      yield* network.serve("a:1", { handlers: [echoHandlers("a")] })
      const second = yield* registry.retain(endpoint("a:1"))
      second.requestConnect()
      yield* settle
      assert.deepStrictEqual([first.status.state, second.status.state], ["Gone", "Ready"])
    }).pipe(inMemory)
  )
})
