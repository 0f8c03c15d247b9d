/** Our client and servers that misbehave on the HTTP/2 level: gRPC's negative cases. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schedule } from "effect"
import { Balancer, CallOptions, Client, type Code, PickFirst, Retry, RpcError, StaticDiscovery } from "trunkline"
import { TestService } from "../gen/interop_pb.ts"
import { adapters } from "../support/adapters.ts"
import * as BadServer from "./BadServer.ts"
import { unaryOf } from "./cases/unary.ts"
import { large } from "./vectors.ts"

/** What each connector makes of it, by the adapter's name. */
interface Expected {
  /**
   * A reset that names no error, on a connection that lives: INTERNAL by gRPC's table of HTTP/2 errors, and Node shows it as
   * an end without a status. grpc-js takes it for the server's going away, which a server says with a GOAWAY.
   */
  readonly noError: readonly [code: Code.Code, message: string]
}

const expectations: Readonly<Record<string, Expected>> = {
  "grpc-js": { noError: ["UNAVAILABLE", "RST_STREAM with code 0"] },
  "HTTP/2": { noError: ["INTERNAL", "the server ended the call without a status"] }
}

describe.each(adapters)("$name", ({ connector, name }) => {
  const { noError } = expectations[name]!

  /** The large unary call, which no server may keep for ever. */
  const callerOf = (server: BadServer.BadServer) =>
    Effect.gen(function* () {
      const pool = Balancer.layer({ discovery: StaticDiscovery.make([server.address]), picker: PickFirst.make() })
      const transport = yield* Layer.build(Layer.provide(pool, connector()))
      const test = yield* Effect.provideContext(Client.make(TestService), transport)
      return unaryOf(test, large).pipe(CallOptions.withDeadline("5 seconds"))
    })

  describe("goaway", () => {
    it.live("the call under way ends well, and the next one goes to a new connection", () =>
      Effect.gen(function* () {
        const server = yield* BadServer.make([BadServer.goaway, BadServer.well])
        const call = yield* callerOf(server)
        yield* call
        yield* call
        assert.strictEqual(server.sessions(), 2)
      })
    )
  })

  describe("a call that is reset fails, says so, and costs the connection nothing", () => {
    const internalError = 2
    const refusals: ReadonlyArray<[string, (code: number) => BadServer.Behaviour]> = [
      ["after the headers", BadServer.rstAfterHeader],
      ["in the middle of the message", BadServer.rstDuringData],
      ["after the message", BadServer.rstAfterData]
    ]
    for (const [when, reset] of refusals) {
      it.live.each([
        [0, ...noError],
        [internalError, "INTERNAL", "RST_STREAM with code 2"]
      ] as const)(`${when}, with code %s`, ([code, expected, message]) =>
        Effect.gen(function* () {
          const server = yield* BadServer.make([reset(code), BadServer.well])
          const call = yield* callerOf(server)
          const error = yield* Effect.flip(call)
          assert(RpcError.isRpcError(error))
          assert.strictEqual(error.code, expected)
          assert.include(error.message, message)
          yield* call
          assert.strictEqual(server.sessions(), 1)
        })
      )
    }
  })

  describe("a call the server never looked at", () => {
    it.live("is sent again by itself", () =>
      Effect.gen(function* () {
        const call = yield* callerOf(yield* BadServer.make([BadServer.refuse, BadServer.well]))
        yield* call
      })
    )

    it.live("is tried once more for nothing, and may be retried though it must not run twice", () =>
      Effect.gen(function* () {
        const { refuse, well } = BadServer
        const free = yield* callerOf(yield* BadServer.make([refuse, well]))
        yield* free
        const error = yield* Effect.flip(yield* callerOf(yield* BadServer.make([refuse])))
        assert(RpcError.isRpcError(error))
        assert.deepStrictEqual(
          [error.code, error.progress, error.stopped, error.attempts.length],
          ["UNAVAILABLE", "refused", "not_retryable", 1]
        )
        const call = yield* callerOf(yield* BadServer.make([refuse, refuse, well]))
        yield* call.pipe(
          CallOptions.nonIdempotent,
          Retry.withPolicy(Retry.onCodes(["UNAVAILABLE"], Schedule.spaced("1 millis")))
        )
      })
    )
  })

  describe("ping", () => {
    it.live("every ping is acknowledged, whatever the call is doing", () =>
      Effect.gen(function* () {
        const call = yield* callerOf(yield* BadServer.make([BadServer.ping]))
        yield* call
      })
    )
  })

  describe("max_streams", () => {
    it.live("ten calls at once share a connection that takes one at a time", () =>
      Effect.gen(function* () {
        const server = yield* BadServer.make([BadServer.well], { maxConcurrentStreams: 1 })
        const call = yield* callerOf(server)
        // Until it has the settings a client may not know better.
        yield* call
        yield* Effect.all(
          Array.from({ length: 10 }, () => call),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(server.mostOpen(), 1)
        assert.strictEqual(server.sessions(), 1)
      })
    )
  })
})
