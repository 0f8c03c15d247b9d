/** What a wire does with statuses, fields and messages that do not fit: the same in memory and on both adapters. */
import { assert, describe } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { Balancer, CallOptions, Client, Handlers, Metadata, RoundRobin, RpcError, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"

const texts: ReadonlyArray<readonly [string, string, string]> = [
  ["a space at each edge", " two words ", " two words "],
  ["letters of everywhere", "für 100 % & 👩‍💻", "für 100 % & 👩‍💻"],
  ["half an emoji", "cut \ud83d", "cut \ufffd"],
  ["lines", "a\r\nb", "a\r\nb"],
  ["none", "", ""]
]

describe.each(wires)("rules of a wire $name", (wire) => {
  const client = Effect.fnUntraced(function* (handlers: Handlers.Handlers) {
    const address = yield* wire.serve([handlers])
    const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
    return yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(pool))
  })

  wire.it.each(texts)("a status text with %s arrives", ([, sent, arrives]) =>
    Effect.gen(function* () {
      const error = RpcError.make("ABORTED", sent)
      const echo = yield* client(
        Handlers.partial(EchoService, { lookup: () => Effect.fail(error), expand: () => Stream.fail(error) })
      )
      for (const call of [echo.lookup({}), Stream.runDrain(echo.expand({ count: 1 }))]) {
        const { code, origin, reason } = yield* Effect.flip(call)
        assert.deepStrictEqual([code, origin, reason.message], ["ABORTED", "remote", arrives])
      }
    }).pipe(Effect.provide(wire.layer))
  )

  wire.it("a status text that is too large is cut, and the code and the small trailers arrive", () =>
    Effect.gen(function* () {
      const trailers = Metadata.makeUnsafe({ small: "yes" })
      const error = RpcError.annotate(RpcError.make("ABORTED", "x".repeat(80_000)), { trailers })
      const echo = yield* client(
        Handlers.partial(EchoService, { lookup: () => Effect.fail(error), expand: () => Stream.fail(error) })
      )
      for (const call of [echo.lookup({}), Stream.runDrain(echo.expand({ count: 1 }))]) {
        const { code, reason, trailers } = yield* Effect.flip(call)
        assert.deepStrictEqual([code, trailers.get("small")?.[0]], ["ABORTED", "yes"])
        assert.isAbove(reason.message.length, 100)
        assert.isBelow(reason.message.length, 60_000)
      }
    }).pipe(Effect.provide(wire.layer))
  )

  wire.it("fields that cannot be sent are left out where they are only passed on, and the status stays", () =>
    Effect.gen(function* () {
      const passedOn = new Map([
        ["connection", ["close"]],
        ["te", ["trailers"]],
        ["bad", ["a\nb"]],
        ["good", ["yes"]]
      ])
      const error = RpcError.annotate(RpcError.make("NOT_FOUND", "no"), { trailers: passedOn })
      const echo = yield* client(
        Handlers.partial(EchoService, { lookup: () => Effect.fail(error), expand: () => Stream.fail(error) })
      )
      for (const call of [echo.lookup({}), Stream.runDrain(echo.expand({ count: 1 }))]) {
        const { code, trailers } = yield* Effect.flip(call)
        assert.deepStrictEqual([code, trailers.get("good")?.[0]], ["NOT_FOUND", "yes"])
        for (const key of ["connection", "te", "bad"]) assert.isUndefined(trailers.get(key)?.[0], key)
      }
    }).pipe(Effect.provide(wire.layer))
  )

  wire.it("metadata over the bound is refused by name before it is sent", () =>
    Effect.gen(function* () {
      let served = 0
      const lookup = () => Effect.sync(() => void served++).pipe(Effect.as({}))
      const echo = yield* client(Handlers.partial(EchoService, { lookup }))
      const error = yield* Effect.flip(echo.lookup({}).pipe(CallOptions.withMetadata({ big: "x".repeat(70_000) })))
      assert.deepStrictEqual(
        [error.code, error.origin, error.progress, served],
        ["RESOURCE_EXHAUSTED", "local", "not_started", 0]
      )
      assert.include(error.message, '"big"')
    }).pipe(Effect.provide(wire.layer))
  )

  wire.it("a deadline that no answer comes within names the method", () =>
    Effect.gen(function* () {
      const echo = yield* client(
        Handlers.partial(EchoService, { echo: () => Effect.never, lookup: () => Effect.succeed({}) })
      )
      yield* echo.lookup({})
      const call = yield* Effect.forkChild(Effect.flip(echo.echo({}).pipe(CallOptions.withDeadline("50 millis"))))
      yield* wire.pass("50 millis")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.code, "DEADLINE_EXCEEDED")
      assert.match(error.message, /deadline exceeded.*\/trunkline\.test\.EchoService\/Echo/)
    }).pipe(Effect.provide(wire.layer))
  )
})
