/** A server that says goodbye: what it has not looked at goes elsewhere for nothing, and pings it finds too many get fewer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { CallOptions, type Client, RpcError } from "trunkline"
import type { EchoService } from "../gen/echo_pb.ts"
import { clientOf } from "../support/http2Client.ts"
import * as Frames from "../support/frameServer.ts"

type Echo = Client.Client<typeof EchoService>

const { answer, empty, data, goaway, headers, trailers, types } = Frames

const kinds: ReadonlyArray<readonly [string, (client: Echo) => Effect.Effect<unknown, RpcError.RpcError>]> = [
  ["unary", (client) => client.echo({})],
  ["stream", (client) => Stream.runDrain(client.expand({}))]
]

const once = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  self.pipe(CallOptions.nonIdempotent, CallOptions.withDeadline("5 seconds"))

const enhanceYourCalm = 11

describe.each(kinds)("%s", (_, callOf) => {
  it.live.each([0, 1, 2, 11, 13, 4711])("code %s: a call after the last stream goes to the next connection", (code) =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: (connection, stream) => {
          if (connection.number === 1) connection.send(goaway(Math.max(0, stream - 2), code))
          else answer(connection, stream)
        }
      })
      const client = yield* clientOf([server.address])
      yield* once(callOf(client))
      assert.strictEqual(server.connections(), 2)
    })
  )

  it.live.each([1, 2, 11])("code %s: a call up to the last stream may have run", (code) =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: (connection, stream) => {
          if (connection.number === 1) connection.send(goaway(stream, code))
          else answer(connection, stream)
        }
      })
      const client = yield* clientOf([server.address])
      const error = yield* Effect.flip(once(callOf(client)))
      assert(RpcError.isRpcError(error))
      assert.deepStrictEqual([error.code, error.progress, error.origin], ["UNAVAILABLE", "processed", "local"])
      assert.include(error.message, `the server said goodbye with code ${code}`)
      // The next is begun when a connection can take it, not on the one that is gone.
      yield* once(callOf(client))
    })
  )

  it.live("in two steps: the calls before the first go on, one that comes between is served elsewhere", () =>
    Effect.gen(function* () {
      const held: Array<number> = []
      const server = yield* Frames.serve({
        onRequest: (connection, stream) => {
          if (connection.number > 1) return answer(connection, stream)
          held.push(stream)
          if (held.length === 1) return
          connection.send(goaway(2 ** 31 - 1, 0), goaway(held[0]!, 0))
          connection.send(headers(held[0]!), data(held[0]!, empty), trailers(held[0]!))
        }
      })
      const client = yield* clientOf([server.address])
      const first = yield* Effect.forkChild(once(callOf(client)))
      yield* server.until(({ flags, type }) => type === types.data && (flags & 1) !== 0)
      yield* once(callOf(client))
      yield* Fiber.join(first)
      assert.strictEqual(server.connections(), 2)
    })
  )
})

describe("a server that takes one call at a time", () => {
  it.live("and says goodbye: what waits for room has not been sent, and goes elsewhere", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onConnection: ({ send }) => send(Frames.settings([3, 1])),
        onRequest: (connection, stream) => {
          if (connection.number > 1) return answer(connection, stream)
          setTimeout(() => {
            connection.send(goaway(stream, 0), headers(stream), data(stream, empty), trailers(stream))
          }, 50)
        }
      })
      const client = yield* clientOf([server.address])
      yield* Effect.all(
        Array.from({ length: 5 }, () => once(client.echo({}))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(server.connections(), 2)
    })
  )

  it.live("and resets the connection: what waits for room has not been sent either", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onConnection: ({ send }) => send(Frames.settings([3, 1])),
        onRequest: (connection, stream) => {
          if (connection.number > 1) return answer(connection, stream)
          setTimeout(() => connection.socket.resetAndDestroy(), 50)
        }
      })
      const client = yield* clientOf([server.address])
      const results = yield* Effect.all(
        Array.from({ length: 5 }, () => Effect.result(once(client.echo({})))),
        { concurrency: "unbounded" }
      )
      // The one that was sent may have run.
      assert.strictEqual(results.filter(({ _tag }) => _tag === "Failure").length, 1)
    })
  )
})

describe("goodbyes of a connection, again and again", () => {
  it.live("lose no call while another server is there", () =>
    Effect.gen(function* () {
      const stormy = yield* Frames.serve({
        onRequest: (connection, stream, count) => {
          if (count % 7 === 0) connection.send(goaway(Math.max(0, stream - 2), count % 2 === 0 ? 0 : enhanceYourCalm))
          else answer(connection, stream)
        }
      })
      const calm = yield* Frames.serve({ onRequest: answer })
      const client = yield* clientOf([stormy.address, calm.address])
      let calls = 0
      while (stormy.connections() < 4) {
        calls++
        yield* once(client.echo({}))
      }
      assert.isAbove(calls, 20)
    })
  )
})

describe("too_many_pings", () => {
  const pings = (server: Frames.FrameServer, connection: number) =>
    server.seen.filter((frame) => frame.type === types.ping && frame.connection === connection).length

  /** Ends its first connections at their first ping, with these words. */
  const offended = (times: number, debug: string) =>
    Frames.serve({
      onFrame: (connection, { flags, type }) => {
        if (type === types.ping && (flags & 1) === 0 && connection.number <= times) {
          connection.send(goaway(2 ** 31 - 1, enhanceYourCalm, debug))
        }
      }
    })

  /** Calls that nobody answers, one after the other, until the server has seen that many connections. */
  const calling = (client: Echo, server: Frames.FrameServer, connections: number) =>
    Effect.gen(function* () {
      const call = Effect.ignore(client.echo({}))
      yield* Effect.forkScoped(Effect.forever(call))
      yield* server.until((frame) => frame.connection === connections && frame.type === types.headers)
    })

  it.live("doubles the time each time, for later connections too", () =>
    Effect.gen(function* () {
      const server = yield* offended(4, "too_many_pings")
      // 20, 40, 80, 160, 320 ms.
      const client = yield* clientOf([server.address], { keepalive: { time: "20 millis" } })
      yield* calling(client, server, 5)
      yield* Effect.sleep("200 millis")
      assert.strictEqual(pings(server, 5), 0)
      yield* server.until((frame) => frame.connection === 5 && frame.type === types.ping)
    })
  )

  it.live("is only meant by these words", () =>
    Effect.gen(function* () {
      const server = yield* offended(4, "out_of_memory")
      const client = yield* clientOf([server.address], { keepalive: { time: "20 millis" } })
      yield* calling(client, server, 5)
      while (pings(server, 5) < 4) yield* Effect.sleep("20 millis")
      const seen = server.seen.filter((frame) => frame.connection === 5)
      assert.isFalse(seen.some((frame) => frame.type === types.reset))
    })
  )
})
