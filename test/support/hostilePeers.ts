/** Servers that disappoint their clients before the first call, and proxies. */
import { Effect, type Scope } from "effect"
import * as http from "node:http"
import * as net from "node:net"
import * as tls from "node:tls"

const listen = (server: net.Server): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<ReadonlySet<net.Socket>>((resume) => {
      const sockets = new Set<net.Socket>()
      server.on("connection", (socket: net.Socket) => sockets.add(socket.on("error", () => {})))
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(sockets)))
    }),
    (sockets) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map(() => `127.0.0.1:${(server.address() as net.AddressInfo).port}`))

/** Hangs up as soon as it has accepted. */
export const hangingUp = Effect.suspend(() => listen(net.createServer((socket) => socket.destroy())))

/** Speaks HTTP/1 and nothing else. */
export const http1 = Effect.suspend(() => listen(http.createServer((_, response) => response.end("hello"))))

/** Speaks TLS, and of what goes through it only HTTP/1. */
export const https1 = (pair: { readonly key: string; readonly cert: string }) =>
  Effect.suspend(() => listen(tls.createServer({ ...pair, ALPNProtocols: ["http/1.1"] })))

/** A port nobody listens on. */
export const closedPort = Effect.scoped(Effect.suspend(() => listen(net.createServer())))

/** A proxy that connects, or answers with a status; it says what it was asked. */
export const proxy = (status?: string) =>
  Effect.suspend(() => {
    const asked: Array<{ readonly target: string; readonly authorization: string | undefined }> = []
    const server = http.createServer()
    server.on("connect", ({ headers, url = "" }: http.IncomingMessage, socket: net.Socket) => {
      asked.push({ target: url, authorization: headers["proxy-authorization"] })
      if (status !== undefined) return void socket.end(`HTTP/1.1 ${status}\r\n\r\n`)
      const onward = net.connect(Number(url.split(":").at(-1)), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 Connection established\r\n\r\n")
        socket.pipe(onward).pipe(socket)
      })
      onward.on("error", () => socket.destroy())
      socket.on("close", () => onward.destroy())
    })
    return Effect.map(listen(server), (address) => ({ address, asked }))
  })
