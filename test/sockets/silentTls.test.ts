/** A TLS server does not wait for ever for clients that never speak, before the handshake or after it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as net from "node:net"
import * as tls from "node:tls"
import { adapters } from "../support/adapters.ts"
import { selfSigned } from "../support/certificate.ts"
import { echoHandlers } from "../support/echo.ts"
import { clientOf } from "../support/socketClient.ts"

/** Completes when the other end has hung up on a socket that says nothing of its own. */
const hungUp = (open: () => net.Socket) =>
  Effect.callback<void>((resume) => {
    const socket = open()
    socket.on("error", () => {}).on("close", () => resume(Effect.void))
    socket.resume()
    return Effect.sync(() => socket.destroy())
  })

describe.each(adapters)("$name", (adapter) => {
  it.live("silent connections are gone after their time, with or without a handshake, and others are served", () =>
    Effect.gen(function* () {
      const { cert, key } = yield* selfSigned("localhost")
      const { address } = yield* adapter.serve({
        handlers: [echoHandlers("a")],
        tls: { cert, key },
        handshakeTimeout: "300 millis",
        drainTimeout: 0
      })
      const port = Number(address.split(":").at(-1))
      const client = yield* clientOf(adapter, [`localhost:${port}`], { connector: { tls: { ca: cert } } })
      yield* client.echo({})
      yield* Effect.all(
        [
          hungUp(() => net.connect(port, "127.0.0.1")),
          hungUp(() => tls.connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] }))
        ],
        { concurrency: "unbounded" }
      )
      assert.strictEqual((yield* client.echo({ text: "still" })).text, "still")
    })
  )
})
