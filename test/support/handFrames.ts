/** A client that writes HTTP/2 frames by hand, to say exactly what it means. */
import { Effect, type Scope } from "effect"
import { connect, type Socket } from "node:net"

export const types = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, continuation: 9 } as const
export const flags = { endStream: 1, ack: 1, endHeaders: 4 } as const

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export const frame = (type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer => {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A string of HPACK: its length, and bytes that are not compressed. */
const text = (value: string): Buffer => {
  const bytes = Buffer.from(value, "latin1")
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes])
  const length = [127]
  let rest = bytes.length - 127
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([...length, rest]), bytes])
}

/** A header block of fields that are not indexed. */
export const block = (fields: ReadonlyArray<readonly [string, string]>): Buffer =>
  Buffer.concat(fields.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])))

/** The fields of a gRPC request. */
export const request = (
  path: string,
  more: ReadonlyArray<readonly [string, string]> = []
): ReadonlyArray<readonly [string, string]> => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", path],
  [":authority", "test"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
  ...more
]

export interface FrameClient {
  readonly socket: Socket
  readonly send: (...frames: ReadonlyArray<Buffer>) => void
  /** What the server has sent so far. */
  readonly received: ReadonlyArray<Frame>
  /** Waits for a frame. */
  readonly await: (is: (frame: Frame) => boolean) => Effect.Effect<Frame>
  /** Completes when what was sent before has been read. */
  readonly round: Effect.Effect<Frame>
  /** Completes when the connection is over. */
  readonly closed: Effect.Effect<void>
}

const preface = Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(types.settings, 0, 0)])

/** Waits until a condition holds; `look` is called when it may. */
const when = <A>(find: () => A | undefined, looks: Set<() => void>): Effect.Effect<A> =>
  Effect.callback<A>((resume) => {
    const look = () => {
      const found = find()
      if (found === undefined) return
      looks.delete(look)
      resume(Effect.succeed(found))
    }
    looks.add(look)
    look()
    return Effect.sync(() => looks.delete(look))
  })

/** Connects; `silent` sends nothing, not even the preface. */
export const client = (
  to: { readonly port: number; readonly host?: string } | { readonly path: string },
  options: { readonly silent?: boolean } = {}
): Effect.Effect<FrameClient, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<FrameClient>((resume) => {
      const socket = connect("path" in to ? to : { host: "127.0.0.1", ...to })
      const received: Array<Frame> = []
      const looks = new Set<() => void>()
      const tell = () => {
        for (const look of [...looks]) look()
      }
      let rest = Buffer.alloc(0)
      let pings = 0
      let over = false
      const send = (...frames: ReadonlyArray<Buffer>) => void socket.write(Buffer.concat(frames))
      socket.on("error", () => {})
      socket.on("close", () => {
        over = true
        tell()
      })
      socket.on("data", (chunk: Buffer) => {
        rest = Buffer.concat([rest, chunk])
        while (rest.length >= 9) {
          const end = 9 + rest.readUIntBE(0, 3)
          if (rest.length < end) break
          const found = {
            type: rest[3]!,
            flags: rest[4]!,
            stream: rest.readUInt32BE(5),
            payload: rest.subarray(9, end)
          }
          received.push(found)
          rest = rest.subarray(end)
          if (found.type === types.settings && !(found.flags & flags.ack)) send(frame(types.settings, flags.ack, 0))
        }
        tell()
      })
      const awaitFrame = (is: (frame: Frame) => boolean) => when(() => received.find(is), looks)
      const round = Effect.suspend(() => {
        const payload = Buffer.alloc(8)
        payload.writeUInt32BE(++pings, 4)
        send(frame(types.ping, 0, 0, payload))
        return awaitFrame((found) => found.type === types.ping && found.payload.equals(payload))
      })
      const closed = Effect.asVoid(when(() => (over ? true : undefined), looks))
      socket.on("connect", () => {
        if (options.silent !== true) send(preface)
        resume(Effect.succeed({ socket, send, received, await: awaitFrame, round, closed }))
      })
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

export const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(":") + 1))

/** The code and text of a GOAWAY. */
export const goAway = ({ payload }: Frame): { readonly code: number; readonly text: string } => ({
  code: payload.readUInt32BE(4),
  text: payload.subarray(8).toString("latin1")
})
