/** A connection that is closing is still watched: Node sends no more pings on it, and its calls may go on for long. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { clientOf } from "../support/http2Client.ts"
import * as Frames from "../support/frameServer.ts"

describe("keepalive after a goodbye", () => {
  it.live("gives a connection up whose other end has fallen silent, with its calls", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: ({ send, socket }) => {
          send(Frames.goaway(2 ** 31 - 1, 0))
          socket.pause()
        }
      })
      const client = yield* clientOf([server.address], { keepalive: { time: "50 millis", timeout: "50 millis" } })
      for (const call of [client.echo({}), Stream.runDrain(client.expand({}))]) {
        const error = yield* Effect.timeout(Effect.flip(call), "10 seconds")
        assert.deepStrictEqual([error.code, error.progress], ["UNAVAILABLE", "processed"])
        assert.include(error.message, "no answer to a ping within 50 ms")
      }
    })
  )

  it.live("leaves one alone that answers", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: (connection, stream) => {
          connection.send(Frames.goaway(2 ** 31 - 1, 0))
          setTimeout(() => Frames.answer(connection, stream), 400)
        }
      })
      const client = yield* clientOf([server.address], { keepalive: { time: "50 millis", timeout: "5 seconds" } })
      yield* client.echo({})
    })
  )
})
