import { assert, describe, it } from "@effect/vitest"
import {
  Config,
  ConfigProvider,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Option,
  Ref,
  Schedule,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { CallOptions, Client, Introspection, MultiEndpoint, MultiEndpointConfig, StaticDiscovery } from "trunkline"
import { Connector, Discovery } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { settle } from "../support/multiEndpoints.ts"

const inMemory = Effect.provide(TestNetwork.layer)

const hosts = ["service:443", "fallback:443", "replica:443"]
const lists: ReadonlyArray<MultiEndpoint.List> = [
  { name: "default", endpoints: ["service:443", "fallback:443"], recoveryTimeout: 1 },
  { name: "read", endpoints: ["replica:443", "fallback:443", "service:443"], recoveryTimeout: 1 }
]

/** Three hosts that answer with their own address, and a client over lists of them, in a scope of their own. */
const open = Effect.fnUntraced(function* (options?: Partial<MultiEndpoint.Options>) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of [...hosts, "other:443"]) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const layer = MultiEndpoint.layer({
    multiEndpoints: lists,
    discovery: (endpoint) => StaticDiscovery.make([endpoint]),
    reconnect: Schedule.spaced("100 millis"),
    ...options
  })
  const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const service = Context.get(context, MultiEndpoint.MultiEndpoint)
  const seen = yield* Ref.make<ReadonlyArray<string>>([])
  yield* service.switches.pipe(
    Stream.runForEach(({ from, multiEndpoint, reason, to }) =>
      Ref.update(seen, (all) => [...all, `${multiEndpoint}: ${from} -> ${to} (${reason})`])
    ),
    Effect.forkIn(scope)
  )
  yield* settle
  /** Who answers a call, and a call of the list "read". */
  const who = Effect.map(echo.lookup({}), ({ server }) => server)
  const reader = who.pipe(CallOptions.withMultiEndpoint("read"))
  return { close: Scope.close(scope, Exit.void), echo, network, reader, seen: Ref.get(seen), service, who }
})

/** So long an endpoint of these lists may be down before it is left. */
const soon = Effect.andThen(TestClock.adjust(1), settle)

/** Connections are opened at most once a second, so a restart shows after that. */
const later = TestClock.adjust("2 seconds")

describe("routing", () => {
  it.effect("a call goes to the default list or to the one it names", () =>
    Effect.gen(function* () {
      const { reader, service, who } = yield* open()
      assert.deepStrictEqual([yield* who, yield* reader], ["service:443", "replica:443"])
      assert.deepStrictEqual(yield* service.names, ["default", "read"])
      assert.deepStrictEqual(
        [yield* service.current(), yield* service.current("read"), yield* service.authority],
        ["service:443", "replica:443", "service:443"]
      )
      assert.strictEqual(yield* service.authorityFor("read"), "replica:443")
    }).pipe(inMemory)
  )

  it.effect("streams do too", () =>
    Effect.gen(function* () {
      const { echo } = yield* open()
      const items = yield* echo.expand({ count: 2 }).pipe(CallOptions.withMultiEndpoint("read"), Stream.runCollect)
      assert.deepStrictEqual(
        items.map(({ server }) => server),
        ["replica:443", "replica:443"]
      )
    }).pipe(inMemory)
  )

  it.effect("an unknown name is a typed error that knows the names", () =>
    Effect.gen(function* () {
      const { echo, service, who } = yield* open()
      const named = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.flip(CallOptions.withMultiEndpoint("write")(self))
      for (const error of [yield* named(who), yield* named(Stream.runDrain(echo.expand({ count: 1 })))]) {
        assert.strictEqual(error.code, "INVALID_ARGUMENT")
        assert.strictEqual(error.progress, "not_started")
        assert(error.cause instanceof MultiEndpoint.UnknownMultiEndpoint)
        assert.include(error.message, `no multi-endpoint is called "write"; known are default, read`)
      }
      assert.strictEqual((yield* Effect.flip(service.authorityFor("write"))).name, "write")
      assert.strictEqual((yield* Effect.flip(service.current("write"))).name, "write")
    }).pipe(inMemory)
  )

  it.effect("what is said nearest to the call holds", () =>
    Effect.gen(function* () {
      const { reader } = yield* open()
      assert.strictEqual(yield* reader.pipe(CallOptions.withMultiEndpoint("default")), "replica:443")
    }).pipe(inMemory)
  )

  it.effect("or goes to the default list if the layer says so", () =>
    Effect.gen(function* () {
      const { who } = yield* open({ unknownName: "default" })
      assert.strictEqual(yield* who.pipe(CallOptions.withMultiEndpoint("write")), "service:443")
    }).pipe(inMemory)
  )

  it.effect("lists that share an endpoint share its pool", () =>
    Effect.gen(function* () {
      const { network, service } = yield* open()
      assert.deepStrictEqual(hosts.map(network.connections), [1, 1, 1])
      assert.strictEqual((yield* service.snapshot).pools.length, 3)
    }).pipe(inMemory)
  )

  it.effect("spellings of one address are one endpoint, and 443 is the port of those that name none", () =>
    Effect.gen(function* () {
      const { service, who } = yield* open({
        multiEndpoints: [
          { name: "a", endpoints: ["dns:///service"] },
          { name: "b", endpoints: ["Service:443"] }
        ]
      })
      assert.strictEqual((yield* service.snapshot).pools.length, 1)
      assert.strictEqual(yield* who, "service:443")
    }).pipe(inMemory)
  )
})

describe("failover", () => {
  it.effect("down the list and back, each list by itself, and every switch is told with its reason", () =>
    Effect.gen(function* () {
      const { network, reader, seen, service, who } = yield* open()
      yield* later
      yield* network.kill("service:443")
      yield* soon
      assert.deepStrictEqual([yield* who, yield* reader], ["fallback:443", "replica:443"])
      yield* network.kill("replica:443")
      yield* soon
      assert.deepStrictEqual([yield* who, yield* reader], ["fallback:443", "fallback:443"])
      yield* network.kill("fallback:443")
      yield* soon
      assert.strictEqual(yield* service.current("read"), "fallback:443")
      yield* network.restart("service:443")
      yield* later
      assert.deepStrictEqual([yield* who, yield* reader], ["service:443", "service:443"])
      yield* network.restart("replica:443")
      yield* later
      assert.strictEqual(yield* reader, "replica:443")
      assert.deepStrictEqual(yield* seen, [
        "default: service:443 -> fallback:443 (fallback)",
        "read: replica:443 -> fallback:443 (fallback)",
        "default: fallback:443 -> service:443 (recover)",
        "read: fallback:443 -> service:443 (fallback)",
        "read: service:443 -> replica:443 (recover)"
      ])
      const [first, second] = (yield* service.snapshot).multiEndpoints
      assert.deepStrictEqual(first!.switches, { fallback: 1, recover: 1, replace: 0 })
      assert.deepStrictEqual(second!.switches, { fallback: 2, recover: 1, replace: 0 })
    }).pipe(inMemory)
  )

  it.effect("a switch says when, and the authority that calls have then", () =>
    Effect.gen(function* () {
      const { network, service } = yield* open({
        multiEndpoints: [{ name: "default", endpoints: ["service:443", "unix:///run/fallback.sock"] }],
        discovery: (endpoint) => StaticDiscovery.make([endpoint.id === "service:443" ? endpoint : "fallback:443"])
      })
      yield* later
      const next = yield* Effect.forkChild(Stream.runHead(service.switches))
      yield* settle
      yield* network.kill("service:443")
      yield* settle
      const told = Option.getOrThrow(yield* Fiber.join(next))
      assert.deepStrictEqual(told, {
        multiEndpoint: "default",
        from: "service:443",
        to: "unix:/run/fallback.sock",
        authority: "localhost",
        reason: "fallback",
        at: 2000
      })
      assert.strictEqual(yield* service.authority, told.authority)
    }).pipe(inMemory)
  )

  it.effect("an endpoint is available while one of its peers is ready", () =>
    Effect.gen(function* () {
      const { network, service } = yield* open({
        multiEndpoints: [{ name: "default", endpoints: ["service:443", "other:443"] }],
        discovery: (endpoint) =>
          StaticDiscovery.make(endpoint.id === "service:443" ? ["replica:443", "fallback:443"] : [endpoint])
      })
      yield* later
      yield* network.kill("replica:443")
      yield* soon
      assert.strictEqual(yield* service.current(), "service:443")
      yield* network.kill("fallback:443")
      yield* soon
      assert.strictEqual(yield* service.current(), "other:443")
    }).pipe(inMemory)
  )

  it.effect("a call that waits for a peer follows when calls go elsewhere, and one that has a peer stays", () =>
    Effect.gen(function* () {
      const { echo, network, service } = yield* open({
        multiEndpoints: [{ name: "default", endpoints: ["service:443", "fallback:443"], recoveryTimeout: "2 seconds" }]
      })
      yield* later
      yield* network.kill("service:443")
      yield* settle
      const within = CallOptions.waitForReady
      const unary = yield* Effect.forkChild(within(echo.lookup({})))
      const stream = yield* Effect.forkChild(Stream.runCollect(within(echo.expand({ count: 2 }))))
      const impatient = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.withDeadline("1 minute")))
      const refused = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.failFast))
      assert.strictEqual(refused.code, "UNAVAILABLE")
      yield* settle
      yield* TestClock.adjust(1999)
      yield* settle
      assert.strictEqual(impatient.code, "UNAVAILABLE")
      assert.deepStrictEqual([unary.pollUnsafe(), stream.pollUnsafe()], [undefined, undefined])
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(unary)).server, "fallback:443")
      assert.deepStrictEqual(
        (yield* Fiber.join(stream)).map(({ server }) => server),
        ["fallback:443", "fallback:443"]
      )

      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 5000 }))
      yield* settle
      yield* network.restart("service:443")
      yield* later
      assert.strictEqual(yield* service.current(), "service:443")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(slow)).server, "fallback:443")
    }).pipe(inMemory)
  )

  it.effect("a call that waits when its list is removed is refused", () =>
    Effect.gen(function* () {
      const { network, reader, service } = yield* open()
      yield* network.silence("other:443")
      yield* service.update([lists[0]!, { name: "read", endpoints: ["other:443"] }]).pipe(
        Effect.forkChild,
        Effect.tap(() => settle),
        Effect.tap(() => TestClock.adjust("5 seconds")),
        Effect.flatMap(Fiber.join)
      )
      const waiting = yield* Effect.forkChild(Effect.flip(reader.pipe(CallOptions.waitForReady)))
      yield* settle
      yield* service.update([lists[0]!])
      assert.strictEqual((yield* Fiber.join(waiting)).code, "INVALID_ARGUMENT")
    }).pipe(inMemory)
  )

  it.effect("the page of the program shows each list, and its latest switches first", () =>
    Effect.gen(function* () {
      const { network } = yield* open()
      yield* network.kill("service:443")
      yield* soon
      yield* network.restart("service:443")
      yield* later
      const { multiEndpoints, pools } = yield* Effect.flatMap(Introspection.Introspection, ({ snapshot }) => snapshot)
      const [first, read] = multiEndpoints
      assert.deepStrictEqual([first?.name, first?.current], ["default", "service:443"])
      assert.deepStrictEqual(
        first?.history.map(({ from, reason, to }) => [from, to, reason]),
        [
          ["fallback:443", "service:443", "recover"],
          ["service:443", "fallback:443", "fallback"]
        ]
      )
      assert.deepStrictEqual([read?.current, read?.history], ["replica:443", []])
      assert.strictEqual(pools.length, 3)
    }).pipe(inMemory, Effect.provide(Introspection.layer()))
  )

  it.effect("what is to come can be seen", () =>
    Effect.gen(function* () {
      const { network, service } = yield* open({
        multiEndpoints: [{ name: "default", endpoints: ["service:443", "fallback:443"], switchingDelay: "10 seconds" }]
      })
      yield* later
      yield* network.kill("service:443")
      yield* soon
      yield* network.restart("service:443")
      yield* TestClock.adjust(100)
      yield* settle
      const [list] = (yield* service.snapshot).multiEndpoints
      assert.strictEqual(list!.current, "fallback:443")
      assert.isTrue(list!.switchInMillis! > 9000 && list!.switchInMillis! <= 10_000)
      assert.deepStrictEqual(list!.endpoints, [
        { endpoint: "service:443", availability: "Available", failing: false },
        { endpoint: "fallback:443", availability: "Available", failing: false }
      ])
    }).pipe(inMemory)
  )
})

describe("error rates", () => {
  const errorRate = { minHealthy: "5 seconds", probeInterval: "1 second", period: "1 minute" } as const

  it.effect("an endpoint that fails every call is left when the period is over, probed, and used again", () =>
    Effect.gen(function* () {
      const well = yield* Ref.make(false)
      const { echo, seen, service, who } = yield* open({
        multiEndpoints: [{ ...lists[0]!, errorRate }],
        probe: Effect.filterOrFail(
          Ref.get(well),
          (well) => well,
          () => "not well"
        )
      })
      yield* Effect.forEach([14, 4, 16], (failCode) => Effect.exit(echo.lookup({ failCode })))
      yield* TestClock.adjust(59_999)
      assert.strictEqual(yield* service.current(), "service:443")
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(yield* who, "fallback:443")
      assert.isTrue((yield* service.snapshot).multiEndpoints[0]!.endpoints[0]!.failing)
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* who, "fallback:443")
      yield* Ref.set(well, true)
      // Good from the next probe on, so home after five more of them.
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("1 second")
        yield* settle
        assert.strictEqual(yield* who, "fallback:443")
      }
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.strictEqual(yield* who, "service:443")
      assert.lengthOf(yield* seen, 2)
    }).pipe(inMemory)
  )

  it.effect("codes that say nothing of the endpoint, and calls given up, do not count; streams do", () =>
    Effect.gen(function* () {
      const { echo, service } = yield* open({ multiEndpoints: [{ ...lists[0]!, errorRate }] })
      const counts = Effect.map(service.snapshot, ({ pools }) => [pools[0]!.calls, pools[0]!.failures])
      yield* Effect.forEach([5, 5, 5, 5], (failCode) => Effect.exit(echo.lookup({ failCode })))
      assert.deepStrictEqual(yield* counts, [4, 0])
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 1000 }))
      yield* settle
      yield* Fiber.interrupt(slow)
      assert.deepStrictEqual(yield* counts, [4, 0])
      yield* Stream.runDrain(Stream.take(echo.expand({ count: 5 }), 1))
      assert.deepStrictEqual(yield* counts, [4, 0])
      yield* Stream.runDrain(echo.expand({ count: 2 }))
      yield* Effect.exit(Stream.runDrain(echo.expand({ count: 2, failCode: 14 })))
      assert.deepStrictEqual(yield* counts, [6, 1])
    }).pipe(inMemory)
  )

  it.effect("without a probe of one's own an endpoint that answers is well, health service or not", () =>
    Effect.gen(function* () {
      const { echo, service } = yield* open({ multiEndpoints: [{ ...lists[0]!, errorRate }] })
      yield* Effect.forEach([14, 14, 14], (failCode) => Effect.exit(echo.lookup({ failCode })))
      yield* TestClock.adjust("1 minute")
      yield* settle
      assert.strictEqual(yield* service.current(), "fallback:443")
      for (let i = 0; i < 6; i++) yield* Effect.andThen(TestClock.adjust("1 second"), settle)
      assert.strictEqual(yield* service.current(), "service:443")
    }).pipe(inMemory)
  )
})

describe("update", () => {
  it.effect("lists come, go and change, and what is not used any more is closed", () =>
    Effect.gen(function* () {
      const { network, reader, seen, service, who } = yield* open()
      yield* service.update([
        { name: "read", endpoints: ["service:443"] },
        { name: "write", endpoints: ["other:443"] }
      ])
      yield* settle
      assert.deepStrictEqual(yield* service.names, ["read", "write"])
      assert.deepStrictEqual([yield* who, yield* reader], ["service:443", "service:443"])
      assert.strictEqual(yield* who.pipe(CallOptions.withMultiEndpoint("write")), "other:443")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(who.pipe(CallOptions.withMultiEndpoint("default")))))
      assert.deepStrictEqual(hosts.map(network.connections), [1, 0, 0])
      assert.deepStrictEqual(yield* seen, ["read: replica:443 -> service:443 (replace)"])
    }).pipe(inMemory)
  )

  it.effect("calls under way on an endpoint that is gone end well", () =>
    Effect.gen(function* () {
      const { echo, network, service, who } = yield* open()
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 3000 }))
      yield* settle
      yield* service.update([{ name: "default", endpoints: ["other:443"] }])
      assert.strictEqual(yield* who, "other:443")
      yield* TestClock.adjust(2999)
      assert.strictEqual(network.connections("service:443"), 1)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(slow)).server, "service:443")
      yield* settle
      assert.strictEqual(network.connections("service:443"), 0)
    }).pipe(inMemory)
  )

  it.effect("a new endpoint is ready before it is used", () =>
    Effect.gen(function* () {
      const { network, service, who } = yield* open()
      yield* network.setLatency("other:443", "1 second")
      const updating = yield* Effect.forkChild(service.update([{ name: "default", endpoints: ["other:443"] }]))
      yield* settle
      yield* TestClock.adjust(999)
      yield* settle
      assert.strictEqual(yield* who, "service:443")
      yield* TestClock.adjust(1)
      yield* Fiber.join(updating)
      assert.strictEqual(yield* service.current(), "other:443")
      assert.isTrue((yield* service.snapshot).pools[0]!.ready)
    }).pipe(inMemory)
  )

  it.effect("an endpoint that does not get ready holds an update up for its warm-up and no longer", () =>
    Effect.gen(function* () {
      const { network, service, who } = yield* open({ warmUp: "3 seconds" })
      yield* network.silence("other:443")
      const next = [{ name: "default", endpoints: ["other:443", "fallback:443"] }]
      const updating = yield* Effect.forkChild(service.update(next))
      yield* settle
      yield* TestClock.adjust(2999)
      assert.strictEqual(yield* service.current(), "service:443")
      yield* TestClock.adjust(1)
      yield* Fiber.join(updating)
      assert.strictEqual(yield* who, "fallback:443")
    }).pipe(inMemory)
  )

  it.effect("an update that is given up leaves everything as it was", () =>
    Effect.gen(function* () {
      const { network, service, who } = yield* open()
      yield* network.setLatency("other:443", "1 second")
      const updating = yield* Effect.forkChild(service.update([{ name: "default", endpoints: ["other:443"] }]))
      yield* settle
      yield* Fiber.interrupt(updating)
      yield* later
      assert.strictEqual(network.connections("other:443"), 0)
      assert.strictEqual(yield* who, "service:443")
      assert.deepStrictEqual(yield* service.names, ["default", "read"])
    }).pipe(inMemory)
  )

  it.effect("an endpoint named again within the switching delay keeps its pool; after that it is another", () =>
    Effect.gen(function* () {
      const { network, service } = yield* open()
      const only = (endpoint: string) => [{ name: "default", endpoints: [endpoint], switchingDelay: 1000 }]
      const pending = (id: string) =>
        Effect.map(service.snapshot, ({ pools }) => pools.find(({ endpoint }) => endpoint === id)?.named)
      yield* service.update(only("fallback:443"))
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* pending("service:443"), false)
      yield* service.update(only("service:443"))
      // The first retirement would end now, and does not hold for an endpoint that was named in between.
      yield* TestClock.adjust(1)
      yield* settle
      assert.strictEqual(yield* pending("service:443"), true)
      yield* TestClock.adjust(997)
      yield* service.update(only("fallback:443"))
      yield* TestClock.adjust(999)
      yield* settle
      assert.strictEqual(network.connections("service:443"), 1)
      yield* TestClock.adjust(2)
      yield* settle
      assert.strictEqual(network.connections("service:443"), 0)
      assert.strictEqual(yield* pending("service:443"), undefined)
    }).pipe(inMemory)
  )

  it.effect("must not happen: an endpoint that two updates in a row do not name is closed twice, or never", () =>
    Effect.gen(function* () {
      const { network, service, who } = yield* open()
      const only = [{ name: "default", endpoints: ["fallback:443"], switchingDelay: 1000 }]
      yield* service.update(only)
      yield* TestClock.adjust(500)
      yield* service.update(only)
      yield* TestClock.adjust(499)
      yield* settle
      assert.deepStrictEqual(hosts.map(network.connections), [1, 1, 1])
      yield* TestClock.adjust(2)
      yield* settle
      assert.deepStrictEqual(hosts.map(network.connections), [0, 1, 0])
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* who, "fallback:443")
    }).pipe(inMemory)
  )

  it.effect("other credentials for an address replace its pool when they are ready, and calls under way go on", () =>
    Effect.gen(function* () {
      const { echo, network, service, who } = yield* open()
      const inner = yield* Connector.Connector
      let opened = 0
      const connector = Connector.Connector.of({
        connect: (endpoint) => {
          opened++
          return inner.connect(endpoint)
        }
      })
      const next = [{ name: "default", endpoints: [{ address: "service:443", connector }, "fallback:443"] }]
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 3000 }))
      yield* settle
      yield* service.update(next)
      assert.deepStrictEqual([opened, network.connections("service:443")], [1, 2])
      assert.strictEqual(yield* who, "service:443")
      yield* service.update(next)
      assert.strictEqual(opened, 1)
      yield* TestClock.adjust(3000)
      yield* settle
      assert.strictEqual((yield* Fiber.join(slow)).server, "service:443")
      assert.strictEqual(network.connections("service:443"), 1)
    }).pipe(inMemory)
  )

  it.effect("a target that cannot be looked up fails the update and changes nothing", () =>
    Effect.gen(function* () {
      const { network, service, who } = yield* open({
        discovery: (endpoint) =>
          endpoint.id === "bad:443"
            ? {
                target: "bad",
                subscribe: () => Effect.fail(new Discovery.DiscoveryError({ target: "bad", problem: "is bad" }))
              }
            : StaticDiscovery.make([endpoint])
      })
      const error = yield* Effect.flip(service.update([{ name: "default", endpoints: ["other:443", "bad:443"] }]))
      assert(error instanceof Discovery.DiscoveryError)
      yield* settle
      assert.strictEqual(network.connections("other:443"), 0)
      assert.strictEqual(yield* who, "service:443")
    }).pipe(inMemory)
  )

  const good = { name: "default", endpoints: ["service:443"] }
  it.effect.each<{ readonly input: ReadonlyArray<MultiEndpoint.List>; readonly path: string }>([
    { input: [], path: "" },
    { input: [{ name: "", endpoints: ["a:1"] }], path: "[0].name" },
    { input: [good, good], path: "[1].name" },
    { input: [{ name: "default", endpoints: [] }], path: "[0].endpoints" },
    { input: [good, { name: "b", endpoints: ["a:1", "a:b:c"] }], path: "[1].endpoints[1]" },
    { input: [{ ...good, recoveryTimeout: Infinity }], path: "[0].recoveryTimeout" },
    { input: [{ ...good, switchingDelay: "soon" as "1 second" }], path: "[0].switchingDelay" },
    { input: [{ ...good, switchingJitter: 2 }], path: "[0].switchingJitter" },
    { input: [{ ...good, errorRate: { rate: 0 } }], path: "[0].errorRate.rate" },
    { input: [{ ...good, errorRate: { period: 0 } }], path: "[0].errorRate.period" },
    { input: [{ ...good, errorRate: { probeInterval: 0 } }], path: "[0].errorRate.probeInterval" },
    { input: [{ ...good, errorRate: { minProbes: 0.5 } }], path: "[0].errorRate.minProbes" }
  ])("what is wrong with lists is refused, and says where: $path", ({ input, path }) =>
    Effect.gen(function* () {
      const { service, who } = yield* open()
      const error = yield* Effect.flip(service.update(input))
      assert(error instanceof MultiEndpoint.InvalidMultiEndpoints)
      assert.strictEqual(error.path, path)
      assert.strictEqual(yield* who, "service:443")
    }).pipe(inMemory)
  )
})

describe("closing", () => {
  it.effect("drains every pool, and leaves no connection", () =>
    Effect.gen(function* () {
      const { close, echo, network, who } = yield* open()
      const slow = yield* Effect.forkChild(echo.echo({ delayMillis: 3000 }))
      yield* settle
      const closing = yield* Effect.forkChild(close)
      yield* TestClock.adjust(2999)
      assert.strictEqual((yield* Effect.flip(who)).code, "UNAVAILABLE")
      assert.strictEqual(closing.pollUnsafe(), undefined)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* Fiber.join(slow)).server, "service:443")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(hosts.map(network.connections), [0, 0, 0])
    }).pipe(inMemory)
  )

  it.effect("right after opening is fine", () =>
    Effect.gen(function* () {
      const layer = MultiEndpoint.layer({
        multiEndpoints: lists,
        discovery: (endpoint) => Discovery.make(endpoint.id, Stream.never)
      })
      yield* Effect.scoped(Layer.build(layer))
    }).pipe(inMemory)
  )
})

describe("configuration", () => {
  const json = [
    { name: "default", endpoints: ["service:443", "fallback:443"], recoveryTimeout: "1 second", switchingDelay: 500 },
    { name: "read", endpoints: ["replica:443"], errorRate: { period: "1 minute", rate: 0.5 } }
  ]

  it.effect("lists are read from JSON", () =>
    Effect.gen(function* () {
      const { echo: _, service } = yield* open({
        multiEndpoints: yield* Effect.fromResult(MultiEndpointConfig.make(json))
      })
      assert.deepStrictEqual(yield* service.names, ["default", "read"])
    }).pipe(inMemory)
  )

  it.effect.each([
    { input: {}, path: "" },
    { input: [], path: "[0]" },
    { input: [{ name: "a", endpoints: [] }], path: "[0].endpoints[0]" },
    { input: [{ endpoints: ["a:1"] }], path: "[0].name" },
    { input: [json[0], { ...json[1], switchingDelay: "soon" }], path: "[1].switchingDelay" },
    { input: [{ ...json[0], switchingDelya: 1 }], path: "[0].switchingDelya" },
    { input: [{ ...json[1], errorRate: { rate: 2 } }], path: "[0].errorRate.rate" },
    { input: [{ ...json[1], errorRate: { minProbes: "3" } }], path: "[0].errorRate.minProbes" }
  ])("a mistake says where it is: $path", ({ input, path }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.fromResult(MultiEndpointConfig.make(input)))
      assert.strictEqual(error.path, path)
    })
  )

  it.effect("a layer reads its lists from the environment", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      yield* network.serve("service:443", { handlers: [echoHandlers("service")] })
      const layer = MultiEndpoint.layerConfig({
        multiEndpoints: MultiEndpointConfig.config("BACKENDS"),
        discovery: Config.succeed((endpoint) => StaticDiscovery.make([endpoint]))
      })
      const from = (BACKENDS: string) =>
        Effect.gen(function* () {
          const echo = yield* Client.make(EchoService)
          return (yield* echo.lookup({})).server
        }).pipe(
          Effect.provide(layer),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromUnknown({ BACKENDS }))
        )
      assert.strictEqual(yield* from(JSON.stringify(json)), "service")
      const error = yield* Effect.flip(from(JSON.stringify([{ ...json[0], switchingDelya: 1 }])))
      assert.include(error.message, "switchingDelya")
    }).pipe(inMemory)
  )
})
