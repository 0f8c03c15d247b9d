/** Connections that are given up while they are made: nothing may be thrown where nobody can catch it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { mkdtempSync } from "node:fs"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { CallOptions } from "trunkline"
import { Connector } from "trunkline/extend"
import { endpoint } from "../support/endpoints.ts"
import * as Frames from "../support/frameServer.ts"
import { adapters } from "../support/adapters.ts"
import { selfSigned } from "../support/certificate.ts"
import { clientOf } from "../support/socketClient.ts"

/** What is thrown in callbacks while an effect runs, and for a moment after it. */
const uncaught = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const thrown: Array<unknown> = []
    const listener = (error: unknown) => void thrown.push(error)
    process.on("uncaughtExceptionMonitor", listener)
    yield* Effect.ensuring(
      Effect.andThen(self, Effect.sleep("100 millis")),
      Effect.sync(() => process.removeListener("uncaughtExceptionMonitor", listener))
    )
    return thrown
  })

const turns = (count: number) =>
  Effect.forEach(
    Array.from({ length: count }),
    () => Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void))),
    { discard: true }
  )

describe.each(adapters)("$name", (adapter) => {
  const connectorOf = (tls?: { readonly ca: Uint8Array }) =>
    Effect.map(Layer.build(adapter.connector(tls === undefined ? {} : { tls })), (context) =>
      Context.get(context, Connector.Connector)
    )

  /** Connects, waits, and lets the connection go, many times. */
  const givenUp = (address: string, tls?: { readonly ca: Uint8Array }) =>
    Effect.gen(function* () {
      const connector = yield* connectorOf(tls)
      for (let count = 0; count < 40; count++) {
        const scope = yield* Scope.make()
        const connection = yield* Scope.provide(connector.connect(endpoint(address)), scope)
        yield* connection.connect
        yield* turns(count % 8)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(connection.connectivity.current()._tag, "Shutdown")
      }
    })

  it.live("some turns after the first: the socket, then TLS, then HTTP/2 is not there yet", () =>
    Effect.gen(function* () {
      const identity = yield* selfSigned("localhost")
      const path = join(mkdtempSync(join(tmpdir(), "trunkline-")), "socket")
      const plain = yield* Frames.serve()
      const secure = yield* Frames.serve({ tls: identity })
      const unix = yield* Frames.serve({ path })
      const thrown = yield* uncaught(
        Effect.all([givenUp(plain.address), givenUp(secure.address, { ca: identity.cert }), givenUp(unix.address)], {
          concurrency: "unbounded"
        })
      )
      assert.deepStrictEqual(thrown, [])
    })
  )

  it.live("when the server has accepted and said nothing, in plain text and in TLS", () =>
    Effect.gen(function* () {
      const { cert } = yield* selfSigned("localhost")
      const connected = yield* Deferred.make<void>()
      const silent = yield* Frames.serve({
        onConnection: () => Deferred.doneUnsafe(connected, Effect.void)
      })
      const thrown = yield* uncaught(
        Effect.forEach([undefined, { ca: cert }], (tls) =>
          Effect.gen(function* () {
            const connector = yield* connectorOf(tls)
            const scope = yield* Scope.make()
            const connection = yield* Scope.provide(connector.connect(endpoint(silent.address)), scope)
            yield* connection.connect
            yield* Deferred.await(connected)
            yield* Scope.close(scope, Exit.void)
            assert.strictEqual(connection.connectivity.current()._tag, "Shutdown")
          })
        )
      )
      assert.deepStrictEqual(thrown, [])
    })
  )

  it.live("by a server that resets what it accepts: the peer says why, and goes on", () =>
    Effect.gen(function* () {
      let accepted = 0
      const server = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const server = net.createServer((socket) => {
            accepted++
            socket.on("error", () => {}).resetAndDestroy()
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const address = `127.0.0.1:${(server.address() as net.AddressInfo).port}`
      const thrown = yield* uncaught(
        Effect.gen(function* () {
          const client = yield* clientOf(adapter, [address], {
            pool: { eager: true, reconnect: Schedule.spaced("2 millis") }
          })
          while (accepted < 50) yield* Effect.sleep("5 millis")
          const error = yield* Effect.flip(client.echo({}).pipe(CallOptions.withDeadline("300 millis")))
          assert.include(error.message, address)
        }).pipe(Effect.scoped)
      )
      assert.deepStrictEqual(thrown, [])
    })
  )
})
