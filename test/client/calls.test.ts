import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Layer, Stream } from "effect"
import { Balancer, CallOptions, Client, type Handlers, RoundRobin, type RpcError, StaticDiscovery } from "trunkline"
import { echoHandlers } from "../support/echo.ts"
import { EchoService } from "../gen/echo_pb.ts"
import { type Wire, wires } from "../support/wires.ts"

class Echo extends Client.Service<Echo>()("test/Echo", EchoService) {}

const poolOf = (address: string) =>
  Layer.orDie(Balancer.layer({ discovery: StaticDiscovery.make([address]), picker: RoundRobin.make() }))

/** Runs a program with a client of one server. */
const withEcho = <A, E>(
  wire: Wire,
  program: Effect.Effect<A, E, Echo>,
  handlers: Handlers.Handlers = echoHandlers("a")
) =>
  Effect.gen(function* () {
    const address = yield* wire.serve([handlers])
    return yield* Effect.provide(program, Echo.layer.pipe(Layer.provide(poolOf(address))))
  }).pipe(Effect.provide(wire.layer))

for (const wire of wires) {
  describe(`the four kinds ${wire.name}`, () => {
    wire.it("unary: one request, one response", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const reply = yield* echo.echo({ text: "hello" })
          assert.strictEqual(reply.text, "hello")
          assert.strictEqual(reply.server, "a")
        })
      )
    )

    wire.it("a call is a value: it can be run twice", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const call = echo.echo({ text: "again" })
          const replies = [yield* call, yield* call]
          assert.deepStrictEqual(
            replies.map((reply) => reply.text),
            ["again", "again"]
          )
        })
      )
    )

    wire.it("server streaming: every response in order", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const replies = yield* Stream.runCollect(echo.expand({ text: "x", count: 100 }))
          assert.deepStrictEqual(
            replies.map((reply) => reply.index),
            Array.from({ length: 100 }, (_, i) => i)
          )
        })
      )
    )

    wire.it("server streaming: none is an empty stream", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          assert.deepStrictEqual(yield* Stream.runCollect(echo.expand({ count: 0 })), [])
        })
      )
    )

    wire.it("client streaming: every request in order", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const letters = [..."abcdefghijklmnopqrstuvwxyz"]
          const reply = yield* echo.collect(Stream.fromIterable(letters.map((text) => ({ text }))))
          assert.strictEqual(reply.text, letters.join(""))
          assert.strictEqual(reply.index, 26)
        })
      )
    )

    wire.it("bidi: answers come while requests go", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const replies = yield* Stream.make("a", "b", "c").pipe(
            Stream.map((text) => ({ text })),
            echo.chat,
            Stream.map((reply) => reply.text),
            Stream.runCollect
          )
          assert.deepStrictEqual(replies, ["A", "B", "C"])
        })
      )
    )

    wire.it("bidi: a server's end stops endless requests", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const endless = Stream.concat(Stream.make({ text: "a" }, { text: "b", failCode: 5 }), Stream.never)
          const exit = yield* Effect.exit(Stream.runCollect(echo.chat(endless)))
          assert(Exit.isFailure(exit))
          const error = yield* Effect.flip(exit)
          assert.strictEqual(error.code, "NOT_FOUND")
        })
      )
    )

    wire.it("an error arrives with its code, text, method, peer and origin", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const error = yield* Effect.flip(echo.echo({ text: "gone", failCode: 5 }))
          assert.strictEqual(error.message, "[NOT_FOUND] gone")
          assert.strictEqual(error.reason._tag, "NotFound")
          assert.strictEqual(error.method, "/trunkline.test.EchoService/Echo")
          assert.strictEqual(error.origin, "remote")
          assert.strictEqual(error.attempts.length, 1)
          assert.strictEqual(error.attempts[0]?.peer, error.peer)
          assert.isDefined(error.peer)
        })
      )
    )

    wire.it("a code is selected with catchReason", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const text = yield* echo.echo({ text: "gone", failCode: 5 }).pipe(
            Effect.map((reply) => reply.text),
            Effect.catchReason("RpcError", "NotFound", (reason) => Effect.succeed(`caught ${reason.message}`))
          )
          assert.strictEqual(text, "caught gone")
        })
      )
    )

    wire.it("a stream's error comes after the messages before it", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const seen: Array<number> = []
          const error = yield* echo.expand({ text: "late", count: 3, failCode: 8 }).pipe(
            Stream.runForEach((reply) => Effect.sync(() => seen.push(reply.index))),
            Effect.flip
          )
          assert.deepStrictEqual(seen, [0, 1, 2])
          assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
        })
      )
    )

    wire.it("the caller's own request failure comes back as it was", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const failing = Stream.concat(Stream.make({ text: "a" }), Stream.fail("my own" as const))
          assert.strictEqual(yield* Effect.flip(echo.collect(failing)), "my own")
          assert.strictEqual(yield* Effect.flip(Stream.runDrain(echo.chat(failing))), "my own")
        })
      )
    )

    wire.it("take(1) of many leaves the stream", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const replies = yield* Stream.runCollect(Stream.take(echo.expand({ count: 100_000 }), 1))
          assert.deepStrictEqual(
            replies.map((reply) => reply.index),
            [0]
          )
        })
      )
    )

    wire.it("many calls at once share one connection", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const texts = Array.from({ length: 100 }, (_, i) => String(i))
          const replies = yield* Effect.forEach(texts, (text) => echo.echo({ text }), { concurrency: "unbounded" })
          assert.deepStrictEqual(
            replies.map((reply) => reply.text),
            texts
          )
        })
      )
    )

    wire.it("a method the server does not have is UNIMPLEMENTED and named", () =>
      Effect.gen(function* () {
        const address = yield* wire.serve([])
        const pool = poolOf(address)
        const call = Effect.flatMap(Echo, (echo) => echo.echo({}))
        const error = yield* Effect.flip(Effect.provide(call, Echo.layer.pipe(Layer.provide(pool))))
        assert.strictEqual(error.code, "UNIMPLEMENTED")
        assert.include(error.message, "/trunkline.test.EchoService/Echo")
      }).pipe(Effect.provide(wire.layer))
    )

    wire.it("a handler's defect is INTERNAL without its text", () => {
      const handlers = echoHandlers("a")
      const broken: typeof handlers = {
        ...handlers,
        build: Effect.map(handlers.build, (all) =>
          all.map((handler) => ({
            ...handler,
            invoker: { ...handler.invoker, unary: () => Effect.die(new Error("the password is hunter2")) }
          }))
        )
      }
      return withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const error = yield* Effect.flip(echo.echo({}))
          assert.strictEqual(error.code, "INTERNAL")
          assert.notInclude(JSON.stringify(error), "hunter2")
          assert.notInclude(error.message, "hunter2")
        }),
        broken
      )
    })

    wire.it("a message over the call's own limits is refused, either way, and the next call is fine", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const payload = new Uint8Array(2000)
          const calls: ReadonlyArray<readonly [string, Effect.Effect<unknown, RpcError.RpcError>]> = [
            ["request", echo.echo({ payload }).pipe(CallOptions.withMaxSendBytes(1000))],
            ["request", echo.collect(Stream.make({ payload })).pipe(CallOptions.withMaxSendBytes(1000))],
            ["response", echo.echo({ payload }).pipe(CallOptions.withMaxReceiveBytes(1000))],
            [
              "response",
              Stream.runDrain(echo.expand({ text: "x".repeat(2000), count: 1 })).pipe(
                CallOptions.withMaxReceiveBytes(1000)
              )
            ]
          ]
          for (const [what, call] of calls) {
            const error = yield* Effect.flip(call)
            assert.strictEqual(error.code, "RESOURCE_EXHAUSTED")
            assert.match(
              error.message,
              new RegExp(`the ${what} of /\\S+ has 20\\d\\d bytes, more than the 1000 it may have`)
            )
          }
          assert.strictEqual((yield* echo.echo({ payload })).payload.length, 2000)
        })
      )
    )

    wire.it("a window of one still carries everything", () =>
      withEcho(
        wire,
        Effect.gen(function* () {
          const echo = yield* Echo
          const replies = yield* Stream.runCollect(echo.expand({ count: 20 }).pipe(CallOptions.withWindow(1)))
          assert.strictEqual(replies.length, 20)
        })
      )
    )
  })
}
