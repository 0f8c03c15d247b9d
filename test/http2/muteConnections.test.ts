/**
 * Connections that are of no use any more because of what the server sent. Node 20 stops on them for ever and tells nobody,
 * so they are found out; newer versions say that the connection is lost. Either way they are replaced.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { CallOptions } from "trunkline"
import { clientOf } from "../support/http2Client.ts"
import * as Frames from "../support/frameServer.ts"

const { answer, block, data, empty, frame, headers, settings, u32 } = Frames

type Breach = (connection: Frames.Connection, stream: number) => void

const breaches: ReadonlyArray<readonly [string, Breach]> = [
  ["a frame longer than allowed", ({ send }, id) => send(headers(id), data(id, Buffer.alloc(20_000)))],
  ["a header block that is none", ({ send }, id) => send(frame(1, 4, id, Buffer.alloc(6, 0xff)))],
  ["data before headers", ({ send }, id) => send(data(id, empty))],
  ["data that belongs to no stream", ({ send }) => send(data(0, empty))],
  ["settings of no length", ({ send }) => send(frame(4, 0, 0, Buffer.alloc(5)))]
]

/** Does this to the first call, and answers the rest. */
const serving = (breach: Breach) =>
  Frames.serve({
    onRequest: (connection, stream, count) => (count === 1 ? breach(connection, stream) : answer(connection, stream))
  })

const soon = CallOptions.withDeadline("200 millis")
const inTime = CallOptions.withDeadline("20 seconds")

describe("a server that breaks HTTP/2", () => {
  it.live.each(breaches)(
    "%s: the call ends at its deadline at the latest, the next is served elsewhere",
    ([, breach]) =>
      Effect.gen(function* () {
        const server = yield* serving(breach)
        const client = yield* clientOf([server.address])
        const error = yield* Effect.flip(client.echo({}).pipe(soon))
        assert.match(
          error.message,
          /^\[(DEADLINE_EXCEEDED\] deadline exceeded after \d+ ms: |UNAVAILABLE\] connection lost: .*)\/trunkline.test.EchoService\/Echo on 127.0.0.1:\d+, /
        )
        // It is begun on the connection that is of no use, and never leaves.
        yield* client.echo({}).pipe(inTime, CallOptions.nonIdempotent)
        assert.strictEqual(server.connections(), 2)
      })
  )

  it.live("a stream is no different, and takes its fellows with it", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: (connection, stream, count) => {
          if (count === 3) connection.send(data(0, empty))
          if (count > 3) answer(connection, stream)
        }
      })
      const client = yield* clientOf([server.address])
      // None of them has a deadline.
      const calls = yield* Effect.forkChild(
        Effect.all(
          [client.echo({}), Stream.runDrain(client.expand({})), Stream.runDrain(client.expand({}))].map(Effect.flip),
          { concurrency: "unbounded" }
        )
      )
      for (const error of yield* Effect.timeout(Fiber.join(calls), "30 seconds")) {
        assert.deepStrictEqual([error.code, error.progress, error.origin], ["UNAVAILABLE", "processed", "local"])
        assert.match(error.message, /connection lost: (nothing can be sent on it|Protocol error)/)
      }
      yield* client.echo({}).pipe(inTime)
    })
  )
})

describe("a quiet server", () => {
  it.live("that has not broken anything is waited for, however long, and asked once", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onRequest: (connection, stream) => void setTimeout(() => answer(connection, stream), 12_000)
      })
      const client = yield* clientOf([server.address])
      yield* client.echo({})
      const asked = server.seen.filter(({ flags, type }) => type === Frames.types.settings && (flags & 1) === 0)
      assert.deepStrictEqual([asked.length, server.connections()], [2, 1])
      assert.isFalse(server.seen.some(({ type }) => type === Frames.types.ping))
    })
  )

  it.live("that takes one call at a time: what waits for room is no fault", () =>
    Effect.gen(function* () {
      const server = yield* Frames.serve({
        onConnection: ({ send }) => send(settings([3, 1])),
        onRequest: (connection, stream, count) => {
          if (count === 1) setTimeout(() => answer(connection, stream), 3000)
          else answer(connection, stream)
        }
      })
      const client = yield* clientOf([server.address])
      yield* Effect.all([client.echo({}), client.echo({}), client.echo({})], { concurrency: "unbounded" })
      assert.strictEqual(server.connections(), 1)
    })
  )
})

describe("a server that pushes", () => {
  const promise = block([
    [":method", "GET"],
    [":scheme", "http"],
    [":authority", "a"],
    [":path", "/"]
  ])
  const pushed = (stream: number) => frame(5, 4, stream, Buffer.concat([u32(2), promise]))

  it.live("though it was told not to: the connection is lost, and a new one serves", () =>
    Effect.gen(function* () {
      const server = yield* serving(({ send }, id) => send(pushed(id), headers(2), data(2, empty)))
      const client = yield* clientOf([server.address])
      const error = yield* Effect.flip(client.echo({}).pipe(CallOptions.withDeadline("5 seconds")))
      assert.strictEqual(error.code, "UNAVAILABLE")
      yield* client.echo({}).pipe(inTime)
    })
  )
})
