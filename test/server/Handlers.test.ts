/** Which methods are served, by whom, and what is answered for the rest. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { Balancer, Client, Handlers, RoundRobin, type RpcError, Server, Service, StaticDiscovery } from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"

const connect = (address: string) =>
  Effect.flatMap(
    Layer.build(Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))),
    (pool) => Effect.provide(Client.make(EchoService), pool)
  )

type Echo = Client.Client<typeof EchoService>
const calls: Readonly<Record<string, (echo: Echo) => Effect.Effect<unknown, RpcError.RpcError>>> = {
  Echo: (echo) => echo.echo({}),
  Expand: (echo) => Stream.runDrain(echo.expand({})),
  Collect: (echo) => echo.collect(Stream.make({})),
  Chat: (echo) => Stream.runDrain(echo.chat(Stream.make({}))),
  Lookup: (echo) => echo.lookup({})
}

const justLookup = Handlers.partial(EchoService, { lookup: () => Effect.succeed({ server: "lookup" }) })

for (const wire of wires) {
  describe(`Handlers.partial ${wire.name}`, () => {
    wire.it("serves the methods it has, and says which it has not", () =>
      Effect.gen(function* () {
        const echo = yield* connect(yield* wire.serve([justLookup]))
        assert.strictEqual((yield* echo.lookup({})).server, "lookup")
        for (const [name, call] of Object.entries(calls)) {
          if (name === "Lookup") continue
          const error = yield* Effect.flip(call(echo))
          assert.deepStrictEqual([error.code, error.origin], ["UNIMPLEMENTED", "remote"])
          assert.include(error.message, `/trunkline.test.EchoService/${name}`)
        }
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("a service can be served from several places", () =>
      Effect.gen(function* () {
        const rest = Handlers.partial(EchoService, {
          echo: () => Effect.succeed({ server: "rest" }),
          chat: (requests) => Stream.map(requests, () => ({ server: "rest" }))
        })
        const echo = yield* connect(yield* wire.serve([justLookup, rest]))
        assert.strictEqual((yield* echo.lookup({})).server, "lookup")
        assert.strictEqual((yield* echo.echo({})).server, "rest")
        assert.strictEqual((yield* Stream.runCollect(echo.chat(Stream.make({})))).length, 1)
        assert.strictEqual((yield* Effect.flip(echo.collect(Stream.empty))).code, "UNIMPLEMENTED")
      }).pipe(Effect.provide(wire.layer))
    )
  })

  describe(`two handlers for one method ${wire.name}`, () => {
    const collisions: Readonly<Record<string, ReadonlyArray<Handlers.Handlers>>> = {
      "a service twice": [echoHandlers("a"), echoHandlers("b")],
      "a part and the whole": [echoHandlers("a"), justLookup],
      "two parts": [justLookup, justLookup],
      "two descriptions": [
        justLookup,
        Handlers.make(
          Service.make("trunkline.test.EchoService", { lookup: Service.unary(Schema.String, Schema.String) }),
          { lookup: Effect.succeed }
        )
      ]
    }
    for (const [name, handlers] of Object.entries(collisions)) {
      wire.it(`${name}: the server does not start, and names the method`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(wire.serve(handlers))
          assert.instanceOf(error, Server.MethodCollision)
          const method = `/trunkline.test.EchoService/${name === "a service twice" ? "Echo" : "Lookup"}`
          assert.deepStrictEqual([error.method, error.message], [method, `more than one handler for ${method}`])
        }).pipe(Effect.provide(wire.layer))
      )
    }
  })
}

describe("Handlers.partial", () => {
  it.effect("drains as others do", () =>
    Effect.gen(function* () {
      let drained = false
      const handlers = Handlers.partial(EchoService, {}, { drain: Effect.sync(() => void (drained = true)) })
      const { drain, router } = yield* Server.build({ handlers: [handlers] })
      yield* drain
      assert.deepStrictEqual([drained, router.size], [true, 0])
    })
  )
})
