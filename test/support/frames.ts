/** HTTP/2 frames by hand: what a well-behaved library would never send. */
import { Flag, FrameType, preface } from "../../src/h2/Frame.ts"
import { FrameReader } from "../../src/h2/FrameReader.ts"
import { HpackDecoder } from "../../src/h2/HpackDecoder.ts"
import { HpackEncoder } from "../../src/h2/HpackEncoder.ts"

type Bytes = Uint8Array | ReadonlyArray<number> | string

const bytesOf = (bytes: Bytes): Buffer =>
  typeof bytes === "string" ? Buffer.from(bytes, "latin1") : Buffer.from(bytes)

/** Any frame; `length` lies about the payload. */
export const frame = (type: number, flags: number, streamId: number, payload: Bytes = [], length?: number): Buffer => {
  const body = bytesOf(payload)
  const head = Buffer.alloc(9)
  head.writeUIntBE(length ?? body.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(streamId, 5)
  return Buffer.concat([head, body])
}

const u32 = (value: number): Buffer => {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(value)
  return out
}

export const settings = (...pairs: ReadonlyArray<readonly [number, number]>): Buffer =>
  frame(
    FrameType.SETTINGS,
    0,
    0,
    Buffer.concat(pairs.map(([id, value]) => Buffer.concat([Buffer.from([0, id]), u32(value)])))
  )

export const settingsAck: Buffer = frame(FrameType.SETTINGS, Flag.ACK, 0)
export const ping = (payload: Bytes = "12345678", flags = 0): Buffer => frame(FrameType.PING, flags, 0, payload)
export const rstStream = (streamId: number, code: number): Buffer => frame(FrameType.RST_STREAM, 0, streamId, u32(code))
export const windowUpdate = (streamId: number, increment: number): Buffer =>
  frame(FrameType.WINDOW_UPDATE, 0, streamId, u32(increment))
export const goaway = (lastStreamId: number, code: number, debug = ""): Buffer =>
  frame(FrameType.GOAWAY, 0, 0, Buffer.concat([u32(lastStreamId), u32(code), Buffer.from(debug)]))
export const data = (streamId: number, bytes: Bytes, flags = 0): Buffer => frame(FrameType.DATA, flags, streamId, bytes)

/** A header block that changes no table. */
export const block = (...fields: ReadonlyArray<string>): Buffer => Buffer.from(new HpackEncoder().encode(fields))

export const headers = (streamId: number, fields: ReadonlyArray<string>, flags = 0): Buffer =>
  frame(FrameType.HEADERS, flags | Flag.END_HEADERS, streamId, block(...fields))

/** What a client begins with. */
export const clientHello: Buffer = Buffer.concat([preface, settings()])

/** The fields of a request, and of a response. */
// oxfmt-ignore
export const post: ReadonlyArray<string> = [":method", "POST", ":scheme", "http", ":path", "/demo.Echo/Say", ":authority", "a:1"]
export const ok: ReadonlyArray<string> = [":status", "200", "content-type", "application/grpc"]

/** A frame in words, such as `RST_STREAM 1 CANCEL`. */
export interface Seen {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

/** The frames of some bytes, which begin with the preface if a client has written them. */
export const framesOf = (bytes: Uint8Array, fromClient = false): ReadonlyArray<Seen> => {
  const seen: Array<Seen> = []
  let open: { readonly flags: number; readonly streamId: number; readonly parts: Array<Uint8Array> } | undefined
  const reader = new FrameReader(
    {
      dataBegins: (streamId, _, flags) => (open = { flags, streamId, parts: [] }),
      dataArrives: (part, isLast) => {
        open!.parts.push(Buffer.from(part))
        if (isLast) seen.push({ type: FrameType.DATA, ...open!, payload: Buffer.concat(open!.parts) })
      },
      frame: (type, flags, streamId, payload) => seen.push({ type, flags, streamId, payload: Buffer.from(payload) })
    },
    2 ** 24,
    fromClient
  )
  reader.read(bytes)
  return seen
}

/** The fields of every HEADERS frame, in order, by their streams. */
export const fieldsOf = (frames: ReadonlyArray<Seen>): ReadonlyArray<readonly [number, ReadonlyArray<string>]> => {
  const decoder = new HpackDecoder(4096)
  return frames
    .filter(({ type }) => type === FrameType.HEADERS)
    .map(({ payload, streamId }) => [streamId, decoder.decode(payload, Infinity).fields])
}
