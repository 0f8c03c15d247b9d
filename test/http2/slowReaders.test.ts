/** An answer that has come whole is read whole, though the connection ends before its reader is done. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { clientOf } from "../support/http2Client.ts"
import * as Frames from "../support/frameServer.ts"

const { data, empty, headers, trailers } = Frames

describe("a stream whose reader is slow", () => {
  it.live.each(["ends", "is reset"] as const)("gets every message of an answer whose connection %s", (end) =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: ({ send, socket }, stream) => {
          send(headers(stream), ...Array.from({ length: 200 }, () => data(stream, empty)), trailers(stream))
          setTimeout(() => (end === "ends" ? socket.end() : socket.resetAndDestroy()), 20)
        }
      })
      const client = yield* clientOf([server.address])
      const read = yield* client.expand({}).pipe(
        Stream.tap(() => Effect.sleep("1 millis")),
        Stream.runCount
      )
      assert.strictEqual(read, 200)
    })
  )
})
