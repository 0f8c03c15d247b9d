/** Calls begun right after a connection was lost: nothing of them was sent, so they wait for the next connection. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { mkdtempSync } from "node:fs"
import type * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as tls from "node:tls"
import { CallOptions, type Client, type RpcError } from "trunkline"
import type { EchoService } from "../gen/echo_pb.ts"
import * as Frames from "../support/frameServer.ts"
import { adapters } from "../support/adapters.ts"
import { selfSigned } from "../support/certificate.ts"
import { clientOf } from "../support/socketClient.ts"

type Echo = Client.Client<typeof EchoService>

const kinds: ReadonlyArray<readonly [string, (client: Echo) => Effect.Effect<unknown, RpcError.RpcError>]> = [
  ["unary", (client) => client.echo({})],
  ["stream", (client) => Stream.runDrain(client.expand({}))]
]

const { answer, goaway } = Frames

/** Only TCP has resets. */
const cut = (socket: net.Socket): void => {
  if (socket instanceof tls.TLSSocket || socket.remoteAddress === undefined) socket.destroy()
  else socket.resetAndDestroy()
}

/** How a connection ends under the call it carries. */
const ends: ReadonlyArray<readonly [string, (connection: Frames.Connection) => void]> = [
  ["a reset", ({ socket }) => cut(socket)],
  ["an end", ({ socket }) => void socket.end()],
  [
    "a goodbye that blames, and an end",
    ({ send, socket }) => {
      send(goaway(2 ** 31 - 1, 2))
      socket.end()
    }
  ],
  ["frames that are none", ({ send }) => send(Frames.reset(99, 8))]
]

const places = ["TCP", "TLS", "a Unix socket"] as const

describe.each(adapters)("$name", (adapter) => {
  describe.each(places)("over %s", (place) => {
    const serving = (onRequest: Frames.Options["onRequest"]) =>
      Effect.gen(function* () {
        const identity = place === "TLS" ? yield* selfSigned("localhost") : undefined
        const path = place === "a Unix socket" ? join(mkdtempSync(join(tmpdir(), "trunkline-")), "s") : undefined
        const server = yield* Frames.serve({ tls: identity, path, ...(onRequest && { onRequest }) })
        const connector = identity === undefined ? {} : { tls: { ca: identity.cert } }
        return { client: yield* clientOf(adapter, [server.address], { connector }) }
      })

    it.live.each(kinds.flatMap(([kind, callOf]) => ends.map(([name, end]) => ({ callOf, end, kind, name }))))(
      "$name, and a $kind call at once: it is answered, begun once",
      ({ callOf, end }) =>
        Effect.gen(function* () {
          let answered = 0
          const { client } = yield* serving((connection, stream, count) => {
            if (count % 2 === 1) return end(connection)
            answered++
            answer(connection, stream)
          })
          for (const options of [
            CallOptions.waitForReady,
            CallOptions.withDeadline("10 seconds"),
            CallOptions.nonIdempotent
          ]) {
            const lost = yield* Effect.flip(client.echo({}))
            assert.strictEqual(lost.code, "UNAVAILABLE")
            yield* callOf(client).pipe(options)
          }
          assert.strictEqual(answered, 3)
        })
    )

    it.live("many at once: each is lost once or answered, and none is told that there is no connection", () =>
      Effect.gen(function* () {
        const { client } = yield* serving((connection, stream, count) =>
          count % 10 === 0 ? cut(connection.socket) : answer(connection, stream)
        )
        const caller = Effect.gen(function* () {
          let text = ""
          for (let count = 0; count < 40; count++) {
            const result = yield* Effect.result(client.echo({}).pipe(CallOptions.nonIdempotent))
            if (result._tag === "Failure") text += result.failure.message
          }
          return text
        })
        const callers = yield* Effect.forEach([1, 2, 3, 4], () => Effect.forkChild(caller))
        for (const caller of callers) assert.notMatch(yield* Fiber.join(caller), /no connection/i)
      })
    )
  })
})
