/** Why connections are gone, as they go: a server that says goodbye, one that hangs up, and this side. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import * as net from "node:net"
import { Http2Connector } from "trunkline/http2"
import { Disconnect } from "trunkline/extend"
import { endpoint } from "../support/endpoints.ts"

describe("fromSocketCode", () => {
  it.each([
    ["ECONNRESET", "connection reset"],
    ["EPIPE", "connection reset"],
    ["ETIMEDOUT", "connection timed out"],
    ["ECONNABORTED", "connection aborted"],
    ["EHOSTUNREACH", "socket error"],
    ["ERR_HTTP2_SESSION_ERROR", "unknown"],
    [undefined, "unknown"]
  ] as const)("%s is %s", (code, error) => assert.strictEqual(Disconnect.fromSocketCode(code), error))
})

describe("fromGoaway", () => {
  it.each([
    [0, "GOAWAY NO_ERROR"],
    [11, "GOAWAY ENHANCE_YOUR_CALM"],
    [13, "GOAWAY HTTP_1_1_REQUIRED"],
    [14, "GOAWAY UNKNOWN"]
  ] as const)("%s is %s", (code, error) => assert.strictEqual(Disconnect.fromGoaway(code), error))
})

/** The least that a client takes for an HTTP/2 server: empty settings. */
const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
/** A goodbye after no stream, with a code. */
const goaway = (code: number) => Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, code])

/** A server that says just that, and the connections it has. */
const bare = Effect.acquireRelease(
  Effect.callback<{
    readonly address: string
    readonly sockets: ReadonlyArray<net.Socket>
    readonly server: net.Server
  }>((resume) => {
    const sockets: Array<net.Socket> = []
    const server = net.createServer((socket) => {
      sockets.push(socket.on("error", () => {}))
      socket.write(settings)
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as net.AddressInfo
      resume(Effect.succeed({ address: `127.0.0.1:${port}`, sockets, server }))
    })
  }),
  ({ server, sockets }) =>
    Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
)

describe("a connection on HTTP/2", () => {
  it.live.each<[how: string, end: (socket: net.Socket) => void, error: Disconnect.DisconnectError, cause: RegExp]>([
    ["to a server that goes away", (socket) => socket.write(goaway(0)), "GOAWAY NO_ERROR", /./],
    ["to a server that had enough", (socket) => socket.write(goaway(11)), "GOAWAY ENHANCE_YOUR_CALM", /code 11/],
    ["that is reset", (socket) => socket.resetAndDestroy(), "connection reset", /ECONNRESET/],
    ["that just ends", (socket) => socket.end(), "unknown", /./]
  ])("%s", ([, end, error, cause]) =>
    Effect.gen(function* () {
      const { address, sockets } = yield* bare
      const connector = yield* Http2Connector.make()
      const connection = yield* connector.connect(endpoint(address))
      const until = (wanted: (tag: string) => boolean) =>
        Stream.runHead(Stream.filter(connection.connectivity.changes, ({ _tag }) => wanted(_tag)))
      yield* connection.connect
      yield* until((tag) => tag === "Ready")
      assert.isUndefined(connection.disconnectReason?.())
      // A reset that meets the client's own greeting is not told from an end.
      yield* Effect.sleep("50 millis")
      end(sockets[0]!)
      yield* until((tag) => tag !== "Ready")
      assert.strictEqual(connection.disconnectReason?.()?.error, error)
      assert.match(connection.disconnectReason?.()?.cause ?? "", cause)
    }).pipe(Effect.scoped)
  )
})
