import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Random, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Affinity, Balancer, CallOptions, ChannelPool, Client, MultiEndpoint, Retry, RoundRobin } from "trunkline"
import { Discovery, Picker, StateRef } from "trunkline/extend"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { endpoint as endpointOf } from "../support/endpoints.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { measured, total } from "../support/numbers.ts"
import { settle } from "../support/multiEndpoints.ts"

const inMemory = Effect.provide(TestNetwork.layer)
const hosts = ["a:1", "b:1", "c:1"]
const path = (method: string): string => `trunkline.test.EchoService/${method}`

const methods: ReadonlyArray<Affinity.MethodAffinity> = [
  { method: path("Lookup"), command: "BIND", key: "text" },
  { method: path("Echo"), command: "BOUND", key: "text" },
  { method: path("Expand"), command: "BIND", key: "text" },
  { method: path("Chat"), command: "UNBIND", key: "text" }
]

const times = (n: number) => Array.from({ length: n }, (_, i) => i)

/** A client over three hosts in turns, and what changes which of them there are. */
const open = Effect.fnUntraced(function* (
  options?: Affinity.Options & { readonly picker?: Picker.PickerPolicy; readonly channels?: boolean }
) {
  const network = yield* TestNetwork.TestNetwork
  for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
  const listed = StateRef.make(hosts.map((host) => endpointOf(host)))
  const balancer = Balancer.layer({
    discovery: Discovery.make("hosts", listed.changes),
    picker: options?.picker ?? RoundRobin.make(),
    eager: true,
    drainTimeout: 0,
    reconnect: Schedule.spaced("100 millis")
  })
  // One connection each, unless channels are asked for.
  const size = options?.channels === true ? 2 : 1
  const layer = balancer.pipe(
    Layer.provideMerge(ChannelPool.layer({ min: size, max: size })),
    Layer.provideMerge(Affinity.layer({ services: [EchoService], methods, ...options }))
  )
  const context = yield* Layer.build(Layer.orDie(layer))
  const echo = yield* Effect.provideContext(Client.make(EchoService), context)
  const affinity = Context.get(context, Affinity.Affinity)
  yield* settle
  /** Who answers a call of no method with a rule that has this key. */
  const keyed = (key: string) =>
    Effect.map(echo.collect(Stream.empty).pipe(CallOptions.withAffinityKey(key)), ({ server }) => server)
  const bound = (text: string) => Effect.map(echo.echo({ text }), ({ server }) => server)
  const bind = (text: string) => Effect.map(echo.lookup({ text }), ({ server }) => server)
  const list = (names: ReadonlyArray<string>) =>
    Effect.andThen(
      Effect.sync(() => listed.set(names.map((host) => endpointOf(host)))),
      settle
    )
  return { affinity, bind, bound, context, echo, keyed, list, network }
})

describe("keys that callers name", () => {
  it.effect("go to one peer each, and are spread by the picker", () =>
    Effect.gen(function* () {
      const { keyed } = yield* open()
      const homes = yield* Effect.forEach(times(9), (i) => keyed(`k${i}`))
      for (const host of hosts)
        assert.lengthOf(
          homes.filter((home) => home === host),
          3
        )
      for (const i of times(9)) assert.strictEqual(yield* keyed(`k${i}`), homes[i])
    }).pipe(inMemory)
  )

  it.effect("without an affinity nobody looks at them", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
      const layer = Balancer.layer({
        discovery: Discovery.make("hosts", Stream.make(hosts.map((host) => endpointOf(host)))),
        picker: RoundRobin.make()
      })
      const echo = yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(Layer.orDie(layer)))
      const servers = yield* Effect.forEach(times(3), () => echo.lookup({}).pipe(CallOptions.withAffinityKey("k")))
      assert.strictEqual(new Set(servers.map(({ server }) => server)).size, 3)
    }).pipe(inMemory)
  )

  it.effect("a lease unbinds its key, and a key that nobody uses is forgotten", () =>
    Effect.gen(function* () {
      const { affinity, keyed } = yield* open({ keyLifetime: 100 })
      const scope = yield* Scope.make()
      yield* Scope.provide(affinity.bind("held"), scope)
      const home = yield* keyed("held")
      yield* TestClock.adjust(1000)
      assert.strictEqual(yield* keyed("held"), home)
      yield* Scope.close(scope, Exit.void)
      // In turns: the next call that binds is another peer's.
      assert.notStrictEqual(yield* keyed("held"), home)
      const other = yield* keyed("free")
      yield* TestClock.adjust(120)
      yield* settle
      assert.notStrictEqual(yield* keyed("free"), other)
    }).pipe(inMemory)
  )

  it.effect("a key that is told to move goes to another peer, whatever the picker would say, and stays there", () =>
    Effect.gen(function* () {
      const { affinity, keyed, list } = yield* open({
        picker: Picker.overReady((ready) => ({ pick: () => ready[0]! }))
      })
      const home = yield* keyed("k")
      yield* affinity.move("k")
      const next = yield* keyed("k")
      assert.notStrictEqual(next, home)
      for (const _ of times(4)) assert.strictEqual(yield* keyed("k"), next)
      yield* list([next])
      yield* affinity.move("k")
      assert.strictEqual(yield* keyed("k"), next)
    }).pipe(inMemory)
  )

  it.effect("an inner key replaces an outer one, and calls can be let go anywhere", () =>
    Effect.gen(function* () {
      const { echo, keyed } = yield* open()
      const home = yield* keyed("k")
      const [inner, anywhere] = yield* Effect.all([
        keyed("k"),
        Effect.forEach(times(6), () => CallOptions.withoutAffinity(echo.echo({ text: "k" })))
      ]).pipe(CallOptions.withAffinityKey("outer"))
      assert.strictEqual(inner, home)
      assert.strictEqual(new Set(anywhere.map(({ server }) => server)).size, 3)
    }).pipe(inMemory)
  )
})

describe("a peer that is not ready, or gone", () => {
  it.effect("its keys go to one other meanwhile, which is counted, and come home", () =>
    Effect.gen(function* () {
      const { keyed, network } = yield* open()
      yield* TestClock.adjust("2 seconds")
      const home = yield* keyed("k")
      yield* network.kill(home)
      yield* settle
      const stand = yield* keyed("k")
      assert.notStrictEqual(stand, home)
      for (const _ of times(4)) assert.strictEqual(yield* keyed("k"), stand)
      assert.strictEqual(yield* total("trunkline.pool.key_fallbacks", { "grpc.target": "hosts" }), 5)
      assert.strictEqual(yield* total("trunkline.pool.keys", { "grpc.target": "hosts" }), 1)
      yield* network.restart(home)
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.strictEqual(yield* keyed("k"), home)
      assert.strictEqual(yield* total("trunkline.pool.key_fallbacks"), 5)
    }).pipe(Effect.provide(Layer.merge(TestNetwork.layer, measured())))
  )

  it.effect("the keys of one that leaves are bound anew, held or not", () =>
    Effect.gen(function* () {
      const { affinity, keyed, list } = yield* open()
      yield* affinity.bind("k")
      const home = yield* keyed("k")
      yield* list(hosts.filter((host) => host !== home))
      const next = yield* keyed("k")
      assert.notStrictEqual(next, home)
      yield* list(hosts)
      assert.strictEqual(yield* keyed("k"), next)
      assert.strictEqual(yield* total("trunkline.pool.key_fallbacks"), 0)
    }).pipe(Effect.provide(Layer.merge(TestNetwork.layer, measured())))
  )

  it.effect("with nobody ready a call of a key waits as any other does", () =>
    Effect.gen(function* () {
      const { keyed, network } = yield* open()
      yield* TestClock.adjust("2 seconds")
      const home = yield* keyed("k")
      yield* Effect.forEach(hosts, network.kill)
      yield* settle
      const waiting = yield* Effect.forkChild(keyed("k").pipe(CallOptions.waitForReady))
      yield* settle
      assert.strictEqual(waiting.pollUnsafe(), undefined)
      yield* network.restart(home)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), home)
    }).pipe(inMemory)
  )

  it.effect("a call that has failed on its key's peer is tried on another, and the key stays", () =>
    Effect.gen(function* () {
      const { bound, echo } = yield* open()
      const home = yield* bound("k")
      const retry = Retry.onCodes(["UNAVAILABLE"], Schedule.spaced(1)).pipe(Retry.maxAttempts(3))
      const failing = yield* echo
        .echo({ text: "k", failCode: 14 })
        .pipe(Retry.withPolicy(retry), Effect.flip, Effect.forkChild)
      yield* settle
      for (const _ of times(10)) yield* Effect.andThen(TestClock.adjust(5), settle)
      const { attempts } = yield* Fiber.join(failing)
      const peers = attempts.map(({ peer }) => peer)
      assert.deepStrictEqual([peers[0], new Set(peers).size], [home, 3])
      assert.strictEqual(yield* bound("k"), home)
    }).pipe(inMemory)
  )
})

describe("keys in messages", () => {
  it.effect("a key of a response is bound to who answered, and calls with it go there", () =>
    Effect.gen(function* () {
      const { bind, bound } = yield* open()
      const homes = yield* Effect.forEach(times(6), (i) => bind(`s${i}`))
      assert.strictEqual(new Set(homes).size, 3)
      for (const i of times(6)) assert.strictEqual(yield* bound(`s${i}`), homes[i])
    }).pipe(inMemory)
  )

  it.effect("so are those of a stream, as its messages come", () =>
    Effect.gen(function* () {
      const { bound, echo } = yield* open()
      const servers = yield* Effect.forEach(times(3), (i) =>
        Stream.runCollect(echo.expand({ text: `s${i}`, count: 2 })).pipe(Effect.map(([first]) => first!.server))
      )
      for (const i of times(3)) assert.strictEqual(yield* bound(`s${i}`), servers[i])
    }).pipe(inMemory)
  )

  it.effect("a stream that unbinds goes where the key is bound, and unbinds it when it has succeeded", () =>
    Effect.gen(function* () {
      const { bind, bound, echo } = yield* open()
      const home = yield* bind("s")
      const chat = Stream.runCollect(echo.chat(Stream.make({ text: "s" }, { text: "more" })))
      yield* Effect.exit(Stream.runDrain(echo.chat(Stream.make({ text: "s", failCode: 9 }))))
      assert.deepStrictEqual([yield* bound("s"), yield* total("trunkline.pool.keys")], [home, 1])
      const answers = yield* chat
      assert.deepStrictEqual(
        answers.map(({ server, text }) => [server, text]),
        [
          [home, "S"],
          [home, "MORE"]
        ]
      )
      assert.strictEqual(yield* total("trunkline.pool.keys"), 0)
    }).pipe(Effect.provide(Layer.merge(TestNetwork.layer, measured())))
  )

  it.effect("what fails binds nothing", () =>
    Effect.gen(function* () {
      const { echo, keyed } = yield* open()
      const first = yield* Effect.flip(echo.lookup({ text: "s", failCode: 5 }))
      assert.notStrictEqual(yield* keyed("s"), first.peer)
    }).pipe(inMemory)
  )
})

it.effect("an endpoint of a multi-endpoint has keys of its own", () =>
  Effect.gen(function* () {
    const network = yield* TestNetwork.TestNetwork
    for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
    const layer = MultiEndpoint.layer({
      multiEndpoints: [{ name: "default", endpoints: ["service"] }],
      discovery: (endpoint) => Discovery.make(endpoint.id, Stream.make(hosts.map((host) => endpointOf(host)))),
      picker: RoundRobin.make()
    }).pipe(Layer.provide(Affinity.layer({ services: [EchoService], methods })))
    const echo = yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(Layer.orDie(layer)))
    yield* settle
    const homes = yield* Effect.forEach(times(6), (i) => echo.lookup({ text: `s${i}` }))
    assert.strictEqual(new Set(homes.map(({ server }) => server)).size, 3)
    for (const i of times(6)) assert.strictEqual((yield* echo.echo({ text: `s${i}` })).server, homes[i]!.server)
  }).pipe(inMemory)
)

it.effect("a key has one peer, and on it one connection", () =>
  Effect.gen(function* () {
    const { bind, bound, context } = yield* open({ channels: true })
    const home = yield* bind("s")
    const { snapshot } = Context.get(context, ChannelPool.ChannelPool)
    for (const _ of times(20)) assert.strictEqual(yield* bound("s"), home)
    const groups = yield* snapshot
    assert.lengthOf(groups, 3)
    assert.deepStrictEqual(
      groups.flatMap(({ channels }) => channels.map(({ calls }) => calls)).toSorted((a, b) => b - a),
      [21, 0, 0, 0, 0, 0]
    )
  }).pipe(Random.withSeed("one"), inMemory)
)

describe("whatever happens to the peers", () => {
  const Small = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))
  const Step = Schema.Union([
    Schema.Struct({ call: Small }),
    Schema.Struct({ move: Small }),
    Schema.Struct({ kill: Small }),
    Schema.Struct({ restart: Small }),
    Schema.Struct({ list: Schema.Array(Small) })
  ])

  it.effect.prop(
    "a key goes where it went before while that is ready, and to a ready peer otherwise",
    { steps: Schema.Array(Step) },
    ({ steps }) =>
      Effect.gen(function* () {
        const { affinity, keyed, list, network } = yield* open()
        const alive = new Set(hosts)
        let listed: ReadonlyArray<string> = hosts
        /** Where keys are at home, as far as that is known. */
        const homes = new Map<string, string>()
        for (const step of steps) {
          if ("call" in step) {
            const key = `k${step.call}`
            const usable = listed.filter((host) => alive.has(host))
            const exit = yield* Effect.exit(CallOptions.failFast(keyed(key)))
            assert.strictEqual(Exit.isSuccess(exit), usable.length > 0)
            if (!Exit.isSuccess(exit)) continue
            assert.include(usable, exit.value)
            const home = homes.get(key)
            if (home === undefined) homes.set(key, exit.value)
            else if (usable.includes(home)) assert.strictEqual(exit.value, home)
          } else if ("move" in step) {
            yield* affinity.move(`k${step.move}`)
            homes.delete(`k${step.move}`)
          } else if ("kill" in step) {
            yield* network.kill(hosts[step.kill]!)
            alive.delete(hosts[step.kill]!)
          } else if ("restart" in step) {
            yield* network.restart(hosts[step.restart]!)
            alive.add(hosts[step.restart]!)
          } else {
            listed = hosts.filter((_, i) => step.list.includes(i))
            yield* list(listed)
            for (const [key, home] of homes) if (!listed.includes(home)) homes.delete(key)
          }
          yield* settle
          yield* TestClock.adjust("2 seconds")
          yield* settle
        }
      }).pipe(Effect.scoped, inMemory),
    { timeout: 60_000 }
  )
})
