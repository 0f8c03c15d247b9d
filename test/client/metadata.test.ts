/** Metadata out and in, for the four kinds, on success and on failure, on every wire. */
import { assert, describe } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import {
  Balancer,
  CallOptions,
  Client,
  Handlers,
  type Interceptor,
  Metadata,
  RoundRobin,
  RpcError,
  type ServerCall,
  StaticDiscovery
} from "trunkline"
import { EchoService } from "../gen/echo_pb.ts"
import { type Wire, wires } from "../support/wires.ts"

type Echo = Client.Client<typeof EchoService>

/** A client of one server that runs `serve` for every call, whatever its kind, and then answers once. */
const clientOf = (wire: Wire, serve: (call: ServerCall.ServerCall) => Effect.Effect<void, RpcError.RpcError>) =>
  Effect.gen(function* () {
    const one = (_: unknown, call: ServerCall.ServerCall) => Effect.as(serve(call), { text: "done" })
    const many = (_: unknown, call: ServerCall.ServerCall) => Stream.fromEffect(one(_, call))
    const handlers = Handlers.make(EchoService, { echo: one, lookup: one, collect: one, expand: many, chat: many })
    const address = yield* wire.serve([handlers])
    const pool = Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() })
    return yield* Effect.provideContext(Client.make(EchoService), yield* Layer.build(Layer.orDie(pool)))
  })

/** The four kinds, each as the whole answer: headers, text and trailers. */
const kinds: ReadonlyArray<
  [
    string,
    (echo: Echo) => Effect.Effect<{ headers: Metadata.Metadata; trailers: Metadata.Metadata }, RpcError.RpcError>
  ]
> = [
  ["unary", (echo) => echo.echo.response({})],
  ["client streaming", (echo) => echo.collect.response(Stream.make({}))],
  ["server streaming", (echo) => drained(echo.expand.response({}))],
  ["bidi", (echo) => drained(echo.chat.response(Stream.make({})))]
]

const drained = <R>(start: Effect.Effect<Interceptor.StreamResponse<unknown>, RpcError.RpcError, R>) =>
  Effect.gen(function* () {
    const response = yield* start
    const headers = yield* response.headers
    yield* Stream.runDrain(response.messages)
    return { headers, trailers: yield* response.trailers }
  }).pipe(Effect.scoped)

const bytes = (metadata: ReadonlyMap<string, ReadonlyArray<unknown>>, key: string): ReadonlyArray<number> => [
  ...((metadata.get(key) ?? [])[0] as Uint8Array)
]

for (const wire of wires) {
  describe(`metadata ${wire.name}`, () => {
    describe.each(kinds)("%s", (_name, call) => {
      wire.it("the handler reads what the caller sent", () =>
        Effect.gen(function* () {
          const seen = yield* Deferred.make<Metadata.Metadata>()
          const echo = yield* clientOf(wire, (served) => Effect.asVoid(Deferred.succeed(seen, served.metadata)))
          const sent = { "X-Tenant": "acme", "trace-bin": Uint8Array.of(0, 255) }
          yield* call(echo).pipe(CallOptions.withMetadata(sent))
          const metadata = yield* Deferred.await(seen)
          assert.strictEqual(Metadata.get(metadata, "x-tenant"), "acme")
          assert.deepStrictEqual(bytes(metadata, "trace-bin"), [0, 255])
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it("the caller reads headers and trailers of a success", () =>
        Effect.gen(function* () {
          const echo = yield* clientOf(
            wire,
            Effect.fnUntraced(function* (served) {
              yield* served.setHeaders({ "x-served-by": "a" })
              yield* served.setTrailers({ "cost-bin": Uint8Array.of(7), "x-cost": "1" })
              yield* served.setTrailers({ "x-cost": "2" })
            })
          )
          const { headers, trailers } = yield* call(echo)
          assert.strictEqual(Metadata.get(headers, "x-served-by"), "a")
          assert.deepStrictEqual(Metadata.getAll(trailers, "x-cost"), ["2"])
          assert.deepStrictEqual(bytes(trailers, "cost-bin"), [7])
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it("and of a failure, with the trailers of the error over those set before", () =>
        Effect.gen(function* () {
          const echo = yield* clientOf(
            wire,
            Effect.fnUntraced(function* (served) {
              yield* served.setHeaders({ "x-served-by": "a" })
              yield* served.setTrailers({ "x-cost": "1", "x-why": "set before" })
              const trailers = Metadata.makeUnsafe({ "x-why": "of the error" })
              return yield* RpcError.make("ABORTED", "conflict", { trailers })
            })
          )
          const error = yield* Effect.flip(call(echo))
          assert.strictEqual(error.code, "ABORTED")
          assert.strictEqual(Metadata.get(error.headers, "x-served-by"), "a")
          assert.strictEqual(Metadata.get(error.trailers, "x-cost"), "1")
          assert.deepStrictEqual(Metadata.getAll(error.trailers, "x-why"), ["of the error"])
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it("headers set after they were sent are a typed error, trailers are not", () =>
        Effect.gen(function* () {
          const echo = yield* clientOf(
            wire,
            Effect.fnUntraced(function* (served) {
              yield* served.sendHeaders
              yield* served.setTrailers({ "x-late": "fine" })
              yield* served.setHeaders({ "x-late": "too late" })
            })
          )
          const error = yield* Effect.flip(call(echo))
          assert.match(error.message, /the response headers of \/trunkline\.test\.EchoService\/\w+ are sent already/)
          assert.strictEqual(Metadata.get(error.trailers, "x-late"), "fine")
        }).pipe(Effect.provide(wire.layer))
      )

      wire.it("a key the protocol does not allow is a typed error that names it", () =>
        Effect.gen(function* () {
          const echo = yield* clientOf(wire, (served) => served.setHeaders({ "x-data-bin": "text" }))
          assert.include((yield* Effect.flip(call(echo))).message, "x-data-bin")
        }).pipe(Effect.provide(wire.layer))
      )
    })

    wire.it("nothing of the transport's own shows", () =>
      Effect.gen(function* () {
        const echo = yield* clientOf(wire, (served) => served.setHeaders({ "x-mine": "1" }))
        const { headers, trailers } = yield* echo.echo.response({})
        assert.deepStrictEqual([...headers.keys(), ...trailers.keys()], ["x-mine"])
        const refusing = yield* clientOf(wire, () => Effect.fail(RpcError.make("ABORTED", "no")))
        const error = yield* Effect.flip(refusing.echo({}))
        assert.deepStrictEqual([...error.headers.keys(), ...error.trailers.keys()], [])
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("trailers too large to send do not take the status with them", () =>
      Effect.gen(function* () {
        const trailers = Metadata.makeUnsafe({ "x-huge-bin": new Uint8Array(100_000).map((_, i) => i * 7919) })
        const echo = yield* clientOf(wire, () => Effect.fail(RpcError.make("ABORTED", "conflict", { trailers })))
        const error = yield* Effect.flip(echo.echo({}).pipe(CallOptions.withDeadline("5 seconds")))
        assert.strictEqual(error.message, "[ABORTED] conflict")
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("headers come before the first message", () =>
      Effect.gen(function* () {
        const go = yield* Deferred.make<void>()
        const echo = yield* clientOf(
          wire,
          Effect.fnUntraced(function* (served) {
            yield* served.setHeaders({ "x-early": "yes" })
            yield* served.sendHeaders
            yield* Deferred.await(go)
          })
        )
        const response = yield* echo.chat.response(Stream.never)
        assert.strictEqual(Metadata.get(yield* response.headers, "x-early"), "yes")
        const messages = yield* Effect.forkChild(Stream.runCollect(response.messages))
        yield* Effect.yieldNow
        assert.strictEqual(messages.pollUnsafe(), undefined)
        yield* Deferred.succeed(go, undefined)
        assert.strictEqual((yield* Fiber.join(messages)).length, 1)
      }).pipe(Effect.scoped, Effect.provide(wire.layer))
    )
  })
}
