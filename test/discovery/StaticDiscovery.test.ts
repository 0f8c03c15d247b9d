import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { DiscoveryError } from "../../src/discovery/Discovery.ts"
import * as Endpoint from "../../src/discovery/Endpoint.ts"
import * as StaticDiscovery from "../../src/discovery/StaticDiscovery.ts"

const subscribe = (addresses: ReadonlyArray<string | Endpoint.Endpoint>) =>
  StaticDiscovery.make(addresses).subscribe(Stream.never)

describe("StaticDiscovery", () => {
  it.effect("emits the list once, in its order, and stays open", () =>
    Effect.gen(function* () {
      const emitted: Array<ReadonlyArray<string>> = []
      const endpoints = yield* subscribe(["b:2", "unix:/run/c.sock", "1.2.3.4:1"])
      const running = yield* Effect.forkChild(
        Stream.runForEach(endpoints, (set) => Effect.sync(() => emitted.push(set.map(({ id }) => id))))
      )
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(emitted, [["b:2", "unix:/run/c.sock", "1.2.3.4:1"]])
      assert.isUndefined(running.pollUnsafe())
      yield* Fiber.interrupt(running)
    })
  )

  it.effect("takes addresses with one id for one backend, the first of them", () =>
    Effect.gen(function* () {
      const named = Endpoint.make(Endpoint.Address.Tcp({ host: "::1", port: 1 }), { authority: "greeter" })
      const endpoints = yield* subscribe([named, "[0:0::1]:1", "a:1", "ipv6:[::1]:1", "dns:///A:1"])
      const first = yield* Stream.runHead(endpoints).pipe(Effect.flatMap(Effect.fromOption))
      assert.deepStrictEqual(
        first.map(({ id, authority }) => [id, authority]),
        [
          ["[::1]:1", "greeter"],
          ["a:1", undefined]
        ]
      )
    })
  )

  it.effect("refuses a list with a bad address, naming the first", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(subscribe(["a:1", "b", "c:x"]))
      assert.instanceOf(error, DiscoveryError)
      assert.strictEqual(error.target, "a:1, b, c:x")
      assert.strictEqual(error.problem, 'address "b": no port')
      assert.deepStrictEqual(error.cause, new Endpoint.AddressError({ input: "b", problem: "no port" }))
    })
  )

  it.effect("refuses an empty list", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(subscribe([]))
      assert.strictEqual(error.message, 'discovery of "": the list is empty')
    })
  )

  it("has a target that stays short", () => {
    const targets = [3, 4, 1000].map(
      (count) => StaticDiscovery.make(Array.from({ length: count }, (_, i) => `h${i}:1`)).target
    )
    assert.deepStrictEqual(targets, [
      "h0:1, h1:1, h2:1",
      "h0:1, h1:1, h2:1 and 1 more",
      "h0:1, h1:1, h2:1 and 997 more"
    ])
  })
})
