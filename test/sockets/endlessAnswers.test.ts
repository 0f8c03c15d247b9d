/** Servers that go on where one message belongs. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { CallOptions } from "trunkline"
import { adapters } from "../support/adapters.ts"
import * as Frames from "../support/frameServer.ts"
import { clientOf } from "../support/socketClient.ts"

const { answer, data, empty, headers, types } = Frames

describe.each(adapters)("$name", (adapter) => {
  it.live.each(["unary", "client streaming"] as const)(
    "a %s call fails at the second message, though no end comes, and is reset",
    (kind) =>
      Effect.gen(function* () {
        const server = yield* Frames.serve({
          onRequest: (connection, stream, count) => {
            if (count > 1) return answer(connection, stream)
            connection.send(headers(stream), data(stream, empty), data(stream, empty), data(stream, empty))
          }
        })
        const client = yield* clientOf(adapter, [server.address])
        const call = kind === "unary" ? client.echo({}) : client.collect(Stream.make({ text: "a" }))
        // Without a deadline: the second message is what ends it.
        const error = yield* Effect.flip(call)
        assert.deepStrictEqual([error.code, error.origin], ["INTERNAL", "remote"])
        assert.include(error.message, "expected one response message")
        yield* server.until(({ type }) => type === types.reset)
        yield* client.echo({}).pipe(CallOptions.waitForReady)
        assert.strictEqual(server.connections(), 1)
      })
  )
})
