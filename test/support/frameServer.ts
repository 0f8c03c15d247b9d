/** Servers whose every frame is made by hand, for what Node's HTTP/2 would not send. */
import { Deferred, Effect, type Scope } from "effect"
import * as net from "node:net"
import * as tls from "node:tls"

/** A frame as it came, and on which of the server's connections. */
export interface Frame {
  readonly connection: number
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const types = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8 } as const

const endStream = 1
const endHeaders = 4

export const frame = (type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export const u32 = (...values: ReadonlyArray<number>): Buffer => {
  const out = Buffer.alloc(4 * values.length)
  values.forEach((value, index) => out.writeUInt32BE(value, 4 * index))
  return out
}

const integer = (value: number): Buffer => {
  if (value < 127) return Buffer.of(value)
  const bytes = [127]
  let left = value - 127
  for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128)
  return Buffer.from([...bytes, left])
}

type Fields = ReadonlyArray<readonly [string, string]>

/** A header block of literals that are not indexed. */
export const block = (fields: Fields): Buffer =>
  Buffer.concat(
    fields.map(([name, value]) =>
      Buffer.concat([
        Buffer.of(0),
        integer(name.length),
        Buffer.from(name, "latin1"),
        integer(value.length),
        Buffer.from(value, "latin1")
      ])
    )
  )

export const grpc: Fields = [
  [":status", "200"],
  ["content-type", "application/grpc"]
]

export const headers = (stream: number, fields: Fields = grpc): Buffer => frame(1, endHeaders, stream, block(fields))

export const trailers = (stream: number, fields: Fields = [["grpc-status", "0"]]): Buffer =>
  frame(1, endHeaders | endStream, stream, block(fields))

export const data = (stream: number, payload: Uint8Array): Buffer => frame(0, 0, stream, payload)

/** A gRPC message. */
export const message = (bytes: Uint8Array): Buffer => Buffer.concat([Buffer.of(0), u32(bytes.length), bytes])

/** An empty message, which every message type decodes. */
export const empty = message(Buffer.alloc(0))

export const settings = (...pairs: ReadonlyArray<readonly [number, number]>): Buffer =>
  frame(
    4,
    0,
    0,
    Buffer.concat(
      pairs.map(([id, value]) => {
        const pair = Buffer.alloc(6)
        pair.writeUInt16BE(id)
        pair.writeUInt32BE(value, 2)
        return pair
      })
    )
  )

export const goaway = (lastStream: number, code: number, debug = ""): Buffer =>
  frame(7, 0, 0, Buffer.concat([u32(lastStream, code), Buffer.from(debug)]))

export const reset = (stream: number, code: number): Buffer => frame(3, 0, stream, u32(code))

/** One connection, to answer on. */
export interface Connection {
  readonly number: number
  readonly socket: net.Socket
  readonly send: (...frames: ReadonlyArray<Buffer>) => void
}

export interface FrameServer {
  readonly address: string
  readonly seen: ReadonlyArray<Frame>
  readonly connections: () => number
  /** The first frame that passes, when it has come. */
  readonly until: (passes: (frame: Frame) => boolean) => Effect.Effect<Frame>
}

export interface Options {
  /** Told of each frame; pings and settings are answered already. */
  readonly onFrame?: (connection: Connection, frame: Frame) => void
  /** Told of each request when its last frame has come, with how many there have been. */
  readonly onRequest?: (connection: Connection, stream: number, count: number) => void
  /** Instead of saying SETTINGS at once. */
  readonly onConnection?: (connection: Connection) => void
  readonly tls?: { readonly key: Uint8Array; readonly cert: Uint8Array } | undefined
  /** A Unix socket to listen on. */
  readonly path?: string | undefined
  readonly answersPings?: boolean | undefined
}

/** Answers a request with one message and OK. */
export const answer = (connection: Connection, stream: number): void =>
  connection.send(headers(stream), data(stream, empty), trailers(stream))

const preface = 24

/** Takes the bytes of a connection apart. */
const reader = (onFrame: (frame: Omit<Frame, "connection">) => void) => {
  let buffer: Buffer = Buffer.alloc(0)
  let started = false
  return (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk])
    if (!started && buffer.length < preface) return
    if (!started) buffer = buffer.subarray(preface)
    started = true
    while (buffer.length >= 9) {
      const length = buffer.readUIntBE(0, 3)
      if (buffer.length < 9 + length) return
      const [type, flags] = [buffer[3]!, buffer[4]!]
      const frame = { type, flags, stream: buffer.readUInt32BE(5), payload: buffer.subarray(9, 9 + length) }
      buffer = buffer.subarray(9 + length)
      onFrame(frame)
    }
  }
}

export const serve = (options: Options = {}): Effect.Effect<FrameServer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<FrameServer & { readonly close: () => void }>((resume) => {
      const seen: Array<Frame> = []
      const sockets = new Set<net.Socket>()
      const waiting = new Set<(frame: Frame) => void>()
      let connections = 0
      let requests = 0
      const accept = (socket: net.Socket) => {
        sockets.add(socket.on("error", () => {}))
        const number = ++connections
        const connection: Connection = { number, socket, send: (...frames) => void socket.write(Buffer.concat(frames)) }
        if (options.onConnection === undefined) connection.send(settings())
        else options.onConnection(connection)
        const take = reader((read) => {
          const frame = { connection: number, ...read }
          seen.push(frame)
          const { flags, payload, stream, type } = frame
          if (type === types.settings && (flags & 1) === 0) connection.send(settingsAck)
          if (type === types.ping && (flags & 1) === 0 && options.answersPings !== false) {
            connection.send(frameOf(types.ping, 1, payload))
          }
          options.onFrame?.(connection, frame)
          if ((type === types.data || type === types.headers) && (flags & endStream) !== 0) {
            options.onRequest?.(connection, stream, ++requests)
          }
          for (const tell of waiting) tell(frame)
        })
        socket.on("data", take)
      }
      const server = options.tls === undefined ? net.createServer() : tls.createServer(secure(options.tls))
      server.on(options.tls === undefined ? "connection" : "secureConnection", accept)
      const until = (passes: (frame: Frame) => boolean) =>
        Effect.gen(function* () {
          const found = seen.find(passes)
          if (found !== undefined) return found
          const arrived = yield* Deferred.make<Frame>()
          const tell = (frame: Frame) => {
            if (passes(frame)) Deferred.doneUnsafe(arrived, Effect.succeed(frame))
          }
          waiting.add(tell)
          return yield* Effect.ensuring(
            Deferred.await(arrived),
            Effect.sync(() => waiting.delete(tell))
          )
        })
      server.listen(options.path === undefined ? { port: 0, host: "127.0.0.1" } : { path: options.path }, () => {
        const bound = server.address()
        const address =
          typeof bound === "string" || bound === null
            ? `unix:${options.path}`
            : `${options.tls === undefined ? "127.0.0.1" : "localhost"}:${bound.port}`
        const close = () => {
          for (const socket of sockets) socket.destroy()
          server.close()
        }
        resume(Effect.succeed({ address, seen, connections: () => connections, until, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const settingsAck = frame(4, 1, 0)

const frameOf = (type: number, flags: number, payload: Uint8Array): Buffer => frame(type, flags, 0, payload)

const secure = ({ cert, key }: { readonly key: Uint8Array; readonly cert: Uint8Array }): tls.TlsOptions => ({
  cert: Buffer.from(cert),
  key: Buffer.from(key),
  ALPNProtocols: ["h2"]
})
