import { assert, describe } from "@effect/vitest"
import { Cause, Effect, Layer, Stream } from "effect"
import { Balancer, Client, ErrorMapper, Handlers, RoundRobin, RpcError, Server, StaticDiscovery } from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { wires } from "../support/wires.ts"

class OutOfStock extends Error {}

const mapper = ErrorMapper.make((cause) =>
  cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect instanceof OutOfStock)
    ? RpcError.make("RESOURCE_EXHAUSTED", "out of stock")
    : undefined
)

/** Handlers that end as told, in all kinds, behind the mapper. */
const handlersThat = (end: Effect.Effect<never, RpcError.RpcError>): Handlers.Handlers => {
  const plain = Handlers.make(EchoService, {
    echo: () => end,
    lookup: () => end,
    collect: () => end,
    expand: () => Stream.concat(Stream.make({ text: "first" }), Stream.fromEffect(end)),
    chat: () => Stream.fromEffect(end)
  })
  const build = Effect.map(Server.build({ handlers: [plain], interceptor: mapper }), ({ router }) => [
    ...router.values()
  ])
  return { ...plain, build: Effect.orDie(build) }
}

for (const wire of wires) {
  describe(`ErrorMapper ${wire.name}`, () => {
    const codes = (end: Effect.Effect<never, RpcError.RpcError>) =>
      Effect.gen(function* () {
        const address = yield* wire.serve([handlersThat(end)])
        const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
        const echo = yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
        const calls: ReadonlyArray<Effect.Effect<unknown, RpcError.RpcError>> = [
          echo.echo({}),
          echo.collect(Stream.make({})),
          Stream.runDrain(echo.expand({})),
          Stream.runDrain(echo.chat(Stream.make({})))
        ]
        return yield* Effect.forEach(calls, (call) => Effect.map(Effect.flip(call), (error) => error.code))
      }).pipe(Effect.provide(wire.layer))

    wire.it("maps the causes it knows, mid-stream too", () =>
      Effect.gen(function* () {
        const mapped = yield* codes(Effect.die(new OutOfStock("shelf 7 is empty")))
        assert.deepStrictEqual(
          mapped,
          Array.from({ length: 4 }, () => "RESOURCE_EXHAUSTED")
        )
      })
    )

    wire.it("leaves the rest as it is", () =>
      Effect.gen(function* () {
        const defects = yield* codes(Effect.die(new Error("a bug")))
        assert.deepStrictEqual(
          defects,
          Array.from({ length: 4 }, () => "INTERNAL")
        )
        const failures = yield* codes(Effect.fail(RpcError.make("ABORTED", "conflict")))
        assert.deepStrictEqual(
          failures,
          Array.from({ length: 4 }, () => "ABORTED")
        )
      })
    )
  })
}
