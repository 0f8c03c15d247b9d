/** What RFC 9113 demands of an endpoint, as bytes a peer may send and what must come of them. */
import { ErrorCode } from "../../src/h2/ErrorCode.ts"
import { Flag, FrameType } from "../../src/h2/Frame.ts"
import {
  block,
  data,
  frame,
  goaway,
  headers,
  ok,
  ping,
  post,
  rstStream,
  settings,
  windowUpdate
} from "../support/frames.ts"

const { COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED } = ErrorCode
const { END_HEADERS, END_STREAM, PADDED, PRIORITY } = Flag

/** What must come of it: the connection ends, one stream does, or nothing ends. */
export type Outcome = { readonly connection: number } | { readonly stream: number; readonly code: number } | "goes on"

export interface Case {
  readonly section: string
  readonly name: string
  readonly sent: ReadonlyArray<Buffer>
  readonly outcome: Outcome
}

const connection = (code: number): Outcome => ({ connection: code })
const stream = (code: number, id = 1): Outcome => ({ stream: id, code })

const request = headers(1, post)
const whole = headers(1, post, END_STREAM)
const requestWith = (...more: ReadonlyArray<string>) => headers(1, [...post, ...more], END_STREAM)
const without = (name: string) => {
  const at = post.indexOf(name)
  return headers(1, [...post.slice(0, at), ...post.slice(at + 2)], END_STREAM)
}
const raw = (type: number, flags: number, id: number, payload: Buffer, length?: number) =>
  frame(type, flags, id, payload, length)
const self = Buffer.from([0, 0, 0, 1, 16])

/** Sent by a client, after its preface and its settings. */
export const toServer: ReadonlyArray<Case> = [
  // 4: frames
  { section: "4.1", name: "an unknown type of frame", sent: [frame(22, 0, 0, "ignored"), ping()], outcome: "goes on" },
  { section: "4.1", name: "unknown flags", sent: [frame(FrameType.PING, 0xfe, 0, "12345678")], outcome: "goes on" },
  {
    section: "4.2",
    name: "a frame over SETTINGS_MAX_FRAME_SIZE",
    sent: [request, data(1, Buffer.alloc(16_385))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  {
    section: "4.2",
    name: "HEADERS over SETTINGS_MAX_FRAME_SIZE",
    sent: [raw(FrameType.HEADERS, END_HEADERS, 1, Buffer.alloc(16_385))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  {
    section: "4.3",
    name: "a header block that is not HPACK",
    sent: [raw(FrameType.HEADERS, END_HEADERS | END_STREAM, 1, Buffer.from("80", "hex"))],
    outcome: connection(COMPRESSION_ERROR)
  },
  {
    section: "4.3",
    name: "a header block interrupted by PRIORITY",
    sent: [raw(FrameType.HEADERS, END_STREAM, 1, block(...post)), raw(FrameType.PRIORITY, 0, 1, Buffer.alloc(5))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "4.3",
    name: "a header block interrupted by HEADERS of another stream",
    sent: [raw(FrameType.HEADERS, END_STREAM, 1, block(...post)), headers(3, post, END_STREAM)],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "4.3",
    name: "a header block in pieces",
    sent: [
      raw(FrameType.HEADERS, END_STREAM, 1, block(...post).subarray(0, 5)),
      raw(FrameType.CONTINUATION, 0, 1, block(...post).subarray(5, 6)),
      raw(FrameType.CONTINUATION, END_HEADERS, 1, block(...post).subarray(6))
    ],
    outcome: "goes on"
  },
  // 5.1: states of a stream
  { section: "5.1", name: "idle: DATA", sent: [data(1, "x", END_STREAM)], outcome: connection(PROTOCOL_ERROR) },
  { section: "5.1", name: "idle: RST_STREAM", sent: [rstStream(1, 8)], outcome: connection(PROTOCOL_ERROR) },
  { section: "5.1", name: "idle: WINDOW_UPDATE", sent: [windowUpdate(1, 100)], outcome: connection(PROTOCOL_ERROR) },
  {
    section: "5.1",
    name: "idle: CONTINUATION",
    sent: [raw(FrameType.CONTINUATION, END_HEADERS, 1, block(...post))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "5.1",
    name: "half-closed (remote): DATA",
    sent: [whole, data(1, "x", END_STREAM)],
    outcome: stream(STREAM_CLOSED)
  },
  { section: "5.1", name: "half-closed (remote): HEADERS", sent: [whole, whole], outcome: stream(STREAM_CLOSED) },
  {
    section: "5.1",
    name: "half-closed (remote): WINDOW_UPDATE",
    sent: [whole, windowUpdate(1, 100)],
    outcome: "goes on"
  },
  {
    section: "5.1",
    name: "half-closed (remote): PRIORITY",
    sent: [whole, raw(FrameType.PRIORITY, 0, 1, Buffer.alloc(5))],
    outcome: "goes on"
  },
  {
    section: "5.1",
    name: "closed by RST_STREAM: DATA",
    sent: [request, rstStream(1, 8), data(1, "x", END_STREAM)],
    outcome: connection(STREAM_CLOSED)
  },
  {
    section: "5.1",
    name: "closed by RST_STREAM: HEADERS",
    sent: [request, rstStream(1, 8), whole],
    outcome: connection(STREAM_CLOSED)
  },
  {
    section: "5.1",
    name: "closed by RST_STREAM: RST_STREAM, WINDOW_UPDATE and PRIORITY",
    sent: [
      request,
      rstStream(1, 8),
      rstStream(1, 8),
      windowUpdate(1, 1),
      raw(FrameType.PRIORITY, 0, 1, Buffer.alloc(5))
    ],
    outcome: "goes on"
  },
  {
    section: "5.1.1",
    name: "an even number",
    sent: [headers(2, post, END_STREAM)],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "5.1.1",
    name: "a number lower than one before",
    sent: [headers(5, post, END_STREAM), headers(3, post, END_STREAM)],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "5.1.1",
    name: "numbers left out",
    sent: [headers(1, post, END_STREAM), headers(9, post, END_STREAM)],
    outcome: "goes on"
  },
  {
    section: "5.3",
    name: "HEADERS that depend on their own stream",
    sent: [raw(FrameType.HEADERS, END_HEADERS | END_STREAM | PRIORITY, 1, Buffer.concat([self, block(...post)]))],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "5.3",
    name: "HEADERS with a priority",
    sent: [
      raw(FrameType.HEADERS, END_HEADERS | END_STREAM | PRIORITY, 1, Buffer.concat([Buffer.alloc(5), block(...post)]))
    ],
    outcome: "goes on"
  },
  // 6.1: DATA
  { section: "6.1", name: "DATA on stream 0", sent: [data(0, "x")], outcome: connection(PROTOCOL_ERROR) },
  {
    section: "6.1",
    name: "padding as long as the payload",
    sent: [request, data(1, Buffer.from([6, 1, 2, 3, 4, 5]), PADDED)],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.1",
    name: "padding",
    sent: [request, data(1, Buffer.from([2, 1, 0, 0]), PADDED | END_STREAM)],
    outcome: "goes on"
  },
  {
    section: "6.1",
    name: "a padded frame without a payload",
    sent: [request, data(1, [], PADDED)],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  // 6.2: HEADERS
  { section: "6.2", name: "HEADERS on stream 0", sent: [headers(0, post)], outcome: connection(PROTOCOL_ERROR) },
  {
    section: "6.2",
    name: "HEADERS with padding as long as the payload",
    sent: [raw(FrameType.HEADERS, END_HEADERS | PADDED, 1, Buffer.from([9, 0x82]))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.2",
    name: "HEADERS too short for their priority",
    sent: [raw(FrameType.HEADERS, END_HEADERS | PRIORITY, 1, Buffer.alloc(4))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  // 6.3: PRIORITY
  {
    section: "6.3",
    name: "PRIORITY on stream 0",
    sent: [raw(FrameType.PRIORITY, 0, 0, Buffer.alloc(5))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.3",
    name: "PRIORITY of 4 bytes",
    sent: [request, raw(FrameType.PRIORITY, 0, 1, Buffer.alloc(4))],
    outcome: stream(FRAME_SIZE_ERROR)
  },
  {
    section: "6.3",
    name: "PRIORITY of an idle stream",
    sent: [raw(FrameType.PRIORITY, 0, 7, Buffer.alloc(5)), whole],
    outcome: "goes on"
  },
  // 6.4: RST_STREAM
  { section: "6.4", name: "RST_STREAM on stream 0", sent: [rstStream(0, 8)], outcome: connection(PROTOCOL_ERROR) },
  {
    section: "6.4",
    name: "RST_STREAM of 3 bytes",
    sent: [request, raw(FrameType.RST_STREAM, 0, 1, Buffer.alloc(3))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  { section: "6.4", name: "RST_STREAM with an unknown code", sent: [request, rstStream(1, 4711)], outcome: "goes on" },
  // 6.5: SETTINGS
  {
    section: "6.5",
    name: "an acknowledgement with a payload",
    sent: [raw(FrameType.SETTINGS, Flag.ACK, 0, Buffer.alloc(6))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  {
    section: "6.5",
    name: "SETTINGS on a stream",
    sent: [request, raw(FrameType.SETTINGS, 0, 1, Buffer.alloc(0))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.5",
    name: "SETTINGS of 3 bytes",
    sent: [raw(FrameType.SETTINGS, 0, 0, Buffer.alloc(3))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  {
    section: "6.5.2",
    name: "SETTINGS_ENABLE_PUSH of 2",
    sent: [settings([2, 2])],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.5.2",
    name: "SETTINGS_INITIAL_WINDOW_SIZE over 2^31-1",
    sent: [settings([4, 2 ** 31])],
    outcome: connection(FLOW_CONTROL_ERROR)
  },
  {
    section: "6.5.2",
    name: "SETTINGS_MAX_FRAME_SIZE below 16,384",
    sent: [settings([5, 16_383])],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.5.2",
    name: "SETTINGS_MAX_FRAME_SIZE over 2^24-1",
    sent: [settings([5, 2 ** 24])],
    outcome: connection(PROTOCOL_ERROR)
  },
  { section: "6.5.2", name: "an unknown setting", sent: [settings([99, 1])], outcome: "goes on" },
  // 6.6: PUSH_PROMISE
  {
    section: "8.4",
    name: "PUSH_PROMISE from a client",
    sent: [request, raw(FrameType.PUSH_PROMISE, END_HEADERS, 1, Buffer.from([0, 0, 0, 2]))],
    outcome: connection(PROTOCOL_ERROR)
  },
  // 6.7: PING
  {
    section: "6.7",
    name: "PING on a stream",
    sent: [request, raw(FrameType.PING, 0, 1, Buffer.alloc(8))],
    outcome: connection(PROTOCOL_ERROR)
  },
  { section: "6.7", name: "PING of 6 bytes", sent: [ping("123456")], outcome: connection(FRAME_SIZE_ERROR) },
  { section: "6.7", name: "an answer to no PING", sent: [ping("12345678", Flag.ACK)], outcome: "goes on" },
  // 6.8: GOAWAY
  {
    section: "6.8",
    name: "GOAWAY on a stream",
    sent: [request, raw(FrameType.GOAWAY, 0, 1, Buffer.alloc(8))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.8",
    name: "GOAWAY, which ends no stream of the one that sent it",
    sent: [request, goaway(0, 0), data(1, "x", END_STREAM)],
    outcome: "goes on"
  },
  // 6.9: WINDOW_UPDATE
  { section: "6.9", name: "WINDOW_UPDATE by nothing", sent: [windowUpdate(0, 0)], outcome: connection(PROTOCOL_ERROR) },
  {
    section: "6.9",
    name: "WINDOW_UPDATE of a stream by nothing",
    sent: [request, windowUpdate(1, 0)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "6.9",
    name: "WINDOW_UPDATE of 3 bytes",
    sent: [raw(FrameType.WINDOW_UPDATE, 0, 0, Buffer.alloc(3))],
    outcome: connection(FRAME_SIZE_ERROR)
  },
  {
    section: "6.9.1",
    name: "the connection's window over 2^31-1",
    sent: [windowUpdate(0, 2 ** 31 - 1), windowUpdate(0, 2 ** 31 - 1)],
    outcome: connection(FLOW_CONTROL_ERROR)
  },
  {
    section: "6.9.1",
    name: "a stream's window over 2^31-1",
    sent: [request, windowUpdate(1, 2 ** 31 - 1)],
    outcome: stream(FLOW_CONTROL_ERROR)
  },
  {
    section: "6.9.2",
    name: "a window over 2^31-1 by SETTINGS",
    sent: [request, windowUpdate(1, 2 ** 31 - 1 - 65_535), settings([4, 65_536])],
    outcome: connection(FLOW_CONTROL_ERROR)
  },
  // 6.10: CONTINUATION
  {
    section: "6.10",
    name: "CONTINUATION after a block that is complete",
    sent: [request, raw(FrameType.CONTINUATION, END_HEADERS, 1, block("a", "b"))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.10",
    name: "CONTINUATION on stream 0",
    sent: [raw(FrameType.HEADERS, 0, 1, block(...post)), raw(FrameType.CONTINUATION, END_HEADERS, 0, Buffer.alloc(0))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.10",
    name: "CONTINUATION of another stream",
    sent: [raw(FrameType.HEADERS, 0, 1, block(...post)), raw(FrameType.CONTINUATION, END_HEADERS, 3, Buffer.alloc(0))],
    outcome: connection(PROTOCOL_ERROR)
  },
  // 8: messages
  {
    section: "8.1",
    name: "trailers that do not end the stream",
    sent: [request, headers(1, ["a", "b"])],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.1",
    name: "trailers",
    sent: [request, data(1, "x"), headers(1, ["a", "b"], END_STREAM)],
    outcome: "goes on"
  },
  {
    section: "8.1.1",
    name: "data that content-length does not cover",
    sent: [headers(1, [...post, "content-length", "1"]), data(1, "xx", END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.1.1",
    name: "less data than content-length, in two frames",
    sent: [headers(1, [...post, "content-length", "5"]), data(1, "xx"), data(1, "xx", END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.2.1",
    name: "upper case in a name",
    sent: [requestWith("X-Test", "x")],
    outcome: stream(PROTOCOL_ERROR)
  },
  { section: "8.2.1", name: "a blank in a name", sent: [requestWith("x test", "x")], outcome: stream(PROTOCOL_ERROR) },
  {
    section: "8.2.1",
    name: "a line feed in a value",
    sent: [requestWith("x-test", "a\nb")],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.2.1",
    name: "a blank at the edge of a value",
    sent: [requestWith("x-test", " a")],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.2.2",
    name: "connection",
    sent: [requestWith("connection", "keep-alive")],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.2.2",
    name: "transfer-encoding",
    sent: [requestWith("transfer-encoding", "chunked")],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.2.2",
    name: "te that is not trailers",
    sent: [requestWith("te", "gzip")],
    outcome: stream(PROTOCOL_ERROR)
  },
  { section: "8.2.2", name: "te: trailers", sent: [requestWith("te", "trailers")], outcome: "goes on" },
  {
    section: "8.3",
    name: "an unknown pseudo-header",
    sent: [requestWith(":test", "x")],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.3",
    name: "a response's pseudo-header",
    sent: [headers(1, [":status", "200", ...post], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.3",
    name: "a pseudo-header in trailers",
    sent: [request, headers(1, [":method", "POST"], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.3",
    name: "a pseudo-header after a field",
    sent: [headers(1, ["a", "b", ...post], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  { section: "8.3.1", name: "no :method", sent: [without(":method")], outcome: stream(PROTOCOL_ERROR) },
  { section: "8.3.1", name: "no :scheme", sent: [without(":scheme")], outcome: stream(PROTOCOL_ERROR) },
  { section: "8.3.1", name: "no :path", sent: [without(":path")], outcome: stream(PROTOCOL_ERROR) },
  {
    section: "8.3.1",
    name: "an empty :path",
    sent: [headers(1, [":method", "POST", ":scheme", "http", ":path", ""], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.3.1",
    name: ":path twice",
    sent: [headers(1, [":path", "/", ...post], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  }
]

const answer = headers(1, ok)
const end = headers(1, ["grpc-status", "0"], END_STREAM)

/** Sent by a server, after its settings, to a client that has opened stream 1 and not ended it. */
export const toClient: ReadonlyArray<Case> = [
  { section: "5.1", name: "a response", sent: [answer, data(1, "x"), end], outcome: "goes on" },
  { section: "5.1", name: "idle: HEADERS", sent: [headers(3, ok)], outcome: connection(PROTOCOL_ERROR) },
  { section: "5.1", name: "idle: DATA", sent: [data(3, "x")], outcome: connection(PROTOCOL_ERROR) },
  { section: "5.1", name: "idle: RST_STREAM", sent: [rstStream(3, 8)], outcome: connection(PROTOCOL_ERROR) },
  { section: "5.1", name: "idle: WINDOW_UPDATE", sent: [windowUpdate(3, 8)], outcome: connection(PROTOCOL_ERROR) },
  { section: "5.1", name: "DATA before HEADERS", sent: [data(1, "x")], outcome: stream(PROTOCOL_ERROR) },
  { section: "5.1", name: "DATA after the end", sent: [answer, end, data(1, "x")], outcome: stream(STREAM_CLOSED) },
  {
    section: "5.1",
    name: "DATA after RST_STREAM",
    sent: [rstStream(1, 8), data(1, "x")],
    outcome: connection(STREAM_CLOSED)
  },
  { section: "5.1.1", name: "a stream the server opens", sent: [headers(2, ok)], outcome: connection(PROTOCOL_ERROR) },
  {
    section: "6.5.2",
    name: "SETTINGS_ENABLE_PUSH of 1 from a server",
    sent: [settings([2, 1])],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.6",
    name: "PUSH_PROMISE, which was not allowed",
    sent: [raw(FrameType.PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([Buffer.from([0, 0, 0, 2]), block(...post)]))],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.8",
    name: "a GOAWAY that takes more than the one before",
    sent: [goaway(1, 0), goaway(3, 0)],
    outcome: connection(PROTOCOL_ERROR)
  },
  {
    section: "6.8",
    name: "GOAWAY twice",
    sent: [goaway(2 ** 31 - 1, 0), goaway(1, 0), answer, end],
    outcome: "goes on"
  },
  {
    section: "6.9.1",
    name: "a stream's window over 2^31-1",
    sent: [windowUpdate(1, 2 ** 31 - 1)],
    outcome: stream(FLOW_CONTROL_ERROR)
  },
  {
    section: "8.1",
    name: "informational responses before the final one",
    sent: [headers(1, [":status", "103"]), headers(1, [":status", "100"]), answer, end],
    outcome: "goes on"
  },
  {
    section: "8.1",
    name: "an informational response that ends the stream",
    sent: [headers(1, [":status", "103"], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.1",
    name: "trailers that do not end the stream",
    sent: [answer, headers(1, ["grpc-status", "0"])],
    outcome: stream(PROTOCOL_ERROR)
  },
  { section: "8.3.2", name: "no :status", sent: [headers(1, ["a", "b"])], outcome: stream(PROTOCOL_ERROR) },
  {
    section: "8.3.2",
    name: "a request's pseudo-header",
    sent: [headers(1, [":status", "200", ":path", "/"])],
    outcome: stream(PROTOCOL_ERROR)
  },
  {
    section: "8.3",
    name: ":status in trailers",
    sent: [answer, headers(1, [":status", "200"], END_STREAM)],
    outcome: stream(PROTOCOL_ERROR)
  }
]
