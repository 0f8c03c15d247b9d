/**
 * The frames of HTTP/2: their types, their flags and the nine bytes before each.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-4
 */

/** The types of frames. */
export const FrameType = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9
} as const

/** The flags of frames. ACK is END_STREAM's bit on frames that belong to no stream. */
export const Flag = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const

/** Bytes before a frame's payload. */
export const headerLength = 9

/** The largest payload every endpoint takes, and the default. */
export const defaultMaxFrameSize = 16_384

/** The largest window and the largest identifier of a stream. */
export const max31 = 2 ** 31 - 1

/** What a client says first. */
export const preface: Buffer = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1")

/** The unsigned number of 32 bits at an offset. */
export const readU32 = (bytes: Uint8Array, at: number): number =>
  bytes[at]! * 0x1000000 + ((bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!)
