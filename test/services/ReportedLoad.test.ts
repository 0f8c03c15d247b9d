import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  Balancer,
  Client,
  Handlers,
  type Interceptor,
  LoadReport,
  ReportedLoad,
  RpcError,
  ServerLoad,
  StaticDiscovery,
  Transport,
  Weighted
} from "trunkline"
import { PeerPool, type Signal, Weights } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { EchoService } from "../gen/echo_pb.ts"

const hosts = ["a:1", "b:1", "c:1"]
const inMemory = Effect.provide(TestNetwork.layer)
const settle = Effect.repeat(TestClock.adjust(0), { times: 5 })

/** So many queries a second at full load. */
const capable = (requestsPerSecond: number): LoadReport.Input => ({ requestsPerSecond, applicationUtilization: 1 })

/** Three hosts that say with each call, or when asked, what they can do, and a pool that goes by it. */
const open = Effect.fnUntraced(function* (options: {
  readonly weights: Weights.Weights
  readonly says?: Readonly<Record<string, LoadReport.Input>>
  readonly loads?: Readonly<Record<string, LoadReport.Input>>
  readonly perCall?: Interceptor.Interceptor
  readonly signals?: ReadonlyArray<Signal.Signal>
  /** What hosts without a load serve besides. */
  readonly besides?: Handlers.Handlers
}) {
  const network = yield* TestNetwork.TestNetwork
  const loads: Record<string, ServerLoad.ServerLoad["Service"]> = {}
  for (const host of hosts) {
    const say = (call: Parameters<typeof LoadReport.record>[0]) =>
      options.says?.[host] === undefined ? Effect.void : LoadReport.record(call, options.says[host])
    const echo = Handlers.partial(EchoService, {
      lookup: ({ failCode }, call) =>
        Effect.andThen(
          say(call),
          failCode === 0 ? Effect.succeed({ server: host }) : Effect.fail(RpcError.make("UNAVAILABLE", "as told"))
        ),
      expand: ({ count }, call) =>
        Stream.fromEffectDrain(say(call)).pipe(
          Stream.concat(Stream.fromIterable(Array.from({ length: count }, () => ({ server: host }))))
        )
    })
    const load = options.loads?.[host]
    if (load === undefined) {
      yield* network.serve(host, { handlers: options.besides === undefined ? [echo] : [echo, options.besides] })
      continue
    }
    loads[host] = yield* ServerLoad.make(load)
    const orca = Handlers.provideContext(
      ServerLoad.handlers({ minInterval: "1 second" }),
      Context.make(ServerLoad.ServerLoad, loads[host])
    )
    yield* network.serve(host, { handlers: [echo, orca] })
  }
  const pool = Balancer.layer({
    discovery: StaticDiscovery.make(hosts),
    picker: Weighted.make({ reports: options.weights }),
    signals: options.signals ?? [],
    eager: true
  })
  const layer = options.perCall === undefined ? pool : Layer.provideMerge(Transport.intercept(options.perCall), pool)
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  yield* settle
  const started = () =>
    Context.get(context, PeerPool.PeerPool)
      .peers()
      .map(({ stats }) => stats.started)
  return {
    echo,
    loads,
    network,
    /** How many of so many calls each host has. */
    counts: Effect.fnUntraced(function* (calls: number) {
      const before = started()
      for (let i = 0; i < calls; i++) yield* echo.lookup({})
      return started().map((count, i) => count - before[i]!)
    })
  }
})

const near = (counts: ReadonlyArray<number>, expected: ReadonlyArray<number>) =>
  counts.forEach((count, i) => assert.approximately(count, expected[i]!, 4, counts.join(" ")))

describe("perCall", () => {
  it.effect("weighs peers by what they say with their answers, once they have said it for the blackout", () =>
    Effect.gen(function* () {
      const weights = Weights.make()
      const { counts } = yield* open({
        weights,
        says: { "a:1": capable(300), "b:1": capable(100) },
        perCall: ReportedLoad.perCall(weights)
      })
      near(yield* counts(600), [200, 200, 200])
      yield* TestClock.adjust("9999 millis")
      near(yield* counts(600), [200, 200, 200])
      yield* TestClock.adjust("1 second")
      // Who says nothing has the mean.
      near(yield* counts(600), [300, 100, 200])
    }).pipe(inMemory)
  )

  it.effect("what nobody says any more expires", () =>
    Effect.gen(function* () {
      const weights = Weights.make({ blackout: 0 })
      const { counts } = yield* open({
        weights,
        says: { "a:1": capable(300), "b:1": capable(100) },
        perCall: ReportedLoad.perCall(weights)
      })
      yield* counts(6)
      yield* TestClock.adjust("179 seconds")
      near(yield* counts(60), [30, 10, 20])
      yield* TestClock.adjust("180 seconds")
      near(yield* counts(3), [1, 1, 1])
    }).pipe(inMemory)
  )

  const perCallOf = (call: (echo: Client.Client<typeof EchoService>) => Effect.Effect<unknown, unknown>) =>
    Effect.gen(function* () {
      const heard: Array<readonly [string, ReportedLoad.Summary]> = []
      const { echo } = yield* open({
        weights: Weights.make(),
        says: { "a:1": capable(7), "b:1": capable(7), "c:1": capable(7) },
        perCall: ReportedLoad.perCall({ report: (peer, summary) => void heard.push([peer, summary]) })
      })
      yield* Effect.ignore(call(echo))
      return heard
    }).pipe(inMemory)

  it.effect.each([
    ["a call that succeeds", (echo) => echo.lookup({})],
    ["a call that fails", (echo) => echo.lookup({ failCode: 14 })],
    ["a stream that ends", (echo) => Stream.runDrain(echo.expand({ count: 3 }))],
    ["a stream that is empty", (echo) => Stream.runDrain(echo.expand({ count: 0 }))]
  ] as ReadonlyArray<[string, Parameters<typeof perCallOf>[0]]>)("hears %s, once", ([, call]) =>
    Effect.gen(function* () {
      const heard = yield* perCallOf(call)
      assert.strictEqual(heard.length, 1)
      assert.include(hosts, heard[0]![0])
      assert.deepStrictEqual(heard[0]![1], { queriesPerSecond: 7, errorsPerSecond: 0, utilization: 1 })
    })
  )

  it.effect("a stream that is left says nothing", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* perCallOf((echo) => Stream.runDrain(Stream.take(echo.expand({ count: 3 }), 1))), [])
    })
  )
})

describe("outOfBand", () => {
  const everySecond = { interval: "1 second", backoff: Schedule.spaced("1 second") } as const

  it.effect("weighs peers by what they say when asked, without a call", () =>
    Effect.gen(function* () {
      const weights = Weights.make()
      const { counts, loads } = yield* open({
        weights,
        loads: { "a:1": capable(300), "b:1": capable(100) },
        signals: [ReportedLoad.outOfBand(weights, everySecond)]
      })
      for (let i = 0; i < 11; i++) yield* TestClock.adjust("1 second")
      near(yield* counts(600), [300, 100, 200])
      // Errors weigh as much as what they are a share of: 100 a second of 100, beside a utilization of 1.
      yield* loads["b:1"]!.update({ requestsPerSecond: 300, errorsPerSecond: 300 })
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("1 second")
      near(yield* counts(600), [267, 133, 200])
    }).pipe(inMemory)
  )

  it.effect("asks anew on a new connection, which begins with the blackout", () =>
    Effect.gen(function* () {
      const weights = Weights.make()
      const { counts, network } = yield* open({
        weights,
        loads: { "a:1": capable(300), "b:1": capable(100) },
        signals: [ReportedLoad.outOfBand(weights, everySecond)]
      })
      for (let i = 0; i < 11; i++) yield* TestClock.adjust("1 second")
      near(yield* counts(60), [30, 10, 20])
      yield* network.disconnect("b:1")
      for (let i = 0; i < 4; i++) yield* TestClock.adjust("1 second")
      // One weight alone says nothing.
      near(yield* counts(60), [20, 20, 20])
      for (let i = 0; i < 12; i++) yield* TestClock.adjust("1 second")
      near(yield* counts(60), [30, 10, 20])
    }).pipe(inMemory)
  )

  it.effect.each([
    ["a server that does not report is asked once", "UNIMPLEMENTED", 1],
    ["a watch that breaks is taken up again", "UNAVAILABLE", 11]
  ] as const)("%s, and speaks against nobody", ([, code, expected]) =>
    Effect.gen(function* () {
      const weights = Weights.make()
      let asked = 0
      const besides = Handlers.make(ServerLoad.v3, {
        streamCoreMetrics: () =>
          Stream.suspend(() => {
            asked++
            return Stream.fail(RpcError.make(code, "not now"))
          })
      })
      const { counts } = yield* open({ weights, besides, signals: [ReportedLoad.outOfBand(weights, everySecond)] })
      for (let i = 0; i < 10; i++) yield* TestClock.adjust("1 second")
      near(yield* counts(60), [20, 20, 20])
      assert.strictEqual(asked, hosts.length * expected)
    }).pipe(inMemory)
  )
})

describe("summarize", () => {
  const report: LoadReport.LoadReport = {
    ...LoadReport.empty,
    cpuUtilization: 0.2,
    memoryUtilization: 0.4,
    requestsPerSecond: 10,
    errorsPerSecond: 1,
    utilization: { disk: 0.7, "net.in": 0.6 },
    namedMetrics: { queue: 3 }
  }
  it.each([
    ["cpu by default", report, undefined, 0.2],
    ["its own reckoning first", { ...report, applicationUtilization: 0.1 }, ["utilization.disk"], 0.1],
    ["the largest of those named", report, ["cpu_utilization", "mem_utilization", "utilization.disk"], 0.7],
    ["a name with dots", report, ["utilization.net.in"], 0.6],
    ["a metric of the server's own", report, ["named_metrics.queue", "utilization.disk"], 3],
    ["none of those named", report, ["utilization.gpu", "named_metrics.toString", "nonsense"], 0.2]
  ] as const)("%s", (_name, report, metrics, utilization) =>
    assert.deepStrictEqual(ReportedLoad.summarize(report, { metrics }), {
      queriesPerSecond: 10,
      errorsPerSecond: 1,
      utilization
    })
  )
})
