/** Peers that speak HTTP/2 by hand, to say what no gRPC peer would. */
import { Effect, type Scope } from "effect"
import * as http2 from "node:http2"
import type { AddressInfo, Socket } from "node:net"

/** Answers a stream. */
export type Answer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void

export interface RawServer {
  readonly address: string
  readonly sessions: ReadonlySet<http2.ServerHttp2Session>
  /** Connections it has seen. */
  readonly seen: () => number
  /** Resets its connections, as a kernel does for a process that is killed. */
  readonly reset: () => void
}

export const serve = (answer: Answer, settings: http2.Settings = {}): Effect.Effect<RawServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<RawServer & { readonly server: http2.Http2Server }>((resume) => {
      const sessions = new Set<http2.ServerHttp2Session>()
      const sockets = new Set<Socket>()
      let seen = 0
      const server = http2.createServer({ settings })
      server.on("connection", (socket: Socket) => sockets.add(socket))
      server.on("session", (session) => {
        seen++
        sessions.add(session.on("error", () => {}).on("close", () => sessions.delete(session)))
      })
      server.on("stream", (stream, headers) =>
        answer(
          stream.on("error", () => {}),
          headers
        )
      )
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
            sessions,
            seen: () => seen,
            reset: () => {
              for (const socket of sockets) socket.resetAndDestroy()
            },
            server
          })
        )
      )
    }),
    ({ server, sessions }) =>
      Effect.callback<void>((resume) => {
        for (const session of sessions) session.destroy()
        server.close(() => resume(Effect.void))
      })
  )

/** What a server said to one request. */
export interface Said {
  readonly headers: http2.IncomingHttpHeaders
  readonly trailers: http2.IncomingHttpHeaders
  readonly data: Buffer
  readonly rst: number
}

/** Sends one request: fields over those every gRPC call has, and data in pieces. `undefined` at the end leaves it open. */
export const request = (
  address: string,
  fields: http2.OutgoingHttpHeaders,
  data: ReadonlyArray<Buffer | undefined>
): Effect.Effect<Said> =>
  Effect.callback<Said>((resume) => {
    const session = http2.connect(`http://${address}`)
    const stream = session.request(
      { ":method": "POST", "content-type": "application/grpc", te: "trailers", ...fields },
      { endStream: false }
    )
    let headers: http2.IncomingHttpHeaders = {}
    let trailers: http2.IncomingHttpHeaders = {}
    const chunks: Array<Buffer> = []
    stream.on("response", (found) => (headers = found))
    stream.on("trailers", (found) => (trailers = found))
    stream.on("data", (chunk: Buffer) => chunks.push(chunk))
    stream.on("error", () => {})
    stream.on("close", () => {
      session.destroy()
      resume(Effect.succeed({ headers, trailers, data: Buffer.concat(chunks), rst: stream.rstCode ?? -1 }))
    })
    for (const piece of data) if (piece !== undefined) stream.write(piece)
    if (data.length === 0 || data.at(-1) !== undefined) stream.end()
  })
