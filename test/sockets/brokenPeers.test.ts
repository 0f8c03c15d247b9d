/** Servers that break HTTP/2: the call ends with an error of its kind, and the calls after it are served. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { CallOptions, type Client, RpcError } from "trunkline"
import type { EchoService } from "../gen/echo_pb.ts"
import * as Frames from "../support/frameServer.ts"
import { adapters } from "../support/adapters.ts"
import { clientOf } from "../support/socketClient.ts"

type Echo = Client.Client<typeof EchoService>

const kinds: ReadonlyArray<readonly [string, (client: Echo) => Effect.Effect<unknown, RpcError.RpcError>]> = [
  ["unary", (client) => client.echo({})],
  ["stream", (client) => Stream.runDrain(client.expand({}))]
]

const { answer, block, data, empty, frame, grpc, headers, message, reset, settings, trailers, u32 } = Frames

type Breach = (connection: Frames.Connection, stream: number) => void

/** What a server says to the first call; the rest is answered. */
const breaches: ReadonlyArray<readonly [string, Breach]> = [
  ["settings with a window that cannot be", ({ send }) => send(settings([4, 2 ** 32 - 1]))],
  ["settings with a frame size that cannot be", ({ send }) => send(settings([5, 1]))],
  ["a window of the connection that overflows", ({ send }) => send(frame(8, 0, 0, u32(2 ** 31 - 1)))],
  ["a window of the stream that overflows", ({ send }, id) => send(frame(8, 0, id, u32(2 ** 31 - 1)))],
  ["a reset of a stream nobody opened", ({ send }) => send(reset(99, 8))],
  [
    "a header block without end",
    ({ send }, id) => {
      send(frame(1, 0, id, block(grpc)))
      for (let count = 0; count < 30; count++) send(frame(9, 0, id, block([["a", "b".repeat(8000)]])))
    }
  ],
  [
    "trailers that are not the end",
    ({ send }, id) => send(headers(id), data(id, empty), headers(id, [["grpc-status", "0"]]))
  ],
  ["a field that is none", ({ send }, id) => send(headers(id, [...grpc, ["Up per", "1"]]))],
  [
    "a stream that it pushes",
    ({ send }, id) =>
      send(
        frame(
          5,
          4,
          id,
          Buffer.concat([
            u32(2),
            block([
              [":method", "GET"],
              [":path", "/"],
              [":scheme", "http"],
              [":authority", "x"]
            ])
          ])
        )
      )
  ],
  [
    "the end of the connection in a frame",
    ({ socket }, id) =>
      void socket.end(Buffer.concat([headers(id), data(id, message(Buffer.alloc(100))).subarray(0, 50)]))
  ]
]

/** What is odd, and no fault. */
const oddities: ReadonlyArray<readonly [string, Breach]> = [
  [
    "informational headers",
    (connection, id) => {
      connection.send(
        headers(id, [
          [":status", "103"],
          ["link", "a"]
        ])
      )
      answer(connection, id)
    }
  ],
  [
    "a frame of an unknown type",
    (connection, id) => {
      connection.send(frame(77, 255, id, empty))
      answer(connection, id)
    }
  ],
  [
    "settings twice, and large ones",
    (connection, id) => {
      connection.send(
        settings([3, 2 ** 32 - 1], [4, 2 ** 31 - 1], [5, 2 ** 24 - 1], [1, 2 ** 32 - 1]),
        settings([3, 1000])
      )
      answer(connection, id)
    }
  ],
  [
    "settings that nobody knows",
    (connection, id) => {
      connection.send(settings([0xfff0, 7]))
      answer(connection, id)
    }
  ],
  [
    "a header block after the end, and data",
    (connection, id) => {
      answer(connection, id)
      connection.send(headers(id), data(id, empty))
    }
  ],
  [
    "resets of a call that is over, many",
    (connection, id) => {
      answer(connection, id)
      for (let count = 0; count < 2000; count++) connection.send(reset(id, 8))
    }
  ],
  [
    "no settings until the call is answered in one piece",
    (connection, id) => {
      connection.send(
        Buffer.concat([headers(id), data(id, empty.subarray(0, 3))]),
        data(id, empty.subarray(3)),
        trailers(id)
      )
    }
  ]
]

describe.each(adapters)("$name", (adapter) => {
  describe.each(kinds)("%s", (_, callOf) => {
    it.live.each(breaches)("%s: the call fails, those after it are served", ([, breach]) =>
      Effect.gen(function* () {
        const server = yield* Frames.serve({
          onRequest: (connection, stream, count) =>
            count === 1 ? breach(connection, stream) : answer(connection, stream)
        })
        const client = yield* clientOf(adapter, [server.address])
        const first = yield* Effect.flip(callOf(client).pipe(CallOptions.withDeadline("5 seconds")))
        assert(RpcError.isRpcError(first))
        assert.include(["INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNKNOWN"], first.code)
        assert.strictEqual(first.peer, server.address)
        yield* callOf(client).pipe(CallOptions.waitForReady, CallOptions.withDeadline("10 seconds"))
        yield* callOf(client).pipe(CallOptions.withDeadline("10 seconds"))
      })
    )

    it.live.each(oddities)("%s: the call is served", ([, oddity]) =>
      Effect.gen(function* () {
        const server = yield* Frames.serve({ onRequest: oddity })
        const client = yield* clientOf(adapter, [server.address])
        yield* callOf(client).pipe(CallOptions.withDeadline("10 seconds"))
        yield* callOf(client).pipe(CallOptions.withDeadline("10 seconds"))
      })
    )
  })
})
