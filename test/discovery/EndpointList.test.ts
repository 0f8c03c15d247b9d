import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Balancer, Client, Endpoint, EndpointList, PickError, RoundRobin } from "trunkline"
import { TestNetwork } from "trunkline/testing"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"

const ids = (list: EndpointList.EndpointList) =>
  Effect.map(list.endpoints, (endpoints) => endpoints.map(({ id }) => id))

describe("update", () => {
  it.effect("removes, then adds", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1", "b:1"])
      yield* list.update({ additions: ["c:1"], removals: ["a:1"] })
      assert.deepStrictEqual(yield* ids(list), ["b:1", "c:1"])
      yield* list.update({})
      assert.deepStrictEqual(yield* ids(list), ["b:1", "c:1"])
    })
  )

  it.effect("one that goes and comes is what is said of it now", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const heavy = Endpoint.make(Endpoint.Address.Tcp({ host: "a", port: 1 }), { weight: 3 })
      yield* list.update({ additions: [heavy], removals: ["a:1"] })
      assert.deepStrictEqual(yield* list.endpoints, [heavy])
    })
  )

  const mistakes: ReadonlyArray<[string, EndpointList.Updates, string, string, ReadonlyArray<string>]> = [
    ["added twice", { additions: ["b:1"] }, "AlreadyListed", '"b:1" is in the list "hosts" already', ["a:1", "b:1"]],
    [
      "added in another form",
      { additions: ["dns:///B:1"] },
      "AlreadyListed",
      '"b:1" is in the list "hosts" already',
      ["a:1", "b:1"]
    ],
    ["removed twice", { removals: ["b:1", "b:1"] }, "NotListed", '"b:1" is not in the list "hosts"', ["a:1"]],
    ["removed that never was", { removals: ["x:1"] }, "NotListed", '"x:1" is not in the list "hosts"', ["a:1", "b:1"]],
    ["no address", { additions: ["x"] }, "AddressError", 'address "x": no port', ["a:1", "b:1"]],
    ["no address to remove", { removals: ["x"] }, "AddressError", 'address "x": no port', ["a:1", "b:1"]]
  ]
  it.effect.each(mistakes)("%s is an error that names it", ([, updates, tag, message, after]) =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1", "b:1"])
      const error = yield* Effect.flip(list.update(updates))
      assert.deepStrictEqual([error._tag, error.list, error.message], ["UpdateError", "hosts", message])
      assert.deepStrictEqual(
        error.problems.map(({ _tag }) => _tag),
        [tag]
      )
      assert.deepStrictEqual(yield* ids(list), after)
    })
  )

  it.effect("what is wrong holds up nothing else, and all of it is told", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const error = yield* Effect.flip(list.update({ additions: ["a:1", "b:1", "c:x"], removals: ["z:1"] }))
      assert.deepStrictEqual(
        error.problems.map(({ _tag }) => _tag),
        ["NotListed", "AlreadyListed", "AddressError"]
      )
      assert.deepStrictEqual(yield* ids(list), ["a:1", "b:1"])
    })
  )

  it.effect("of many at once loses nobody", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts")
      const names = Array.from({ length: 50 }, (_, i) => `h${i}:1`)
      yield* Effect.forEach(names, (name) => list.update({ additions: [name] }), { concurrency: "unbounded" })
      assert.sameMembers([...(yield* ids(list))], names)
    })
  )

  it.effect("a list cannot begin with a mistake", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(EndpointList.make("hosts", ["a:1", "a:1"]))
      assert.strictEqual(error.message, '"a:1" is in the list "hosts" already')
    })
  )
})

describe("a pool over a list", () => {
  it.effect("follows it, can be stopped, and starts again with what the list became meanwhile", () =>
    Effect.gen(function* () {
      const network = yield* TestNetwork.TestNetwork
      const hosts = ["a:1", "b:1", "c:1"]
      for (const host of hosts) yield* network.serve(host, { handlers: [echoHandlers(host)] })
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const connections = () => hosts.map(network.connections)
      const settle = Effect.repeat(TestClock.adjust(0), { times: 3 })

      const open = Effect.gen(function* () {
        const scope = yield* Scope.make()
        const layer = Balancer.layer({ discovery: list, picker: RoundRobin.make(), eager: true })
        const context = yield* Layer.buildWithScope(Layer.fresh(Layer.orDie(layer)), scope)
        yield* settle
        const echo = yield* Effect.provideContext(Client.make(EchoService), context)
        return { echo, close: Scope.close(scope, Exit.void) }
      })

      const first = yield* open
      assert.deepStrictEqual(connections(), [1, 0, 0])
      yield* list.update({ additions: ["b:1"] })
      yield* settle
      assert.deepStrictEqual(connections(), [1, 1, 0])
      yield* first.close
      const error = yield* Effect.flip(first.echo.lookup({}))
      assert(error.cause instanceof PickError.PoolClosed)
      assert.strictEqual(error.cause.target, "hosts")

      yield* list.update({ additions: ["c:1"], removals: ["a:1"] })
      yield* settle
      assert.deepStrictEqual(connections(), [0, 0, 0])
      const second = yield* open
      assert.deepStrictEqual(connections(), [0, 1, 1])
      yield* second.close
    }).pipe(Effect.provide(TestNetwork.layer))
  )

  it.effect("is told at once who is there", () =>
    Effect.gen(function* () {
      const list = yield* EndpointList.make("hosts", ["a:1"])
      const sets = yield* list.subscribe(Stream.never)
      const [first] = yield* Stream.runCollect(Stream.take(sets, 1))
      assert.deepStrictEqual(
        first!.map(({ id }) => id),
        ["a:1"]
      )
    })
  )
})
